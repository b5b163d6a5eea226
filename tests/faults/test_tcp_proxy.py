"""The proxy cuts and freezes exactly when it is told to."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.tcp_proxy import TcpProxy

Line = tuple[StreamReader, StreamWriter]


class Echo:
    """A server that answers every line with itself, and remembers what it was sent."""

    def __init__(self) -> None:
        self.heard = b""
        self.left = asyncio.Event()

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        while line := await reader.readline():
            self.heard += line
            writer.write(line)
        writer.close()
        self.left.set()


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[TcpProxy]:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with server, TcpProxy(*server.sockets[0].getsockname()) as proxy:
        yield proxy


@asynccontextmanager
async def call(proxy: TcpProxy) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def ask(line: Line, question: bytes) -> bytes:
    reader, writer = line
    writer.write(question)
    return await reader.readline()


async def test_it_forwards_both_ways(proxy: TcpProxy) -> None:
    async with call(proxy) as line:
        assert await ask(line, b"hello\n") == b"hello\n"


async def test_the_end_of_one_side_reaches_the_other(proxy: TcpProxy, echo: Echo) -> None:
    async with call(proxy) as (reader, writer):
        writer.write_eof()
        assert await reader.read() == b""
    assert echo.left.is_set()


async def test_a_cut_resets_connections_and_refuses_new_ones_until_mended(proxy: TcpProxy) -> None:
    async with call(proxy) as line:
        await ask(line, b"hello\n")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await line[0].readline()
    with pytest.raises(ConnectionRefusedError):
        await call(proxy).__aenter__()
    await proxy.mend()
    async with call(proxy) as line:
        assert await ask(line, b"again\n") == b"again\n"


async def test_what_is_said_while_frozen_arrives_after_the_thaw(
    proxy: TcpProxy, echo: Echo
) -> None:
    async with call(proxy) as line:
        await ask(line, b"hello\n")
        proxy.freeze()
        answer = asyncio.create_task(ask(line, b"anyone?\n"))
        finished, _ = await asyncio.wait([answer], timeout=0.1)
        assert not finished
        assert echo.heard == b"hello\n"
        proxy.thaw()
        assert await answer == b"anyone?\n"


@pytest.mark.parametrize(("after", "heard"), [(False, b"BEGIN\n"), (True, b"BEGIN\nCOMMIT\n")])
async def test_it_cuts_just_before_or_just_after_what_it_waits_for(
    proxy: TcpProxy, echo: Echo, after: bool, heard: bytes
) -> None:
    happened = proxy.cut_when(lambda data: b"COMMIT" in data, after=after)
    async with call(proxy) as line:
        assert await ask(line, b"BEGIN\n") == b"BEGIN\n"
        assert not happened.is_set()
        with pytest.raises(ConnectionResetError):
            await ask(line, b"COMMIT\n")
    assert happened.is_set()
    if after:
        await echo.left.wait()
    assert echo.heard == heard


async def test_it_cuts_only_once(proxy: TcpProxy) -> None:
    happened = proxy.cut_when(lambda data: True)
    async with call(proxy) as line:
        with pytest.raises(ConnectionResetError):
            await ask(line, b"COMMIT\n")
    assert happened.is_set()
    await proxy.mend()
    async with call(proxy) as line:
        assert await ask(line, b"COMMIT\n") == b"COMMIT\n"
