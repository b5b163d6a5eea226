"""Waiting for an effect, instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def until(
    condition: Callable[[], Any | Awaitable[Any]], *, within: float, every: float = 0.05, what: str
) -> Any:
    """Wait for a condition, sync or async, to be true, and return what it gave.

    Looks every `every` seconds; raises AssertionError naming `what` after `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        given = condition()
        seen = await given if inspect.isawaitable(given) else given
        if seen:
            return seen
        if time.monotonic() >= deadline:
            raise AssertionError(f"Not within {within:g} s: {what} (last seen: {seen!r})")
        await asyncio.sleep(every)
