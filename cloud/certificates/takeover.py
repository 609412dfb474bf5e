"""Ends an open session at the broker: a short connection under its client id, which MQTT lets take it over (MQTT 5, 3.1.4-3).

On the cloud's own listener, where client ids are free (broker_config/mosquitto/README.md).
"""

import time
from typing import Any, Final

from cloud.broker import Broker, client_for
from cloud.errors import Unavailable

WITHIN_S: Final = 5.0


def take_over(broker: Broker, client_id: str) -> None:
    """Cut the session of `client_id`; nothing happens where there is none. Unavailable when the broker does not let us."""
    answers: list[Any] = []
    client = client_for(broker, client_id, reconnects=False)
    client.connect_timeout = WITHIN_S
    client.on_connect = lambda _client, _user, _flags, reason, _properties: answers.append(reason)
    try:
        client.connect(broker.host, broker.port, keepalive=10, clean_start=True)
        deadline = time.monotonic() + WITHIN_S
        while not answers and time.monotonic() < deadline and client.loop(timeout=0.2) == 0:
            pass
        client.disconnect()
    except (OSError, ValueError) as error:
        raise Unavailable(f"The broker cannot be reached: {error}.", code="broker_away") from error
    if not answers or answers[0].is_failure:
        why = answers[0].getName() if answers else "no answer"
        raise Unavailable(f"The broker does not let the cloud end a session: {why}.", code="broker_away")
