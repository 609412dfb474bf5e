"""A TCP proxy between terminals and broker that understands MQTT's packet frames, and spoils them on request.

It repeats, delays, reorders, corrupts and drops whole PUBLISH packets, cuts connections in the middle of a packet, and takes
the network away. Of TLS it sees bytes only: it delays, corrupts and cuts those. What it does is drawn from its own seeded
generator. Runs in a thread of the fault harness.
"""

import asyncio
import contextlib
import random
import ssl
import threading
from dataclasses import dataclass

PUBLISH = 3  # packet type (MQTT 5.0, section 2.1.2)
HOST = "127.0.0.1"
PIECE_BYTES = 65_536
BREAKING = 8
"""Of a stream under TLS so much less is spoiled: each time costs the connection, and not one message."""


@dataclass(frozen=True)
class Trouble:
    """Probabilities per PUBLISH packet, and the longest delay in seconds; what is delayed is overtaken, so order is lost too."""

    repeat: float = 0.0
    delay: float = 0.0
    delay_s: float = 0.5
    corrupt: float = 0.0
    drop: float = 0.0
    cut: float = 0.0
    away: bool = False


class Proxy:
    """Listens on ``port`` and passes on to ``target``; ``trouble`` may be replaced at any time.

    Not ``framed``, it passes on bytes, whatever they are; with ``tls`` it ends TLS and passes on what was in it.
    """

    def __init__(
        self, port: int, target: int, seed: int, *, framed: bool = True, tls: ssl.SSLContext | None = None
    ) -> None:
        self.port, self.target = port, target
        self._pass_on = self._pass_packets if framed else self._pass_bytes
        self._tls = tls
        self.trouble = Trouble()
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def start(self) -> None:
        """Listen; returns when it does."""
        self._thread.start()
        if not self._listening.wait(10):
            raise RuntimeError(f"the proxy does not listen on port {self.port}")

    def put(self, trouble: Trouble) -> None:
        """Put new trouble in force; taking the network away cuts what is connected."""
        self.trouble = trouble
        if trouble.away:
            self.cut_all()

    def heal(self) -> None:
        """No trouble from here on."""
        self.trouble = Trouble()

    def cut_all(self) -> None:
        """Cut every connection at once, without a farewell."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def stop(self) -> None:
        """Cut all and end; nothing where it was not started."""
        if not self._thread.is_alive():
            return
        self.cut_all()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _abort_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, HOST, self.port, ssl=self._tls))
        self._listening.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.trouble.away:
            writer.transport.abort()
            return
        try:
            onward_reader, onward_writer = await asyncio.open_connection(HOST, self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, onward_writer}
        directions = (self._pass_on(reader, onward_writer), self._pass_on(onward_reader, writer))
        await asyncio.gather(*directions, return_exceptions=True)
        self._writers -= {writer, onward_writer}

    async def _pass_bytes(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Piece by piece, in order: what is delayed holds up what follows, and what is lost or altered breaks the TLS of both."""
        try:
            while piece := await reader.read(PIECE_BYTES):
                trouble = self.trouble
                if self._draw(trouble.delay):
                    await asyncio.sleep(self._random.uniform(0.01, trouble.delay_s))
                if self._draw(trouble.cut):
                    writer.write(piece[: self._random.randrange(len(piece))])
                    await writer.drain()
                    break
                if self._draw((trouble.corrupt + trouble.drop + trouble.repeat) / BREAKING):
                    piece = self._corrupted(piece)
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass  # as below
        finally:
            writer.transport.abort()

    async def _pass_packets(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Packet by packet; a task of its own sends each delayed one, so that later ones overtake it."""
        late: set[asyncio.Task[None]] = set()
        try:
            while True:
                packet = await read_packet(reader)
                if packet[0] >> 4 != PUBLISH:
                    writer.write(packet)
                elif self._draw(self.trouble.cut):
                    writer.write(packet[: self._random.randrange(1, len(packet))])
                    await writer.drain()
                    break
                elif not self._draw(self.trouble.drop):
                    late |= self._spoil(packet, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # one side has gone; the other must see the same
        finally:
            for task in late:
                task.cancel()
            writer.transport.abort()

    def _spoil(self, packet: bytes, writer: asyncio.StreamWriter) -> set[asyncio.Task[None]]:
        if self._draw(self.trouble.corrupt):
            packet = self._corrupted(packet)
        copies = 2 if self._draw(self.trouble.repeat) else 1
        late = set()
        for _ in range(copies):
            if self._draw(self.trouble.delay):
                pause = self._random.uniform(0.01, self.trouble.delay_s)
                late.add(self._loop.create_task(_write_later(writer, packet, pause)))
            else:
                writer.write(packet)
        return late

    def _corrupted(self, packet: bytes) -> bytes:
        """One bit of the payload's second half turned: frame, topic and most of the header line stay whole."""
        place = self._random.randrange(len(packet) * 3 // 4, len(packet))
        return packet[:place] + bytes([packet[place] ^ 1 << self._random.randrange(8)]) + packet[place + 1 :]

    def _draw(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability


async def read_packet(reader: asyncio.StreamReader) -> bytes:
    """One whole MQTT control packet (MQTT 5.0, section 2.1); IncompleteReadError at the end of the stream."""
    packet = await reader.readexactly(1)
    length, shift = 0, 0
    while True:
        byte = await reader.readexactly(1)
        packet += byte
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return packet + await reader.readexactly(length)


async def _write_later(writer: asyncio.StreamWriter, packet: bytes, pause_s: float) -> None:
    await asyncio.sleep(pause_s)
    with contextlib.suppress(OSError):
        writer.write(packet)
