"""The one thread that decides: codes and touches come in, records go into the outbox, views go to the screen.

Promises that the screen turns green only after the record is on the disk, that nobody is green when it cannot be kept,
and that a card held in view is one check-in. Called by the app; fed from any thread through one bounded queue.
"""

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from edge.clock import Clock
from edge.errors import OutboxError
from edge.kiosk import snapshot, views, words
from edge.kiosk.decision import Guest, Presented, TypedNumber
from edge.kiosk.register import Register, Twin
from edge.kiosk.snapshot import Surroundings
from edge.kiosk.staff import PinAnswer, StaffGate
from edge.kiosk.touches import TouchCounter
from edge.kiosk.views import Screen, Touch, View
from edge.mode import Mode
from edge.outbox import Outbox
from firmware_specs import credentials
from firmware_specs.credentials import Credential

log = logging.getLogger(__name__)

QUEUE: Final = 64  # inputs waiting; of more, touches are let go and cards take their place
HOLD_S: Final = 3.0  # a code that was seen so recently is still the same showing
FOREIGN_HOLD_S: Final = 15.0  # the same for a code that is no card of anybody's: a poster in the picture
MAX_SEEN: Final = 32
REFRESH_S: Final = 0.5
EXTEND_S: Final = 10.0  # what a touch adds to a countdown
LONGEST_S: Final = 60.0
STOPPED_AT_LEAST_S: Final = 5.0
RETRY_S: Final = 1.0  # after a card could not be kept, the next one is tried again
DIM_AFTER_S: Final = 600.0
KEPT_TIMINGS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A code's text and time.monotonic() of the frame it was read in."""

    text: str
    captured_mono_s: float


@dataclass(frozen=True, slots=True)
class Touched:
    """A touch on the page: on which view it was made, and the digits of a keypad."""

    touch: Touch
    view: int
    digits: str = ""


