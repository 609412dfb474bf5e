#!/bin/sh
# Run Mosquitto, and let it read its users and certificates again (SIGHUP) within a second of a change to one of the files.
# For where who writes them cannot signal the broker: in another container, or as another user. It looks into no file: a
# revocation list is checked by `python -m broker_config watch`, which alone writes the one that is named here.
# Until all files are there for the first time it waits, and says for what.
# Usage: run.sh mosquitto.conf FILE...
set -eu
conf=$1
shift
PATH=$PATH:/usr/sbin # where Debian puts it, off a plain user's path

fingerprint() { # of all files; "missing" when one is, or vanishes meanwhile
  for file in "$@"; do
    cksum <"$file" 2>/dev/null || { echo missing; return; }
  done
}

minds_hangup() { # it does not while it starts: SIGHUP would end it. SigCgt of proc(5), whose lowest bit is this signal's
  grep -q '^SigCgt:.*[13579bdf]$' "/proc/$broker/status" 2>/dev/null
}

trap 'exit 0' TERM INT
for file in "$@"; do
  [ -r "$file" ] || echo "Waiting for $file" >&2
  until [ -r "$file" ]; do
    sleep 1 &
    wait $! || :
  done
done

seen=$(fingerprint "$@") # before the broker reads them: a change in between is then told once more, never missed
mosquitto -c "$conf" &
broker=$!
trap 'kill -TERM "$broker" 2>/dev/null' TERM INT

while kill -0 "$broker" 2>/dev/null; do
  now=$(fingerprint "$@")
  case $now in
  "$seen" | *missing) ;; # told of a missing file, it would cut everyone, or let a revoked certificate in
  *)
    if minds_hangup; then
      seen=$now
      kill -HUP "$broker"
    fi
    ;;
  esac
  sleep 1 &
  wait $! || : # a signal ends this wait at once, and the trap passes it on
done
wait "$broker"
