"""Work in the background of a body: its result is awaited, or it is given up with the body."""

import pytest

from service.jobs.background import background_task
from tests.support.work import Work


async def test_work_beside_the_body_gives_its_result_to_who_awaits_it() -> None:
    async def answer() -> int:
        return 42

    async with background_task(answer()) as asked:
        assert await asked == 42


async def test_work_beside_the_body_is_given_up_and_has_ended_when_the_body_fails() -> None:
    work = Work()
    with pytest.raises(ValueError, match="body"):
        async with background_task(work.do()) as doing:
            await work.began.wait()
            raise ValueError("the body")
    assert doing.cancelled()
    assert not work.ended