@dataclass(frozen=True, slots=True)
class Identify:
    """An operator wants to see and hear which terminal this is, for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Timing:
    """From a frame to the screen event; seconds of time.monotonic()."""

    captured_mono_s: float
    decided_mono_s: float
    stored_mono_s: float
    shown_mono_s: float


class Session:
    """See the module. ``show`` gets each new snapshot and must not block; ``camera`` says whether there is a picture."""

    def __init__(
        self,
        *,
        terminal: str,
        language: Literal["zh", "en"] = "zh",
        outbox: Outbox,
        twin: Twin,
        clock: Clock,
        connected: Callable[[], bool],
        camera: Callable[[], bool],
        has_camera: bool = True,
        show: Callable[[dict[str, Any]], None],
        mode: Callable[[], Mode] = Mode,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timings: deque[Timing] = deque(maxlen=KEPT_TIMINGS)
        self._terminal, self._language = terminal, language
        self._outbox, self._twin, self._clock = outbox, twin, clock
        self._connected, self._camera, self._show, self._mono_s = connected, camera, show, mono_s
        self._has_camera, self._mode = has_camera, mode
        self._inputs: queue.Queue[Seen | Touched | Identify] = queue.Queue(QUEUE)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: dict[str, float] = {}
        self._keeper: int | None = None
        self._gate, self._touches = StaffGate(outbox.save_pin_failures), TouchCounter()
        self._gate.resume(outbox.pin_failures(), mono_s())
        self._register = Register(outbox, twin, clock, mono_s)
        self._view_number = 0
        self._view_of: Seen | None = None
        self._deadline_s: float | None = None
        self._shown: dict[str, Any] | None = None
        self._stopped_until_s = self._refresh_at_s = self._retry_at_s = float("-inf")
        self._active_at_s = mono_s()
        self._around = self._look_around()
        self._view = self._home()
        outbox.on_wait = self._say_moment

    # --- from other threads ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to decide."""
        self._thread = threading.Thread(target=self._run, name="session", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and keep the touches counted so far."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._keep_touches(everything=True)

    def put(self, happened: Seen | Touched | Identify) -> bool:
        """Hand over a code, as often as it is read, or a touch; False where it was let go because too many wait."""
        while True:
            try:
                self._inputs.put_nowait(happened)
            except queue.Full:
                if isinstance(happened, Touched):
                    return False
                with contextlib.suppress(queue.Empty):
                    self._inputs.get_nowait()
            else:
                return True

    def moved(self) -> None:
        """Something moved before the camera: a dimmed screen lights up."""
        self._active_at_s = self._mono_s()

    # --- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step(wait_s=0.1)
            except Exception:  # the thread's outermost loop: the next input is another one
                log.exception("an input could not be handled")
                self._stopping.wait(1.0)

    def step(self, *, wait_s: float = 0.0) -> None:
        """Take one input, waiting for it at most ``wait_s``, and let time pass; the thread's whole work."""
        try:
            happened = self._inputs.get(timeout=wait_s) if wait_s else self._inputs.get_nowait()
        except queue.Empty:
            happened = None
        if isinstance(happened, Seen):
            self._saw(happened)
        elif isinstance(happened, Identify):
            self.moved()
            self._gate.forget()
            self._turn_to(views.identify(self._terminal, happened.seconds))
        elif happened is not None:
            self._touched(happened)
        self._let_time_pass()

    def _let_time_pass(self) -> None:
        now_s = self._mono_s()
        if now_s >= self._refresh_at_s:
            self._refresh_at_s = now_s + REFRESH_S
            self._around = self._look_around()
            self._keep_touches()
            self._publish()
        ended = self._deadline_s is not None and now_s >= self._deadline_s
        gives_way = views.gives_way(self._view.screen, closed=self._mode().maintenance)
        if (ended or gives_way) and self._view != self._home():
            self._gate.forget()  # nobody answered: whoever stands there now need not be staff
            self._turn_to(self._home())

    def _look_around(self) -> Surroundings:
        status = self._outbox.status()
        if status.state != "ok":
            try:
                self._outbox.probe()
            except OutboxError as error:
                log.debug("the outbox still cannot be written: %s", error)
            status = self._outbox.status()
        return Surroundings(
            now_us=self._clock.now_us(),
            quality=self._clock.quality(),
            desired=self._twin.current(),
            storage=status,
            connected=self._connected(),
            camera=self._camera(),
            has_camera=self._has_camera,
            terminal=self._terminal,
            language=self._language,
            dim=self._mono_s() - self._active_at_s >= DIM_AFTER_S,
            volume=self._mode().volume,
        )

    # --- cards ----------------------------------------------------------------------------------------------------

    def _saw(self, seen: Seen) -> None:
        now_s = self._mono_s()
        if now_s < self._retry_at_s or self._mode().maintenance:
            return
        ours = seen.text.startswith(credentials.PREFIX)
        last_s = self._seen.get(seen.text)
        self._remember_seen(seen.text, now_s)
        if last_s is not None and now_s - last_s < (HOLD_S if ours else FOREIGN_HOLD_S):
            return
        if not ours and self._view.screen is not Screen.WAITING:
            return  # a poster in the picture does not wipe out somebody's result
        self.moved()
        self._gate.forget()
        presented = self._register.read(seen.text)
        if self._view.screen is Screen.LEAVE and isinstance(presented, Credential):
            self._check_out(presented, seen)
        else:
            self._check_in(presented, seen)

    def _remember_seen(self, text: str, now_s: float) -> None:
        self._seen.pop(text, None)
        self._seen[text] = now_s
        while len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]

    def _check_in(self, presented: Presented, seen: Seen | None = None) -> None:
        try:
            with self._keeping():
                kept = self._register.check_in(presented)
        except OutboxError as error:
            self._say_stop(error)
            return
        now = snapshot.local_now(replace(self._around, now_us=kept.at_us))
        self._turn_to(views.result(kept.decision, now), seen, kept.decided_mono_s)

    def _check_out(self, card: Credential, seen: Seen) -> None:
        try:
            with self._keeping():
                left = self._register.check_out(card)
        except OutboxError as error:
            self._say_stop(error)
            return
        self._turn_to(views.checked_out(left.occurrence), seen, left.decided_mono_s)

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        self._keeper = threading.get_ident()
        try:
            yield
        finally:
            self._keeper = None

    def _say_moment(self) -> None:
        """The outbox's file is in use for long, as at a fork. Others wait for it too, in threads of their own."""
        if self._keeper == threading.get_ident():
            self._turn_to(views.one_moment())

    def _say_stop(self, error: OutboxError) -> None:
        """Nothing was kept, so nobody is green; a card that is still there is tried again."""
        log.warning("nothing can be recorded: %s", error)
        self._seen.clear()
        self._retry_at_s = self._mono_s() + RETRY_S
        self._stopped_until_s = self._mono_s() + STOPPED_AT_LEAST_S
        self._turn_to(views.stop())

    # --- touches --------------------------------------------------------------------------------------------------

    def _touched(self, touched: Touched) -> None:
        now_s = self._mono_s()
        self.moved()
        offered = touched.view == self._view_number and self._offers(touched.touch)
        offered = offered and (touched.touch is Touch.BACK or not self._mode().maintenance)
        calls = offered and touched.touch is Touch.HELP
        self._touches.count(self._view.screen.value, self._clock.now_us(), help_called=calls)
        if not offered:
            if self._deadline_s is not None:
                self._deadline_s = min(self._deadline_s + EXTEND_S, now_s + LONGEST_S)
                self._publish()
            return
        if touched.touch is Touch.PIN:
            self._try_pin(touched.digits, now_s)
        elif touched.touch is Touch.NUMBER:
            self._take_number(touched.digits, now_s)
        elif touched.touch is Touch.GUEST:
            self._check_in(Guest())
        else:
            self._follow(touched.touch, now_s)

    def _offers(self, touch: Touch) -> bool:
        """Whether the view in force has this touch: a page that is behind cannot act on an older one."""
        if touch in {Touch.PIN, Touch.NUMBER}:
            return self._view.screen.value == touch.value
        keypad = self._view.digits > 0
        return (keypad and touch is Touch.BACK) or any(b.touch is touch for b in self._view.buttons)

    def _follow(self, touch: Touch, now_s: float) -> None:
        if touch is Touch.NO_CODE:
            self._turn_to(views.choose(staff=self._pin_hash() is not None))
        elif touch is Touch.HELP:
            self._keep_touches()
            self._turn_to(views.help_called(heard=self._connected(), staff=self._pin_hash() is not None))
        elif touch is Touch.LEAVE:
            self._seen.clear()
            self._turn_to(views.leave())
        elif touch is Touch.STAFF:
            self._turn_to(views.ask_number() if self._gate.is_trusted(now_s) else self._pin_view(now_s))
        else:
            self._gate.forget()
            self._turn_to(self._home())

    def _pin_hash(self) -> str | None:
        desired = self._twin.current()
        return desired.staff_pin_hash if desired else None

    def _pin_view(self, now_s: float) -> View:
        left_s = self._gate.pause_left_s(now_s)
        return views.ask_pin(words.PIN_PAUSED.fill(wait=words.say_wait(left_s))) if left_s else views.ask_pin()

    def _try_pin(self, pin: str, now_s: float) -> None:
        answer = self._gate.try_pin(pin, self._pin_hash() or "", now_s)
        if answer is PinAnswer.RIGHT:
            self._turn_to(views.ask_number())
        elif answer is PinAnswer.WRONG:
            self._turn_to(views.ask_pin(words.PIN_WRONG.fill(left=str(self._gate.tries_left))))
        else:
            self._turn_to(self._pin_view(self._mono_s()))

    def _take_number(self, digits: str, now_s: float) -> None:
        if not self._gate.is_trusted(now_s):
            self._turn_to(self._pin_view(now_s))
            return
        self._gate.trust(now_s)
        try:
            card = credentials.card_id(digits)
        except ValueError:
            self._turn_to(views.ask_number(words.NUMBER_WRONG))
            return
        self._check_in(TypedNumber(card))

    def _keep_touches(self, *, everything: bool = False) -> None:
        now_us = self._clock.now_us()
        if not self._touches.due(now_us, everything=everything):
            return
        desired = self._twin.current()
        records = self._touches.take(now_us, lambda: self._register.stamp(desired), everything=everything)
        try:
            self._outbox.append(records)
        except OutboxError as error:
            log.debug("touches wait: %s", error)
        else:
            self._touches.taken(records)

    # --- the screen -----------------------------------------------------------------------------------------------

    def _home(self) -> View:
        if self._mode().maintenance:
            return views.maintenance()
        stopped = self._around.storage.state != "ok" or self._mono_s() < self._stopped_until_s
        return views.stop() if stopped else views.waiting(camera=self._around.camera)

    def _turn_to(self, view: View, seen: Seen | None = None, decided_s: float = 0.0) -> None:
        stored_s = self._mono_s()
        self._view, self._view_number, self._view_of = view, self._view_number + 1, seen
        self._deadline_s = None if view.back_s is None else stored_s + view.back_s
        self._publish()
        if seen is not None:
            self.timings.append(Timing(seen.captured_mono_s, decided_s, stored_s, self._mono_s()))

    def _publish(self) -> None:
        """Give the page a snapshot, where anything differs from the last one."""
        taken = snapshot.take(self._view, self._around)
        deadline_ms = None if self._deadline_s is None else round(self._deadline_s * 1000)
        back_ms = None if self._view.back_s is None else round(self._view.back_s * 1000)
        captured_ms = None if self._view_of is None else round(self._view_of.captured_mono_s * 1000)
        taken["view"] |= {
            "number": self._view_number,
            "captured_ms": captured_ms,
            "deadline_ms": deadline_ms,
            "back_ms": back_ms,
        }
        if taken != self._shown:
            self._shown = taken
            self._show(taken)
