"""The town of a fleet under test: rooms with something on, members with signed cards, and thousands of terminals.

A handful of terminals is claimed by code over HTTP, as a site does it; all others get their certificates from the authority's
own code, by the ledger. Called by the driver.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from cloud.audit.service import Change
from cloud.certificates import issuing
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.keybox import KeyBox
from cloud.scope import EVERYWHERE
from cloud.terminals import service as terminals
from cloud.terminals.service import NewTerminalForm
from demo.world import Api, text_of
from edge import identity
from edge.claim import claim
from edge.identity import BrokerAt, Claim
from edge.settings import IDENTITY
from tests.fleet.service import Service
from tests.process import HOST

PER_ROOM = 10
AT_ONCE = 50
"""Terminals registered in one transaction: the cloud writes beside it."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Town:
    """Ids of all terminals, the claimed ones first, and what the members' cards say."""

    terminals: tuple[str, ...]
    cards: tuple[str, ...]


def settle(service: Service, disks: Path, count: int, claimed: int, members: int, health_s: float, say: Say) -> Town:
    """Make it all; a terminal's key and certificate lie in its folder below ``disks``."""
    api = service.api()
    rooms, cards = _rooms(api, max(1, count // PER_ROOM)), _cards(api, members, say)
    names = [f"kiosk-{number:05d}" for number in range(1, count + 1)]
    settings: dict[str, Any] = {"language": "en", "health_every_s": health_s, "resend_timeout_s": 20.0}
    forms = [
        NewTerminalForm(id=name, room_id=rooms[at % len(rooms)], settings=settings) for at, name in enumerate(names)
    ]
    for form in forms[:claimed]:
        api.post("/terminals", **form.model_dump(mode="json"))
        code = api.post(f"/terminals/{form.id}/claim-code")["code"]
        claim(service.cloud.url, code, disks / form.id / IDENTITY)
    api.close()
    for number, chunk in enumerate(_chunks(forms[claimed:])):
        say(f"issuing certificates: {claimed + number * AT_ONCE} of {count}")
        _enrol(service, disks, chunk)
    return Town(tuple(names), tuple(cards))


def _rooms(api: Api, count: int) -> list[str]:
    """Each with something on, now and daily."""
    town = api.post("/organisations", name="示例城", name_en="Sample Town", timezone="Asia/Shanghai")
    starts_at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    rooms = []
    for number in range(1, count + 1):
        room = api.post("/rooms", organisation_id=town["id"], number=f"{number:04d}", name=f"示例室 {number}")["id"]
        api.post(
            "/activities", room_id=room, title="示例活动", title_en="Sample activity",
            starts_at=int(starts_at.timestamp()) * 1_000_000, duration_s=6 * 3600, opens_before_s=0, rrule="FREQ=DAILY",
        )  # fmt: skip
        rooms.append(room)
    return rooms


def _cards(api: Api, count: int, say: Say) -> list[str]:
    owner = api.get("/organisations")["items"][0]["id"]
    cards = []
    for number in range(1, count + 1):
        if number % 50 == 1:
            say(f"printing cards: {number - 1} of {count}")
        name, external = f"示例·成员 {number:04d}", f"SAMPLE-{number:04d}"
        member = api.post("/members", organisation_id=owner, display_name=name, external_id=external)
        credential = api.post("/credentials", member_id=member["id"])
        cards.append(text_of(api.get_bytes(f"/credentials/{credential['id']}/card.png")))
    return cards


def _enrol(service: Service, disks: Path, forms: Sequence[NewTerminalForm]) -> None:
    """As registration and claim do it, in one transaction and without HTTP."""
    box = KeyBox(service.folder / "cloud" / "authority.key")
    broker = BrokerAt(host=HOST, port=service.broker.port)
    change = Change("fleet", utc_now())
    with transaction(service.engine) as session:
        for form in forms:
            terminal = terminals.register(session, change, EVERYWHERE, form).terminal
            password = terminals.know_by_certificate(session, terminal)
            folder = disks / form.id / IDENTITY
            key = identity.pending_key(folder)
            given = issuing.give_terminal(session, box, form.id, key.public_key, change.at)
            told = Claim(
                terminal=form.id, profile=form.profile, broker=broker, cloud_url=service.cloud.url, password=password
            )
            identity.keep_claim(folder, told, (given.certificate + given.chain).encode(), given.root.encode(), None)


def _chunks(forms: Sequence[NewTerminalForm]) -> Iterator[list[NewTerminalForm]]:
    rest = iter(forms)
    while chunk := list(islice(rest, AT_ONCE)):
        yield chunk
