"""Work that runs in the background of other work, and ends with it at the latest."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@asynccontextmanager
async def background_task(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run `work` in the background of the body; yields its task.

    Await the task to get what the work returns or raises. If the body ends first, the work is
    cancelled, and the context waits until it has stopped.
    """
    # asyncio.TaskGroup does not fit. It raises an error of the body inside an ExceptionGroup,
    # where nothing that sorts failures by their class would find it. It also cancels the body as
    # soon as the work fails, and it waits at the end for work that runs for ever.
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        # Unlike `await task`, this raises neither the cancellation nor an error of the work.
        await asyncio.wait({task})
