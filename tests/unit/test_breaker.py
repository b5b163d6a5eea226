"""The breaker holds everything but a probe now and then."""

from service.errors import DatabaseUnfit, GuardStopped
from service.handlers.breaker import Breaker
from service.handlers.lane import Lane


async def impatient(_seconds: float) -> bool:
    return False


async def test_a_closed_breaker_lets_everyone_through_without_waiting() -> None:
    assert await Breaker(60).enter(impatient)


async def test_an_open_breaker_holds_who_cannot_wait() -> None:
    breaker = Breaker(60)
    breaker.open(DatabaseUnfit())
    assert not await breaker.enter(impatient)


async def test_after_a_pause_one_caller_goes_through_as_a_probe_and_the_next_waits() -> None:
    breaker = Breaker(0.02)
    breaker.open(DatabaseUnfit())
    lane = Lane("any")
    assert await breaker.enter(lane.wait)
    assert breaker.is_open
    assert not await breaker.enter(impatient)


async def test_a_job_that_ends_closes_it() -> None:
    breaker = Breaker(60)
    breaker.open(DatabaseUnfit())
    breaker.job_ended()
    assert not breaker.is_open
    assert await breaker.enter(impatient)


async def test_where_the_fault_can_be_asked_for_itself_no_job_is_a_probe_or_a_proof() -> None:
    answers = iter([False, False, True])

    async def mended() -> bool:
        return next(answers)

    breaker = Breaker(0.01)
    breaker.open(GuardStopped(), mended)
    breaker.job_ended()
    assert breaker.is_open
    assert await breaker.enter(Lane("any").wait)
    assert not breaker.is_open
    assert list(answers) == []


async def test_a_lane_that_is_leaving_waits_for_nothing() -> None:
    lane = Lane("any")
    lane.leave()
    assert not await lane.wait(3600)


async def test_a_lane_counts_how_often_a_record_came_in_a_row() -> None:
    lane = Lane("any")
    assert [lane.count_try("p", offset) for offset in (5, 5, 6, 6, 6)] == [1, 2, 1, 2, 3]  # type: ignore[arg-type]
