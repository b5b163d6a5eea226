"""From checked rows to the stream of bytes that COPY sends.

`Upload.lines` combines these steps:

1. `sort_in_windows` puts the rows of a module next to each other.
2. `join_into_pieces` joins the lines into pieces that are worth handing to another thread.
3. `run_ahead_in_thread` runs steps 1 and 2 in a worker thread, and the event loop sends the pieces
   meanwhile. `run_in_this_thread` needs no other thread; it is for uploads of a few rows.

Steps 1 and 2 are ordinary generators: each asks the one before it for more, back to the reader of
the file. So the thread that step 3 starts also reads and checks the rows.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

FIRST_WINDOW, LARGEST_WINDOW = 2_000, 20_000
"""Items that are sorted at a time. The first window is small, so that sending starts early. Each is
twice as large as the one before, up to the largest, which limits the memory."""

PIECE_BYTES = 2**15
"""Bytes of a piece, at least; handing over smaller pieces costs more time than joining them."""

PIECES_AHEAD = 4
"""Pieces that the thread may make before they are needed. With one, the thread would fall asleep
and be woken for every piece."""

_ROW_THREADS = ThreadPoolExecutor(32, "rows")
"""An executor for `run_ahead_in_thread` alone. Its threads wait for their consumers; in the event
loop's shared executor they would block other work, such as looking up host names."""


def sort_in_windows(
    chunks: Iterator[list[T]], key: Callable[[T], Any], chunk_size: int
) -> Iterator[list[T]]:
    """The items of `chunks`, sorted by `key` within windows, in chunks of at most `chunk_size`.

    Items with equal keys keep their order. Rows of one module that arrive together cost the
    database half the time, because they go to the same pages of the table and of its indexes.

    For each chunk read into the current window, yield one sorted chunk of the previous window, or
    an empty chunk if there is none. So the work is spread evenly: neither the reader nor the sender
    waits for a whole window.
    """
    current: list[T] = []
    previous: Iterator[list[T]] = iter(())
    window_size = FIRST_WINDOW
    for chunk in chunks:
        current += chunk
        if len(current) >= window_size:
            yield from previous
            previous, current = _sorted_chunks(current, key, chunk_size), []
            window_size = min(2 * window_size, LARGEST_WINDOW)
        yield next(previous, [])

    yield from previous
    yield from _sorted_chunks(current, key, chunk_size)


def _sorted_chunks(items: list[T], key: Callable[[T], Any], chunk_size: int) -> Iterator[list[T]]:
    items.sort(key=key)
    return (items[start : start + chunk_size] for start in range(0, len(items), chunk_size))


def join_into_pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of `PIECE_BYTES` or more; the last piece may be smaller or empty."""
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= PIECE_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)


async def run_ahead_in_thread(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Run an iterator in a worker thread, ahead of the consumer; yield its non-empty pieces.

    At most `PIECES_AHEAD` pieces wait for the consumer, so a slow consumer does not fill the
    memory. An error in the iterator is raised here after the pieces before it. If the
    consumer stops early, this waits until the thread has finished its current piece; after that
    nobody reads the file any more, and it can be closed.
    """
    loop = asyncio.get_running_loop()
    made: asyncio.Queue[bytes | None] = asyncio.Queue()

    # The thread needs a free slot to hand a piece over; the consumer frees it by taking the piece.
    # A bounded `asyncio.Queue` cannot hold the thread back: only coroutines can wait for it.
    free_slots = threading.Semaphore(PIECES_AHEAD)
    stopped = threading.Event()

    def make_pieces() -> None:
        try:
            for piece in filter(None, pieces):
                free_slots.acquire()
                if stopped.is_set():
                    return
                # An `asyncio.Queue` may only be used in the thread of its loop.
                loop.call_soon_threadsafe(made.put_nowait, piece)
        finally:
            # None ends the consumer's loop, after an error as well; `await thread_end` raises it.
            loop.call_soon_threadsafe(made.put_nowait, None)

    thread_end = loop.run_in_executor(_ROW_THREADS, make_pieces)
    try:
        while (piece := await made.get()) is not None:
            free_slots.release()
            yield piece
        await thread_end
    finally:
        # The thread may be waiting for a slot. It gets one, sees that it is to stop, and ends.
        stopped.set()
        free_slots.release()
        # `wait` does not raise the thread's error, which would hide the reason for stopping early.
        await asyncio.wait([thread_end])


async def run_in_this_thread(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Run an iterator in the thread of the event loop; yield its non-empty pieces."""
    for piece in filter(None, pieces):
        yield piece
