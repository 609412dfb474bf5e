"""Resident memory after an hour's worth of work, done in five minutes by doing each thing more often, never less of it.

One service, at the same time: an agent without a camera (60 guests by touch, 60 health samples), an agent with a camera (36,000
frames: ten a second for an hour; the video runs at 120 a second, cards in it, 60 health samples), and the cloud for both and a
fleet of 100 kiosks (60 health samples and 60 check-ins each, 720 questions to the API, 240 to /metrics, 120 console pages).
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import mean
from typing import Any

import httpx
import psutil

from demo.video import write_room_video
from tests.bench.linked import write_fleet
from tests.bench.page import Page, Snapshot
from tests.bench.service import Service, agent, service, until
from tests.bench.stage import folder, scalar
from tests.process import HOST, Process, accepts, free_port, wait_until

SECONDS = 300.0
HEALTH_EVERY_S = 5.0
"""The least that a twin may say: 60 samples, an hour's, in five minutes."""
FRAMES, FRAMES_PER_S = 36_000, 120
MORE_S = 150.0
"""At most so much longer for a machine that cannot take 120 frames a second; `memory_work` says how many it were."""
FLEET, VISITORS, MEMBERS = 100, 60, 40
PLAIN, CAMERA = "kiosk-302-a", "kiosk-302-b"
REQUESTS = (("/api/v1/check-ins?limit=50", 720), ("/metrics", 240), ("/", 60), ("/members", 30), ("/terminals", 30))
MIB = 1 << 20


def measure(seconds: float = SECONDS, fleet: int = FLEET, more_s: float = MORE_S) -> dict[str, float | str]:
    """`memory_mb.agent`, `.agent_camera`, `.cloud`; and how much work that was."""
    names = [PLAIN, CAMERA, *(f"kiosk-{number:03d}" for number in range(1, fleet + 1))]
    with folder() as place, service(place, names, MEMBERS) as whole, ExitStack() as stack:
        _sample_often(whole)
        config = write_fleet(whole, place / "fleet", fleet * VISITORS / SECONDS, skipped=(PLAIN, CAMERA))
        stack.enter_context(agent(config, "fleet"))
        plain, plain_page = _start(stack, whole, PLAIN, "")
        camera, camera_page = _start(stack, whole, CAMERA, str(_video(whole, place)))
        began = time.monotonic()
        stack.enter_context(Page(camera_page))
        page = stack.enter_context(Page(plain_page, as_guest))
        answered = _ask(whole, seconds)
        wanted = FRAMES * seconds / SECONDS
        wait_until(lambda: _frames(place / CAMERA, began) >= wanted, more_s, every_s=2.0)
        return {
            "memory_mb.agent": _resident_mb(plain),
            "memory_mb.agent_camera": _resident_mb(camera),
            "memory_mb.cloud": _resident_mb(whole.cloud.process),
            "memory_work.agent_results": float(len(page.results)),
            "memory_work.camera_frames": _frames(place / CAMERA, began),
            "memory_work.cloud_records": float(scalar(whole.engine, "SELECT SUM(through) FROM streams")),
            "memory_work.cloud_requests": float(answered),
        }


def as_guest(snapshot: Snapshot) -> dict[str, Any] | None:
    """What a visitor without a card touches: "no code", then "guest"; a result is read until it goes by itself."""
    touch = {"waiting": "no_code", "choose": "guest"}.get(snapshot["view"]["screen"])
    return None if touch is None else {"touch": touch}


def _start(stack: ExitStack, whole: Service, terminal: str, camera: str) -> tuple[Process, str]:
    port = free_port()
    config = whole.write_kiosk(terminal, whole.folder / terminal, {"camera": camera, "page_port": port})
    process = stack.enter_context(agent(config))
    until("the page answers", 30, lambda: accepts(port))
    return process, f"http://{HOST}:{port}/"


def _video(whole: Service, place: Path) -> Path:
    path = place / "room.avi"
    cards = [card.text for card in whole.world.cards[:12]]
    write_room_video(path, cards, frames_per_s=FRAMES_PER_S, hold_s=0.5, pause_s=0.5)
    return path


def _sample_often(whole: Service) -> None:
    """Every terminal's twin asks for a sample each HEALTH_EVERY_S."""
    with _client(whole) as client:
        for terminal in whole.world.terminals:
            got = client.get(f"/api/v1/terminals/{terminal.id}")
            form = {"room_id": got.json()["room_id"], "settings": {"health_every_s": HEALTH_EVERY_S}}
            headers = {"If-Match": got.headers["ETag"]}
            client.put(f"/api/v1/terminals/{terminal.id}", json=form, headers=headers).raise_for_status()


def _ask(whole: Service, seconds: float) -> int:
    """An hour's requests, spread over the time; how many were answered."""
    total = sum(count for _, count in REQUESTS)
    share = seconds / SECONDS
    began, answered = time.monotonic(), 0
    with httpx.Client(base_url=whole.cloud.url, timeout=30) as client:
        client.post("/api/v1/session", json={"name": "bench", "password": whole.password}).raise_for_status()
        for path in itertools.islice(_spread(), int(total * share)):
            answer = client.get(path)
            if not answer.is_success:
                raise RuntimeError(f"{path}: {answer.status_code}\n{whole.cloud.process.log_tail(40)}")
            answered += 1
            due_s = began + seconds * answered / (total * share)
            threading.Event().wait(max(0.0, due_s - time.monotonic()))
    return answered


def _spread() -> Iterator[str]:
    """Paths, each as often as it should be, evenly mixed."""
    places = [((index + 0.5) / count, path) for path, count in REQUESTS for index in range(count)]
    return (path for _, path in sorted(places))


def _client(whole: Service) -> httpx.Client:
    return httpx.Client(base_url=whole.cloud.url, headers={"Authorization": f"Bearer {whole.token}"}, timeout=30)


def _frames(disk: Path, began: float) -> float:
    """How many frames the camera has given: the mean of the rates in its own health samples, over the time."""
    with closing(sqlite3.connect(f"file:{disk / 'outbox.db'}?mode=ro", uri=True, timeout=5)) as connection:
        lines = connection.execute("SELECT line FROM records WHERE type = 'health'").fetchall()
    rates = [json.loads(line)["metrics"].get("camera_fps", 0.0) for (line,) in lines][1:]
    return mean(rates) * (time.monotonic() - began) if rates else 0.0


def _resident_mb(process: Process) -> float:
    """MiB of a process and its children."""
    here = psutil.Process(process.pid)
    return sum(float(each.memory_info().rss) for each in (here, *here.children(recursive=True))) / MIB
