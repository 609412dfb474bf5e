"""A small town with obviously made-up people: organisations, rooms, activities, terminals, members and cards.

Made through the HTTP API, once; what it gave (passwords, QR texts) is for the caller to keep. Called by demo and smoke test.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import httpx
import numpy as np
import zxingcpp

QUARTER = timedelta(minutes=15)
ROOMS = (
    ("302", "梧桐活动室", "Wutong room", "健康讲座：冬季用药安全", "Health talk: using medicines safely"),
    ("105", "玉兰书画室", "Magnolia studio", "书法班", "Calligraphy class"),
    ("210", "青竹阅览室", "Bamboo reading room", "读书会", "Reading circle"),
    ("401", "银杏议事厅", "Ginkgo hall", "居民议事会", "Residents' meeting"),
    ("118", "海棠课堂", "Crabapple classroom", "手机课堂", "Smartphone class"),
)
GIVEN = ("青松", "白杨", "银杏", "海棠", "玉兰", "丹桂", "翠竹", "红枫", "雪松", "石榴")
GIVEN_EN = ("Pine", "Poplar", "Ginkgo", "Crabapple", "Magnolia", "Osmanthus", "Bamboo", "Maple", "Cedar", "Pomegranate")


class WorldError(Exception):
    """The API answered otherwise than the demo needs; the message says what it said."""


@dataclass(frozen=True)
class Card:
    """One member's card: ``text`` is what its QR code holds, read from the printed picture."""

    member_id: str
    credential_id: str
    text: str


@dataclass(frozen=True)
class Terminal:
    """A registered terminal and its one password."""

    id: str
    password: str


@dataclass(frozen=True)
class World:
    """What was made."""

    terminals: tuple[Terminal, ...]
    cards: tuple[Card, ...]


class Api:
    """The cloud's HTTP API with a token; every answer but 2xx is a WorldError."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)

    def get(self, path: str, **query: Any) -> Any:
        """The answer's JSON."""
        return self._answer(self._client.get(f"/api/v1{path}", params=query)).json()

    def get_bytes(self, path: str, **query: Any) -> bytes:
        """The answer's body."""
        return self._answer(self._client.get(f"/api/v1{path}", params=query)).content

    def post(self, path: str, **body: Any) -> Any:
        """Make something; the answer's JSON."""
        return self._answer(self._client.post(f"/api/v1{path}", json=body)).json()

    def post_version(self, path: str, version: int) -> Any:
        """Do something with the version of a thing that was seen (If-Match); the answer's JSON."""
        return self._answer(self._client.post(f"/api/v1{path}", headers={"If-Match": f'"{version}"'})).json()

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        """Every item of a paged list."""
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, limit=200, **query, **cursor)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    @staticmethod
    def _answer(answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            return answer
        raise WorldError(
            f"{answer.request.method} {answer.url.path} was answered {answer.status_code}: {answer.text[:300]}"
        )


def make_world(
    api: Api, terminal_ids: list[str], members: int, say: Callable[[str], None], *, resend_timeout_s: float = 5.0
) -> World:
    """Fill an empty cloud; terminals are spread over the rooms, the first stands in the first room."""
    say("Making organisations, rooms and activities")
    town = api.post("/organisations", name="示例城", name_en="Sample Town", timezone="Asia/Shanghai")
    street = api.post("/organisations", name="示例街道", name_en="Sample Street", parent_id=town["id"])
    rooms = [_make_room(api, street["id"], *room) for room in ROOMS]
    settings = {"resend_timeout_s": resend_timeout_s}
    terminals = tuple(
        _register(api, each, rooms[index % len(rooms)], settings) for index, each in enumerate(terminal_ids)
    )
    cards = []
    for index in range(members):
        if index % 20 == 0:
            say(f"Making members and their cards: {index} of {members}")
        cards.append(_make_member(api, street["id"], index))
    return World(terminals, tuple(cards))


def _make_room(api: Api, organisation: str, number: str, name: str, name_en: str, title: str, title_en: str) -> str:
    room: str = api.post("/rooms", organisation_id=organisation, number=number, name=name, name_en=name_en)["id"]
    now = datetime.now(UTC)
    start = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    api.post(
        "/activities",
        room_id=room,
        title=title,
        title_en=title_en,
        starts_at=int(start.timestamp()) * 1_000_000,
        duration_s=int(QUARTER.total_seconds()),
        opens_before_s=0,
        rrule="FREQ=MINUTELY;INTERVAL=15",
    )
    return room


def _register(api: Api, terminal_id: str, room_id: str, settings: dict[str, float]) -> Terminal:
    made = api.post("/terminals", id=terminal_id, kind="kiosk", profile="kiosk", room_id=room_id, settings=settings)
    return Terminal(terminal_id, made["password"])


def _make_member(api: Api, organisation: str, index: int) -> Card:
    name = f"示例·{GIVEN[index % 10]}{index + 1:03d} Sample {GIVEN_EN[index % 10]}"
    member = api.post(
        "/members", organisation_id=organisation, display_name=name, external_id=f"SAMPLE-{index + 1:04d}"
    )
    credential = api.post("/credentials", member_id=member["id"])
    picture = api.get_bytes(f"/credentials/{credential['id']}/card.png")
    return Card(member["id"], credential["id"], text_of(picture))


def text_of(picture: bytes) -> str:
    """What the QR code of a printed card holds; WorldError when nothing can be read.

    QR codes only: one card in three hundred has modules in a row that a reader of every format takes for a bar code too.
    """
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    found = (
        zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode]))
        if image is not None
        else []
    )
    if len(found) != 1:
        raise WorldError("A card was printed that holds no QR code, or several.")
    return str(found[0].text)
