"""From rows as they are read to rows as they are sent: put in order, and made in a thread while the loop sends."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

FIRST_WINDOW, LARGEST_WINDOW = 2_000, 20_000
"""Items put in order at a time: few at first, so that sending starts early; the most bounds the memory."""

PIECE = 2**15
"""Bytes that are worth being handed to another thread."""

AHEAD = 4
"""Pieces made before they are needed: with one, the thread would sleep and be woken for each of them."""

_THREADS = ThreadPoolExecutor(32, "rows")
"""Threads of their own, for one that waits for its consumer must not keep anybody from another thread."""


def sorted_in_windows(
    chunks: Iterator[list[T]], key: Callable[[T], Any], chunk_size: int
) -> Iterator[list[T]]:
    """The items of chunks in chunks again, sorted by `key` within windows; equal ones keep their order.

    Rows of one module that lie together cost the database half: the same page of the index and of the
    table takes them, and gives them up again. While one window is handed on the next one is gathered,
    chunk by chunk, so that neither side waits for a whole window. Empty chunks come while there is none.
    """
    gathered: list[T] = []
    ready: Iterator[list[T]] = iter(())
    window = FIRST_WINDOW
    for chunk in chunks:
        gathered += chunk
        if len(gathered) >= window:
            yield from ready
            ready, gathered = _sorted(gathered, key, chunk_size), []
            window = min(2 * window, LARGEST_WINDOW)
        yield next(ready, [])
    yield from ready
    yield from _sorted(gathered, key, chunk_size)


def _sorted(items: list[T], key: Callable[[T], Any], chunk_size: int) -> Iterator[list[T]]:
    items.sort(key=key)
    return (items[start : start + chunk_size] for start in range(0, len(items), chunk_size))


def joined_to_pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of `PIECE` at least, but for the last: handing over costs more than joining."""
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)


async def made_ahead(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The pieces that a worker thread makes, a few ahead of whoever consumes them; empty ones are left out.

    Consuming slowly holds the thread back, so memory stays bounded. When the consumer stops early, the
    piece in the making is waited for: nobody closes a file that a thread still reads.
    """
    loop = asyncio.get_running_loop()
    made: asyncio.Queue[bytes | None] = asyncio.Queue()
    free_slots, stopped = threading.Semaphore(AHEAD), threading.Event()

    def make() -> None:
        try:
            for piece in filter(None, pieces):
                free_slots.acquire()
                if stopped.is_set():
                    return
                loop.call_soon_threadsafe(made.put_nowait, piece)
        finally:
            loop.call_soon_threadsafe(made.put_nowait, None)

    making = loop.run_in_executor(_THREADS, make)
    try:
        while (piece := await made.get()) is not None:
            free_slots.release()
            yield piece
        await making
    finally:
        stopped.set()
        free_slots.release()
        await asyncio.wait([making])


async def without_thread(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The same without a thread, for a few."""
    for piece in filter(None, pieces):
        yield piece
