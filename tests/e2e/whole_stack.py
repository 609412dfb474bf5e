"""All parts as they run in a branch: broker, `cloud serve` and a kiosk agent in processes of their own, and a camera.

One room with an activity that is on for hours, so that no test runs over its end. Used by the test of the whole way and
by the script that takes the README's pictures.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from cloud.console.words import Language
from demo.parts import free_ports
from demo.stack import KIOSK, OPERATOR, Kept, Ports, Stack

FRAME = (1280, 720)
ROOM = ("306", "紫藤活动室", "Wisteria room")
ON_NOW = ("健康讲座：冬季用药安全", "Health talk: using medicines safely")
NEXT = ("手机课堂", "Smartphone class")


@dataclass
class Whole:
    """The running parts, and what a visitor or an operator needs of them."""

    stack: Stack
    kept: Kept
    client: httpx.Client
    pictures: Path
    room_id: str = ""
    occurrence_id: str = ""

    operator = OPERATOR
    terminal_id = KIOSK

    @property
    def password(self) -> str:
        return self.kept.operator_password

    @property
    def console_url(self) -> str:
        return self.stack.url

    @property
    def kiosk_url(self) -> str:
        return self.stack.kiosk_url

    def hold(self, picture: bytes) -> None:
        """Hold a picture before the kiosk's camera, instead of the one before."""
        draft = self.pictures / "card.new"
        draft.write_bytes(picture)
        draft.rename(self.pictures / "card.png")

    def take_away(self) -> None:
        """The camera sees the empty room again."""
        (self.pictures / "card.png").unlink(missing_ok=True)

    def speak(self, language: Language) -> None:
        """Set the kiosk's first language, as an operator would; its twin follows."""
        self._place({"language": str(language)})

    def sample_often(self) -> None:
        """A health sample every five seconds."""
        self._place({"health_every_s": 5.0})

    def settle(self) -> None:
        """A room with something on now and later today, and the kiosk in it."""
        organisations = self._get("/organisations", limit=50)["items"]
        branch = next(each["id"] for each in organisations if each["parent_id"])
        number, name, name_en = ROOM
        room = self._post("/rooms", organisation_id=branch, number=number, name=name, name_en=name_en)
        self.room_id = room["id"]
        now = datetime.now(UTC)
        begun = datetime.fromtimestamp((now.timestamp() // 300 - 2) * 300, UTC)
        activity = self._plan(ON_NOW, begun, hours=3)
        self.occurrence_id = f"{activity}/{begun:%Y%m%dT%H%M%SZ}"
        self._plan(NEXT, begun + timedelta(hours=4), hours=1.5)
        self._place({"language": "zh"})

    def _plan(self, titles: Sequence[str], at: datetime, hours: float) -> str:
        made = self._post(
            "/activities", room_id=self.room_id, title=titles[0], title_en=titles[1], opens_before_s=1800,
            starts_at=int(at.timestamp()) * 1_000_000, duration_s=int(hours * 3600),
        )  # fmt: skip
        identity: str = made["id"]
        return identity

    def _place(self, settings: dict[str, Any]) -> None:
        path = f"/api/v1/terminals/{KIOSK}"
        version = self.client.get(path).raise_for_status().headers["etag"]
        body = {
            "kind": "kiosk", "profile": "kiosk", "room_id": self.room_id,
            "settings": {"resend_timeout_s": 5.0, **settings},
        }  # fmt: skip
        self.client.put(path, json=body, headers={"If-Match": version}).raise_for_status()

    def _get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1{path}", params=query).raise_for_status().json()

    def _post(self, path: str, **body: Any) -> Any:
        return self.client.post(f"/api/v1{path}", json=body).raise_for_status().json()


@contextmanager
def running_whole(folder: Path, *, simulated: int = 0, members: int = 0) -> Iterator[Whole]:
    """Start all parts on free ports, stop them at the end; with members who come to ``simulated`` kiosks by themselves."""
    stack = Stack(folder, Ports(*free_ports(3)), lambda _: None)
    try:
        stack.start_cloud()
        kept = stack.prepare(simulated, members)
        stack.start_broker()
        with _signed(stack, kept) as client:
            whole = Whole(stack, kept, client, folder / "camera")
            Image.new("L", FRAME, 190).save(whole.pictures / "empty-room.png")
            whole.settle()
            stack.start_kiosk(str(whole.pictures))
            if simulated:
                stack.start_fleet(kept)
            yield whole
    finally:
        stack.stop()


def _signed(stack: Stack, kept: Kept) -> httpx.Client:
    return httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {kept.token}"}, timeout=30)
