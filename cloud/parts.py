"""The parts that run beside the requests, made from the settings: ingest and projector. Wires; decides nothing.

Called by `serve` and `worker`. With ROOMLINK_INGEST=apart, `serve` leaves ingest to workers.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

from sqlalchemy import Engine

from cloud.api import Cloud
from cloud.clock import utc_now
from cloud.ingest.child import ChildLine, Task
from cloud.ingest.line import Line
from cloud.ingest.reconcile import Reconciler
from cloud.ingest.running import Held, ingesting
from cloud.ingest.subscriber import Broker
from cloud.ingest.worker import AnyLine
from cloud.journal import projecting
from cloud.journal.projecting import Kept, Projecting
from cloud.loop import Loop
from cloud.settings import Settings
from cloud.timeseries.port import Timeseries
from cloud.timeseries.stores import open_store


class Parts:
    """What `serve` runs beside its requests, and whom to ask about it."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings, self._engine = settings, engine
        self._held: Held | None = None
        self.projecting = Projecting(engine, utc_now, lambda: timeseries_of(settings), kept_of(settings))

    @contextmanager
    def project(self, _cloud: Cloud) -> Iterator[None]:
        """The projector."""
        with projecting.running(self.projecting):
            yield

    @contextmanager
    def ingest(self, _cloud: Cloud) -> Iterator[None]:
        """Ingest, unless it runs apart."""
        if self._settings.ingest == "apart":
            yield
            return
        with ingest_of(self._settings, self._engine) as self._held:
            yield

    @contextmanager
    def reconcile(self, cloud: Cloud) -> Iterator[None]:
        """The reconciler."""
        kept = kept_of(self._settings).points
        loop = Loop("reconciler", Reconciler(self._engine, utc_now, cloud.timeseries, kept).turn)
        loop.start()
        try:
            yield
        finally:
            loop.stop()

    def trouble(self) -> str | None:
        """What keeps ingest from working."""
        return self._held.trouble() if self._held else None


def ingest_of(settings: Settings, engine: Engine) -> AbstractContextManager[Held]:
    """Ingest as the settings want it."""
    password = settings.mqtt_password
    broker = Broker(
        settings.mqtt_host,
        settings.mqtt_port,
        settings.mqtt_user,
        password.get_secret_value() if password else None,
    )
    return ingesting(engine, utc_now, broker, lambda: _lines(settings, engine))


def timeseries_of(settings: Settings) -> Timeseries:
    """The store of the settings, opened."""
    token = settings.timeseries_token
    return open_store(
        settings.series_url(), zone=settings.timeseries_zone, token=token.get_secret_value() if token else ""
    )


def _lines(settings: Settings, engine: Engine) -> Sequence[AnyLine]:
    if not settings.ingest_processes:
        return [Line(engine, streams_per_day=settings.streams_per_day)]
    task = Task(settings.ledger_url(), settings.streams_per_day, settings.log_level, settings.log_format)
    return [ChildLine(task) for _ in range(settings.ingest_processes)]


def kept_of(settings: Settings) -> Kept:
    """The retentions of the settings."""

    def days(number: int | None) -> timedelta | None:
        return None if number is None else timedelta(days=number)

    return Kept(points=days(settings.points_days), journal=days(settings.journal_days))
