"""From rows as they are read to rows as they are sent: put in order, and made in a thread while the loop sends."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

FIRST_WINDOW, LARGEST_WINDOW = 2_000, 20_000
"""Items put in order at a time: few at first, so that sending starts early; the most bounds the memory."""

AHEAD = 4
"""Chunks asked for before they are needed: with one, the thread would sleep and be woken for each of them."""


def in_order(chunks: Iterator[list[T]], key: Callable[[T], Any], chunk_size: int) -> Iterator[list[T]]:
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


async def ahead(chunks: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The chunks that a worker thread makes, a few ahead of whoever consumes them; empty ones are left out.

    Consuming slowly holds the thread back, so memory stays bounded. When the consumer stops early, the
    chunks in the making are waited for: nobody closes a file that a thread still reads.
    """
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "rows") as thread:
        pending = deque(loop.run_in_executor(thread, next, chunks, None) for _ in range(AHEAD))
        try:
            while (chunk := await asyncio.shield(pending[0])) is not None:
                pending.popleft()
                pending.append(loop.run_in_executor(thread, next, chunks, None))
                if chunk:
                    yield chunk
        finally:
            await asyncio.wait(pending)
