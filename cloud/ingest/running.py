"""Starts and stops ingest beside the requests of `serve`, or alone in `worker`. Wires; decides nothing."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from cloud.api import Cloud
from cloud.clock import to_us
from cloud.ingest import metrics
from cloud.ingest.accept import Delivery
from cloud.ingest.line import Line
from cloud.ingest.slots import Slots
from cloud.ingest.subscriber import Subscriber
from cloud.ingest.worker import Worker
from firmware_specs.topics import Channel

log = structlog.get_logger(__name__)


@contextmanager
def ingesting(cloud: Cloud) -> Iterator[None]:
    """Ingest, from the first message to the last answer, while the block runs."""
    slots = Slots()

    def hear_records(terminal: str, payload: bytes, retained: bool) -> None:
        if retained:
            return
        if not slots.put(Delivery(terminal, payload, to_us(cloud.clock()))):
            metrics.DROPPED.inc()

    password = cloud.settings.mqtt_password
    subscriber = Subscriber(
        cloud.settings.mqtt_host,
        cloud.settings.mqtt_port,
        cloud.settings.mqtt_user,
        password.get_secret_value() if password else None,
        client_id=f"roomlink-cloud-{secrets.token_hex(4)}",
        hears={Channel.RECORDS: hear_records},
    )
    worker = Worker(Line(cloud.engine), slots, subscriber.answer)
    metrics.WAITING.set_function(lambda: len(slots))
    worker.start()
    subscriber.start()
    try:
        yield
    finally:
        worker.stop()
        subscriber.stop()
