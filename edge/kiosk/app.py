"""The kiosk of an agent: camera, session and screen, started and stopped together.

Promises to run without a camera, without a twin and without a network, and that a fault in one frame or touch does not
end the kiosk. Called by the agent. OpenCV is imported only where a camera is set.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from edge.clock import Clock
from edge.kiosk.register import Twin
from edge.kiosk.screen import Screen
from edge.kiosk.session import Identify, Seen, Session, Timing, Touched
from edge.mode import Mode
from edge.outbox import Outbox
from edge.settings import KioskSettings, Settings

if TYPE_CHECKING:
    from edge.kiosk.camera import Camera

log = logging.getLogger(__name__)

OUT_OF_VIEW_S: Final = 0.0  # every reading: the session alone knows when a card begins to count again
CAMERA_GRACE_S: Final = 5.0  # a camera that starts or comes back is not called broken for so long
CALM_S: Final = 1.0  # after a fault in reading a frame


class UplinkStatus(Protocol):
    """What the state line needs of the uplink."""

    @property
    def connected(self) -> bool: ...


class KioskApp:
    """One kiosk. ``uplink_status`` is asked twice a second."""

    def __init__(
        self,
        outbox: Outbox,
        twin: Twin,
        uplink_status: Callable[[], UplinkStatus],
        clock: Clock,
        settings: Settings,
        mode: Callable[[], Mode] = Mode,
    ) -> None:
        kiosk = settings.kiosk or KioskSettings()
        self._stopping = threading.Event()
        self._camera = _open_camera(kiosk.camera) if kiosk.camera else None
        self._picture_mono_s = float("-inf")
        self._eyes: threading.Thread | None = None
        self._screen = Screen(kiosk.page_port, self._touched)
        self._session = Session(
            terminal=settings.terminal,
            language=kiosk.language or "zh",
            outbox=outbox,
            twin=twin,
            clock=clock,
            connected=lambda: uplink_status().connected,
            camera=self.has_picture,
            has_camera=self._camera is not None,
            show=self._screen.show,
            mode=mode,
        )

    def start(self) -> None:
        """Listen, look and decide; raises SettingsError where the page's port is taken."""
        self._screen.start()
        log.info("the kiosk's page is at %s", self.url)
        self._picture_mono_s = time.monotonic()
        self._session.start()
        if self._camera is not None:
            self._camera.start()
            self._eyes = threading.Thread(target=self._look, args=(self._camera,), name="eyes", daemon=True)
            self._eyes.start()

    def stop(self) -> None:
        """End everything; the touches counted so far are kept."""
        self._stopping.set()
        if self._camera is not None:
            self._camera.stop()
        if self._eyes is not None:
            self._eyes.join()
        self._session.stop()
        self._screen.stop()

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://127.0.0.1:{self._screen.port}/"

    @property
    def pages(self) -> int:
        """How many pages answer, and show what they were told: 0 means that nobody can see the kiosk's screen."""
        return self._screen.answering

    def timings(self) -> list[Timing]:
        """The last results, from frame to screen event."""
        return list(self._session.timings)

    def measure(self) -> dict[str, float]:
        """For a health sample, by the names of the kiosk's profile."""
        metrics = {"page_alive": float(self.pages > 0)}
        answer_s = self._screen.answer_s
        if answer_s is not None:
            metrics["page_answer_ms"] = answer_s * 1000
        if self._camera is not None:
            seen = self._camera.statistics()
            metrics["camera_fps"] = seen.frames_per_s
            if seen.last_decode_at is not None:
                metrics["last_decode_age_s"] = max(0.0, (datetime.now(UTC) - seen.last_decode_at).total_seconds())
        return metrics

    def identify(self, seconds: float) -> None:
        """Show and sound which terminal this is."""
        self._session.put(Identify(seconds))

    def cover(self, *, on: bool) -> None:
        """Show nothing about a visitor from now on, whatever happens; or everything again."""
        self._screen.cover(on=on)

    def is_covered(self, within_s: float) -> bool:
        """Whether every open page has said that it is covered, within a time."""
        return self._screen.is_covered(within_s)

    def has_picture(self) -> bool:
        """Whether frames come; a camera has some seconds to start or to come back."""
        if self._camera is None:
            return False
        now_s = time.monotonic()
        if self._camera.statistics().state == "running":
            self._picture_mono_s = now_s
        return now_s - self._picture_mono_s < CAMERA_GRACE_S

    def _touched(self, touched: Touched) -> None:
        self._session.put(touched)

    def _look(self, camera: "Camera") -> None:
        from edge.kiosk.eyes import sightings

        while not self._stopping.is_set():
            try:
                for seen in sightings(
                    camera, self._stopping, out_of_view_s=OUT_OF_VIEW_S, on_motion=self._session.moved
                ):
                    self._session.put(Seen(seen.text, seen.captured_mono_s))
            except Exception:  # the thread's outermost loop: the next frame is another one
                log.exception("a frame could not be read")
                self._stopping.wait(CALM_S)


def _open_camera(source: str) -> "Camera":
    from edge.kiosk.camera import Camera

    return Camera(source)
