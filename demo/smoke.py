"""The smoke test: one printed card before the camera becomes a linked row, and ten more do while broker and cloud restart.

Real parts on free ports in a temporary folder. Prints one JSON line; the exit status is 1 where something is missing, doubled
or out of order. Called by `make smoke`.
"""

import itertools
import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from demo.parts import free_ports
from demo.stack import Kept, Ports, Stack
from demo.world import Api, Card

CHECK_INS = 11
SHOW_S = 0.8
DRAIN_WITHIN_S = 45.0
FRAME = (720, 1280)


def smoke(say: Callable[[str], None]) -> bool:
    """Run it; whether all eleven are there, linked, once and in order."""
    with tempfile.TemporaryDirectory(prefix="roomlink-smoke-") as folder:
        stack = Stack(Path(folder), Ports(*free_ports(3)), say)
        try:
            return _smoke(stack)
        finally:
            stack.stop()


def _smoke(stack: Stack) -> bool:
    stack.start_cloud()
    kept = stack.prepare(kiosks=0, members=CHECK_INS)
    stack.start_broker()
    frame = stack.folder / "camera" / "frame.png"
    _show(frame, None)
    stack.start_kiosk(str(frame.parent))
    api = stack.api(kept)
    try:
        first_linked_ms = _first(stack, api, frame, kept.world.cards[0])
        _restart_meanwhile(stack, frame, kept)
        found = _wait_for_check_ins(api, CHECK_INS, DRAIN_WITHIN_S)
    finally:
        api.close()
    result = judge([card.member_id for card in kept.world.cards], found)
    result["first_linked_ms"] = first_linked_ms
    print(json.dumps(result), flush=True)
    return bool(result["ok"])


def judge(shown: Sequence[str], found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Compare the members whose cards were shown, in order, with the stored check-ins."""
    rows = sorted(found, key=lambda row: row["number"])
    members = [row["member_id"] for row in rows if row["outcome"] == "accepted"]
    doubled = sum(count - 1 for count in Counter(row["record_id"] for row in rows).values())
    lost = sum((Counter(shown) - Counter(members)).values())
    linked = sum(row["member_id"] is not None for row in rows)
    in_order = [member for member, _ in itertools.groupby(members)] == list(shown)
    ok = len(rows) == len(shown) == linked and not lost and not doubled and in_order
    return {
        "ok": ok,
        "checkins": len(rows),
        "linked": linked,
        "lost": lost,
        "duplicates": doubled,
        "in_order": in_order,
    }


def _first(stack: Stack, api: Api, frame: Path, card: Card) -> int:
    """Milliseconds from the card before the camera to the linked row by the API."""
    stack.say("Showing one card")
    began = time.monotonic()
    _show(frame, _printed(api, card))
    _wait_for_check_ins(api, 1, 30)
    linked_ms = round((time.monotonic() - began) * 1000)
    _show(frame, None)
    return linked_ms


def _restart_meanwhile(stack: Stack, frame: Path, kept: Kept) -> None:
    api = stack.api(kept)
    pictures = [_printed(api, card) for card in kept.world.cards[1:]]
    api.close()
    visitors = threading.Thread(target=_show_all, args=(frame, pictures), name="visitors")
    visitors.start()
    stack.say("Restarting the broker and the cloud while ten more cards are shown")
    stack.broker.stop()
    stack.cloud.stop()
    stack.start_cloud()
    stack.start_broker()
    visitors.join()


def _show_all(frame: Path, pictures: Sequence[NDArray[np.uint8]]) -> None:
    for picture in pictures:
        _show(frame, picture)
        threading.Event().wait(SHOW_S)
    _show(frame, None)


def _printed(api: Api, card: Card) -> NDArray[np.uint8]:
    encoded = np.frombuffer(api.get_bytes(f"/credentials/{card.credential_id}/card.png"), np.uint8)
    picture = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise ValueError(f"the card {card.credential_id} is no picture")
    return picture.astype(np.uint8)


def _show(frame: Path, card: NDArray[np.uint8] | None) -> None:
    """Put a frame before the camera: the card in a grey room, or the room alone."""
    height, width = FRAME
    room = np.full(FRAME, 128, np.uint8)
    if card is not None:
        scale = min(0.9 * height / card.shape[0], 0.9 * width / card.shape[1])
        small = cv2.resize(card, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
        room[top : top + small.shape[0], left : left + small.shape[1]] = small
    draft = frame.with_suffix(".new")
    draft.write_bytes(cv2.imencode(".png", room)[1].tobytes())
    draft.rename(frame)


def _wait_for_check_ins(api: Api, wanted: int, within_s: float) -> list[dict[str, Any]]:
    """The check-ins once ``wanted`` of them are linked, or what there is after ``within_s``."""
    deadline = time.monotonic() + within_s
    while True:
        found = list(api.pages("/check-ins"))
        linked = sum(row["member_id"] is not None for row in found)
        if linked >= wanted or time.monotonic() > deadline:
            return found
        time.sleep(0.02)
