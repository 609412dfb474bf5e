"""Where the broker is, who the cloud is there, and a client for it: by password, by certificate, or by both.

Used by the subscriber of ingest and by whoever ends a terminal's session.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from cloud.errors import StartError


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS towards the broker: the authorities to trust, and the cloud's own certificate with its key where it asks for one."""

    trusted: Path
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and who we are there."""

    host: str
    port: int
    user: str
    password: str | None
    tls: Tls | None = None


def client_for(broker: Broker, client_id: str, *, reconnects: bool = True) -> Client:
    """A client that is not connected yet. StartError where a file of certificates cannot be read."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv5, reconnect_on_failure=reconnects)
    client.username_pw_set(broker.user, broker.password)
    if broker.tls is not None:
        client.tls_set_context(context_of(broker.tls))
    return client


def context_of(tls: Tls) -> ssl.SSLContext:
    """TLS 1.2 or newer; chain, dates and host name of the broker are checked. StartError with the file that is wrong."""
    try:
        context = ssl.create_default_context(cafile=tls.trusted)
    except OSError as error:
        raise StartError(f"ROOMLINK_MQTT_CA_FILE names {tls.trusted}, which cannot be used: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate is not None:
        try:
            context.load_cert_chain(tls.certificate, tls.key)
        except OSError as error:
            raise StartError(
                f"ROOMLINK_MQTT_CERTIFICATE_FILE names {tls.certificate}, which cannot be used with its key: {error}"
            ) from error
    return context
