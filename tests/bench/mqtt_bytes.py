"""The few MQTT 5 packets of a publisher that must cost next to nothing: made and taken apart as bytes. Pure.

Not a client: no properties but message expiry are written and none are read. OASIS MQTT 5.0, clause 3.
"""

from collections.abc import Iterator

CONNACK, PUBLISH, PUBACK, SUBACK = 2, 3, 4, 9


def connect(name: str, password: str, keepalive_s: int = 300) -> bytes:
    """CONNECT with a clean start, user name, password, and the name as client id (3.1)."""
    body = _text("MQTT") + bytes((5, 0b1100_0010)) + keepalive_s.to_bytes(2, "big") + b"\0"
    return _packet(0x10, body + _text(name) + _text(name) + _text(password))


def subscribe(topic: str) -> bytes:
    """SUBSCRIBE to one topic at QoS 0 (3.8)."""
    return _packet(0x82, b"\0\1\0" + _text(topic) + b"\0")


def publish(topic: str, payload: bytes, identifier: int, expires_s: int = 20) -> bytes:
    """PUBLISH at QoS 1 with a message expiry (3.3)."""
    head = _text(topic) + identifier.to_bytes(2, "big") + b"\5\2" + expires_s.to_bytes(4, "big")
    return _packet(0x32, head + payload)


def packets(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take whole packets off the buffer's front: type and body after the fixed header."""
    while len(buffer) >= 2:
        length, shift, place = 0, 0, 1
        while place < len(buffer):
            byte = buffer[place]
            length |= (byte & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if byte < 0x80:
                break
        else:
            return
        if len(buffer) < place + length:
            return
        kind, body = buffer[0] >> 4, bytes(buffer[place : place + length])
        del buffer[: place + length]
        yield kind, body


def payload_of(body: bytes) -> bytes:
    """The payload of a PUBLISH at QoS 0 whose properties are shorter than 128 bytes."""
    start = 2 + int.from_bytes(body[:2], "big")
    return body[start + 1 + body[start] :]


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _packet(first: int, body: bytes) -> bytes:
    length, rest = bytearray(), len(body)
    while True:
        length.append(rest & 0x7F | (0x80 if rest > 0x7F else 0))
        rest >>= 7
        if not rest:
            return bytes((first,)) + bytes(length) + body
