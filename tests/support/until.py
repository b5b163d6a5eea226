"""Waits for an effect, instead of sleeping for a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def until(
    condition: Callable[[], Any | Awaitable[Any]], *, within: float, every: float = 0.05, what: str
) -> Any:
    """Wait until a condition, sync or async, returns something true, and return that.

    Checks every `every` seconds. Raises AssertionError with the text `what` after `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        seen = condition()
        if inspect.isawaitable(seen):
            seen = await seen
        if seen:
            return seen
        if time.monotonic() >= deadline:
            raise AssertionError(f"Not within {within:g} s: {what} (last seen: {seen!r})")
        await asyncio.sleep(every)
