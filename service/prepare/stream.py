"""From a thread to the event loop: rows are made in one while the other sends them."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import TypeVar

T = TypeVar("T")


async def ahead(chunks: Iterator[list[T]]) -> AsyncGenerator[T, None]:
    """The items of chunks that a worker thread makes, one chunk ahead of whoever consumes them.

    Consuming slowly holds the thread back, so memory stays bounded at two chunks. When the consumer
    stops early, the chunk in the making is waited for: nobody closes a file that a thread still reads.
    """
    loop = asyncio.get_running_loop()
    pending = loop.run_in_executor(None, next, chunks, None)
    try:
        while (chunk := await asyncio.shield(pending)) is not None:
            pending = loop.run_in_executor(None, next, chunks, None)
            for item in chunk:
                yield item
    finally:
        await asyncio.wait([pending])
