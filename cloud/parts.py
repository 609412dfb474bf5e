"""The parts that run beside the requests, made from the settings: ingest, projector, revocation, alarms, notifications.

Wires; decides nothing. Called by `serve` and `worker`. With ROOMLINK_INGEST=apart, `serve` leaves ingest to workers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta

from sqlalchemy import Engine

from cloud.alarms.evaluating import Evaluator
from cloud.api import Cloud
from cloud.broker import Broker, Tls
from cloud.certificates.keeper import Keeper
from cloud.certificates.takeover import take_over
from cloud.clock import Clock, utc_now
from cloud.ingest.child import ChildLine, Task
from cloud.ingest.line import Line
from cloud.ingest.reconcile import Reconciler
from cloud.ingest.running import Held, ingesting
from cloud.ingest.worker import AnyLine
from cloud.journal import projecting
from cloud.journal.projecting import Kept, Projecting
from cloud.keybox import KeyBox
from cloud.lease import ALARMS, CERTIFICATES, NOTIFICATIONS, Lease
from cloud.loop import Loop
from cloud.notifications.carrying import carrier_of
from cloud.notifications.sending import Notifier
from cloud.settings import Settings
from cloud.timeseries.port import Timeseries
from cloud.timeseries.stores import open_store


class Parts:
    """What `serve` runs beside its requests, and whom to ask about it."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings, self._engine = settings, engine
        self._held: Held | None = None
        self._carrier = carrier_of(settings)
        self.projecting = Projecting(engine, utc_now, lambda: timeseries_of(settings), kept_of(settings))

    def running(self) -> Sequence[Callable[[Cloud], AbstractContextManager[None]]]:
        """All of them, in the order in which they begin."""
        return (self.project, self.reconcile, self.revoke, self.alarm, self.notify, self.ingest)

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

    @contextmanager
    def revoke(self, _cloud: Cloud) -> Iterator[None]:
        """What a revocation leads to: the list, and the end of the session."""
        lease = Lease(self._engine, CERTIFICATES)
        loop = Loop("revocation", keeper_of(self._settings, self._engine, is_mine=lease.is_held).turn)
        loop.start()
        try:
            yield
        finally:
            loop.stop()
            lease.release()

    @contextmanager
    def alarm(self, _cloud: Cloud) -> Iterator[None]:
        """The evaluator of alarms."""
        lease = Lease(self._engine, ALARMS)
        loop = Loop("alarms", Evaluator(self._engine, utc_now, lease.is_held).turn)
        loop.start()
        try:
            yield
        finally:
            loop.stop()
            lease.release()

    @contextmanager
    def notify(self, cloud: Cloud) -> Iterator[None]:
        """Who tells receivers of alarms."""
        lease = Lease(self._engine, NOTIFICATIONS)
        notifier = Notifier(
            self._engine, cloud.clock, self._carrier.carry, self._carrier.public_url, is_mine=lease.is_held
        )
        loop = Loop("notifications", notifier.turn)
        notifier.wake = loop.wake
        loop.start()
        try:
            yield
        finally:
            loop.stop()
            notifier.finish()
            lease.release()

    def trouble(self) -> str | None:
        """What keeps ingest from working."""
        return self._held.trouble() if self._held else None


def ingest_of(settings: Settings, engine: Engine) -> AbstractContextManager[Held]:
    """Ingest as the settings want it."""
    return ingesting(engine, utc_now, broker_of(settings), lambda: _lines(settings, engine))


def broker_of(settings: Settings) -> Broker:
    """The broker, and who the cloud is there."""
    password = settings.mqtt_password
    return Broker(
        settings.mqtt_host,
        settings.mqtt_port,
        settings.mqtt_user,
        password.get_secret_value() if password else None,
        Tls(settings.mqtt_ca_file, settings.mqtt_certificate_file, settings.mqtt_key_file)
        if settings.mqtt_ca_file
        else None,
    )


def keeper_of(
    settings: Settings, engine: Engine, *, clock: Clock = utc_now, is_mine: Callable[[], bool | None] = lambda: True
) -> Keeper:
    """Who keeps the revocation lists and cuts sessions."""
    broker = broker_of(settings)
    return Keeper(
        engine,
        clock,
        KeyBox(settings.authority_key()),
        settings.authority_folder(),
        timedelta(days=settings.revocation_list_days),
        cut=lambda terminal: take_over(broker, terminal),
        pid_file=settings.mosquitto_pid_file,
        is_mine=is_mine,
    )


def timeseries_of(settings: Settings) -> Timeseries:
    """The store of the settings, opened; the data folder is made where the store is to lie in it and there is none."""
    if settings.timeseries_url is None:
        with suppress(OSError):  # the store says better what is wrong with its folder
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
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
