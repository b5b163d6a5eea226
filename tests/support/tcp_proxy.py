"""A TCP proxy between a client and a server, for tests that cut or freeze their connections."""

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from service.demo.processes import free_port

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class TcpProxy:
    """Listens on `port` of 127.0.0.1 and forwards to the target while `async with` lasts.

    It runs in the test's event loop, so a test must not block the loop.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self.port = free_port()
        self._target = (target_host, target_port)
        self._listener: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._forwarders: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._trigger: _Trigger | None = None

    async def __aenter__(self) -> Self:
        self._flowing.set()
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self.thaw()
        await asyncio.gather(*self._forwarders)

    def cut(self) -> None:
        """Reset every connection now, and refuse new ones until `mend`."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in self._connections:
            connection.reset()

    async def mend(self) -> None:
        """Accept connections again, on the same port."""
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def freeze(self) -> None:
        """Forward nothing until `thaw`; connections stay open, and new ones are accepted."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Forward what was held back, and continue."""
        self._flowing.set()

    def cut_when(self, predicate: Callable[[bytes], bool], *, after: bool = False) -> asyncio.Event:
        """Cut once, when the predicate is true for bytes from a client; set the returned event.

        By default the server does not receive these bytes. With `after` it does, and only its
        answer is lost.
        """
        self._trigger = _Trigger(predicate, after)
        return self._trigger.happened

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        forwarder = asyncio.get_running_loop().create_task(self._forward(reader, writer))
        self._forwarders.add(forwarder)
        forwarder.add_done_callback(self._forwarders.discard)

    async def _forward(self, from_client: StreamReader, to_client: StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(to_client)
            return
        connection = _Connection(to_client, to_server)
        self._connections.add(connection)
        await asyncio.gather(
            self._pump(from_client, to_server, lambda data: self._send_to_server(connection, data)),
            self._pump(from_server, to_client, to_client.write),
        )
        self._connections.discard(connection)
        to_client.close()
        to_server.close()

    async def _pump(
        self, source: StreamReader, target: StreamWriter, forward: Callable[[bytes], None]
    ) -> None:
        """Forward until the source closes or resets the connection, and forward this as well."""
        try:
            while data := await source.read(2**16):
                await self._flowing.wait()
                forward(data)
                await target.drain()
            target.write_eof()
        except ConnectionError:
            _reset(target)

    def _send_to_server(self, connection: "_Connection", data: bytes) -> None:
        trigger = self._trigger
        if trigger is None or not trigger.predicate(data):
            connection.to_server.write(data)
            return
        self._trigger = None
        if trigger.after:
            connection.to_server.write(data)
            connection.to_server.close()  # no reset, which could overtake the bytes
        self.cut()
        trigger.happened.set()


@dataclass(frozen=True, eq=False)
class _Connection:
    to_client: StreamWriter
    to_server: StreamWriter

    def reset(self) -> None:
        _reset(self.to_client)
        _reset(self.to_server)


@dataclass(frozen=True)
class _Trigger:
    predicate: Callable[[bytes], bool]
    after: bool
    happened: asyncio.Event = field(default_factory=asyncio.Event)


def _reset(writer: StreamWriter) -> None:
    """Close with RST and drop unsent bytes, unless the connection is closing already."""
    if not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
        )
        writer.transport.abort()
