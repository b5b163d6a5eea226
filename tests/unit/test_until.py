"""Waiting for an effect ends with it, or says what did not come."""

import pytest

from tests.support.until import until


async def test_it_returns_what_the_condition_gave_once_that_is_true() -> None:
    answers = iter([None, 0, "here"])
    assert await until(lambda: next(answers), within=5, every=0, what="an answer") == "here"


async def test_it_awaits_an_async_condition() -> None:
    async def ready() -> bool:
        return True

    assert await until(ready, within=5, what="readiness")


async def test_it_names_what_did_not_come_in_time() -> None:
    with pytest.raises(AssertionError, match=r"Not within 0 s: the bus \(last seen: 0\)"):
        await until(lambda: 0, within=0, what="the bus")
