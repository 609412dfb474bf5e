#!/bin/sh
# Run Mosquitto, and let it read its users again (SIGHUP) within a second of a change to the terminals' file.
# For where the cloud, which writes that file, cannot signal the broker: in another container, or as another user.
# Usage: run.sh mosquitto.conf terminals
set -eu
conf=$1
users=$2
PATH=$PATH:/usr/sbin # where Debian puts it, off a plain user's path

fingerprint() { cksum <"$users" 2>/dev/null || echo missing; }

seen=$(fingerprint) # before the broker reads it: a change in between is then told once more, never missed
mosquitto -c "$conf" &
broker=$!
trap 'kill -TERM "$broker" 2>/dev/null' TERM INT

while kill -0 "$broker" 2>/dev/null; do
  now=$(fingerprint)
  if [ "$now" != "$seen" ] && [ "$now" != missing ]; then # told of a missing file, it would cut everyone
    seen=$now
    kill -HUP "$broker"
  fi
  sleep 1 &
  wait $! || : # a signal ends this wait at once, and the trap passes it on
done
wait "$broker"
