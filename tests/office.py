"""The cloud's HTTP side over a real socket, on either database, with an account of each role; no broker, no ingest."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from cloud.accounts import service as accounts
from cloud.accounts.service import Role
from cloud.api import Cloud, no_timeseries
from cloud.app import create_app
from cloud.audit.service import Change
from cloud.clock import to_us, utc_now
from cloud.database import transaction
from cloud.scope import EVERYWHERE
from cloud.settings import Settings
from cloud.timeseries.port import Timeseries
from tests.ledgers import migrated
from tests.process import HOST, free_port, wait_until

PASSWORD = "correct-horse-9"
JSON = dict[str, Any]


@dataclass
class Office:
    """A running application; `shift` moves its clock."""

    app: FastAPI
    engine: Engine
    settings: Settings
    url: str
    tokens: dict[Role, str] = field(default_factory=dict)
    shift: timedelta = timedelta(0)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def cloud(self) -> Cloud:
        """What the routes use."""
        cloud: Cloud = self.app.state.cloud
        return cloud

    def now(self) -> datetime:
        """The application's clock."""
        return utc_now() + self.shift

    def client(self, role: Role | None = Role.ADMIN, *, token: str = "") -> httpx.Client:
        """A client with a token of that role, with `token`, or without any."""
        token = token or (self.tokens[role] if role else "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def make(self, path: str, **body: Any) -> JSON:
        """POST as an admin, which must succeed."""
        with self.client() as client:
            answer = client.post(f"/api/v1{path}", json=body)
        assert answer.status_code == 201, answer.text
        made: JSON = answer.json()
        return made

    def organisation(self, **more: Any) -> JSON:
        """A new root, or what `more` says."""
        return self.make("/organisations", **{"name": f"示例机构{next(self._numbers)}", **more})

    def room(self, organisation_id: str) -> JSON:
        """A new room with a plate of its own."""
        number = str(100 + next(self._numbers))
        return self.make("/rooms", organisation_id=organisation_id, number=number, name="绘画室")

    def member(self, organisation_id: str, **more: Any) -> JSON:
        """A new member with a made-up name."""
        name = f"样例成员{next(self._numbers)}"
        return self.make("/members", **{"organisation_id": organisation_id, "display_name": name, **more})

    def activity(self, room_id: str, **more: Any) -> JSON:
        """One that starts in an hour and lasts as long."""
        starts_at = to_us(self.now().replace(microsecond=0) + timedelta(hours=1))
        body = {"room_id": room_id, "title": "太极", "starts_at": starts_at, "duration_s": 3600, **more}
        return self.make("/activities", **body)

    def terminal(self, room_id: str | None, **more: Any) -> JSON:
        """A kiosk and its password."""
        return self.make("/terminals", **{"id": f"kiosk-{next(self._numbers)}", "room_id": room_id, **more})


def settings_for(folder: Path, **more: Any) -> Settings:
    """Settings that lean on nothing of the machine's environment."""
    return Settings(**{"database_url": "sqlite://", "data_dir": folder, **more})


@contextmanager
def open_office(
    folder: Path, database_url: str, timeseries: Callable[[], Timeseries] = no_timeseries, **more: Any
) -> Iterator[Office]:
    """The application on a free port, until the block ends."""
    settings = settings_for(folder, database_url=database_url, **more)
    engine = migrated(database_url)
    port = free_port()
    office = Office(FastAPI(), engine, settings, f"http://{HOST}:{port}")
    office.app = create_app(settings, engine=engine, clock=office.now, timeseries=timeseries)
    _hire(office)
    config = uvicorn.Config(office.app, host=HOST, port=port, log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert wait_until(lambda: server.started)
        yield office
    finally:
        server.should_exit = True
        thread.join()
        engine.dispose()


def hire_in(office: Office, organisation_id: str) -> dict[Role, str]:
    """Accounts of a branch, one in each role; a token of each."""
    change, tokens = Change("test", utc_now()), {}
    with transaction(office.engine) as session:
        for role in Role:
            account = accounts.create_account(
                session, change, EVERYWHERE, f"{role}-{organisation_id}", PASSWORD, role, organisation_id
            )
            _, tokens[role] = accounts.create_token(session, change, role, account, "test", role, None)
    return tokens


def _hire(office: Office) -> None:
    change = Change("test", utc_now())
    with transaction(office.engine) as session:
        for role in Role:
            account = accounts.create_account(session, change, EVERYWHERE, f"{role}-1", PASSWORD, role)
            _, office.tokens[role] = accounts.create_token(session, change, role, account, "test", role, None)


def etag(version: int) -> dict[str, str]:
    """The header that edits need."""
    return {"If-Match": f'"{version}"'}
