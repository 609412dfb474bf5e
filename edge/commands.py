"""Carries out what the cloud commands, once each: kept before it is done, and every word of it through the outbox.

Promises that a command is on the disk as `accepted` before anything is done, that none is begun twice, and that one that was
interrupted says so. `receive` runs in the link's thread and does nothing but keep; a thread of its own carries out.
"""

import json
import logging
import queue
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from edge.clock import Clock
from edge.errors import OutboxError
from edge.kept_commands import KeptCommand
from edge.outbox import Outbox
from firmware_specs.command_messages import Command
from firmware_specs.messages import Clock as Quality
from firmware_specs.messages import CommandState, CommandWord
from firmware_specs.wire import decode_command

log = logging.getLogger(__name__)

WAITING: Final = 64
"""Commands that wait to be carried out; more are kept on the disk and taken up at the next start."""
TEXT_CHARACTERS: Final = 200

Arguments = Mapping[str, Any]
Results = Mapping[str, str]
Action = Callable[[Arguments], Results]
"""Does it, and returns what it found; raises CommandFailed."""

PROVED_BY_A_NEW_BOOT: Final = "reboot"
PROVED_BY_A_NEW_PROCESS: Final = "restart_agent"


class CommandFailed(Exception):
    """It could not be done; ``reason`` is a word of the contract, the message a sentence."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class EndsTheProcess(Exception):
    """What was asked for ends this process; the next one says that it is done."""


class Commands:
    """The commands of one terminal. ``actions`` are by name; one that is not there is `unknown_command`."""

    def __init__(self, outbox: Outbox, clock: Clock, actions: Mapping[str, Action]) -> None:
        self._outbox, self._clock, self._actions = outbox, clock, actions
        self._process = str(uuid.uuid4())
        self._waiting: queue.Queue[KeptCommand | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._serve, name="commands", daemon=True)

    def start(self) -> None:
        """Say what became of those of the last run, and begin with those that were not begun."""
        try:
            left = self._outbox.unfinished_commands()
        except OutboxError as error:
            log.warning("commands of the last run cannot be read: %s", error)
            left = []
        for each in left:
            if each.state == CommandWord.RUNNING:
                self._end_interrupted(each)
            else:
                self._put(each)
        self._thread.start()

    def stop(self) -> None:
        """End once the present command is done; those that wait are taken up at the next start."""
        while True:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                self._waiting.get()
            else:
                break
        self._thread.join(2.0)

    def receive(self, payload: bytes, expires_in_s: int | None) -> None:
        """A command came; ``expires_in_s`` is what is left of its message's expiry. Raises DecodeError and OutboxError: then it
        was not accepted, and comes again."""
        command = decode_command(payload)
        if self._outbox.knows_command(command.id):
            log.info("command %s came again", command.id)
            return
        kept = self._kept(command, expires_in_s)
        if self._is_over(kept):
            self._say(kept, CommandWord.EXPIRED)
            return
        self._say(kept, CommandWord.ACCEPTED)
        self._put(kept)

    def _kept(self, command: Command, expires_in_s: int | None) -> KeptCommand:
        now_us, mono_ms = self._clock.now_us(), self._clock.mono_ms()
        lasts_us = command.deadline_at - command.issued_at
        left_ms = lasts_us // 1000 if expires_in_s is None else expires_in_s * 1000
        arguments = json.dumps(command.arguments, separators=(",", ":"))
        return KeptCommand(
            command.id, command.name, arguments, CommandWord.ACCEPTED, now_us, self._clock.boot, self._process,
            command.deadline_at, mono_ms + left_ms,
        )  # fmt: skip

    def _is_over(self, kept: KeptCommand) -> bool:
        """By the deadline where the clock is right; else by the expiry, which counts within the boot only."""
        if self._clock.quality() is Quality.SYNCED:
            return self._clock.now_us() >= kept.deadline_at_us
        return kept.boot != self._clock.boot or self._clock.mono_ms() >= kept.deadline_mono_ms

    def _put(self, kept: KeptCommand) -> None:
        try:
            self._waiting.put_nowait(kept)
        except queue.Full:
            log.warning("command %s waits for the next start: too many wait", kept.id)

    # --- the thread -------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while (kept := self._waiting.get()) is not None:
            try:
                self._carry_out(kept)
            except EndsTheProcess:
                return
            except OutboxError as error:
                log.warning("command %s: what became of it cannot be kept: %s", kept.id, error)

    def _carry_out(self, kept: KeptCommand) -> None:
        if self._is_over(kept):
            self._say(kept, CommandWord.EXPIRED)
            return
        action = self._actions.get(kept.name)
        if action is None:
            self._say(kept, CommandWord.FAILED, "unknown_command", f"This terminal does not know {kept.name}.")
            return
        kept = kept._replace(boot=self._clock.boot, process=self._process)  # what comes after is proved against these
        self._say(kept, CommandWord.RUNNING)
        try:
            results = action(json.loads(kept.arguments))
        except EndsTheProcess:
            raise
        except CommandFailed as error:
            self._say(kept, CommandWord.FAILED, error.reason, str(error))
        except Exception as error:  # the thread's outermost loop: the next command is another one
            log.exception("command %s ended by an error that nobody foresaw", kept.id)
            self._say(kept, CommandWord.FAILED, "error", type(error).__name__)
        else:
            self._say(kept, CommandWord.DONE, results=results)

    def _end_interrupted(self, kept: KeptCommand) -> None:
        """It was running when the last process ended. A reboot is proved by a new boot, a restart by a new process."""
        rebooted = kept.name == PROVED_BY_A_NEW_BOOT and kept.boot != self._clock.boot
        restarted = kept.name == PROVED_BY_A_NEW_PROCESS and kept.process != self._process
        try:
            if rebooted or restarted:
                self._say(kept, CommandWord.DONE)
            else:
                self._say(kept, CommandWord.FAILED, "interrupted", "The agent ended while it was carried out.")
        except OutboxError as error:
            log.warning("command %s: that it was interrupted cannot be kept: %s", kept.id, error)

    def _say(
        self,
        kept: KeptCommand,
        state: CommandWord,
        reason: str | None = None,
        detail: str | None = None,
        results: Results | None = None,
    ) -> None:
        record = CommandState(
            **self._clock.stamp(self._outbox.config),
            command=kept.id,
            state=state,
            reason=reason,
            detail=None if detail is None else detail[:TEXT_CHARACTERS],
            results={name: text[:TEXT_CHARACTERS] for name, text in (results or {}).items()},
        )
        self._outbox.append([record], commands=[kept._replace(state=state)])
        log.info("command %s %s: %s", kept.name, kept.id, state)
