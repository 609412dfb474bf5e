"""The least that can answer terminals: paho receives a batch and publishes a constant answer, without looking at either.

What `ingest_single.ratio` is measured against. Reads port and password as a line of JSON; ends when it is terminated.
"""

import json
import sys
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from firmware_specs.messages import Stored
from firmware_specs.topics import Channel, every
from firmware_specs.wire import encode
from tests.process import HOST
from tests.servers import CLOUD_USER

ANSWER = encode(Stored(epoch=1, stream="00000000-0000-4000-8000-000000000000", through=1, chain="0" * 64))


def main() -> None:
    """Answer everything, in paho's own loop."""
    where = json.loads(sys.stdin.readline())
    client = Client(CallbackAPIVersion.VERSION2, client_id="bare", protocol=MQTTv5)
    client.username_pw_set(CLOUD_USER, where["password"])
    end = -len(Channel.RECORDS)

    def answer(to: Client, _user: Any, message: MQTTMessage) -> None:
        to.publish(message.topic[:end] + Channel.STORED, ANSWER, 0)

    def subscribe(to: Client, *_: Any) -> None:
        to.subscribe(every(Channel.RECORDS), 1)

    client.on_message = answer
    client.on_connect = subscribe
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect(HOST, where["port"], 60)
    client.loop_forever()


if __name__ == "__main__":
    main()
