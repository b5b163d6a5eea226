"""Edited copies, discarded letters, and choosing among them, on a real database."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from service.contract.messages import parse_job
from service.db import audit
from service.db.dead_letters import Filter, count_by_code, find_letters
from service.db.job_ids import draw_job_id
from service.dead_letters.audit import OperatorAction, audited
from service.dead_letters.discard import discard_selected
from service.dead_letters.edit import copy_message, draft_copy, send_copy
from service.dead_letters.select import NoSuchLetter, select_letters
from service.domain.model import LetterState, Outcome
from service.domain.provider_types import DataEntrySource, ProviderType
from tests.support.jobs import CSV_PER_YEAR, CSV_UNIT, FACTORS, Jobs, purchase
from tests.support.letters import LettersWithoutKafka
from tests.support.university import PHYSICS, University


@pytest.fixture
async def dead_letters(jobs: Jobs) -> LettersWithoutKafka:
    dead_letters = LettersWithoutKafka(jobs)
    await dead_letters.execute("TRUNCATE dead_letters, dead_letter_actions")
    await dead_letters.execute("SELECT setval('upload_job_id_seq', 1000)")
    return dead_letters


CSV_SOURCE = DataEntrySource.CSV_MODULE_PER_YEAR
CSV = (
    "unit_institutional_id,name,total_spent_amount,purchase_institutional_code\n"
    "physics,{},12.5,411\n"
)
GONE = {"url": "file:///gone.csv", "size": 1, "sha256": "0" * 64}


async def parked(
    dead_letters: LettersWithoutKafka, kind: ProviderType = CSV_PER_YEAR, **fields: Any
) -> UUID:
    """A letter of a job whose file does not exist."""
    gone = GONE | {"url": (dead_letters.jobs.root / "gone.csv").as_uri()}
    return await dead_letters.park(kind, dead_letters.jobs.message(kind, file=gone, **fields))


async def send_edited(dead_letters: LettersWithoutKafka, letter_id: UUID, **changes: Any) -> int:
    """Send an edited copy of a letter, as the command does; its job id."""
    letter, original = (
        await dead_letters.letter(letter_id),
        (await dead_letters.judged(letter_id)).original,
    )
    assert original is not None
    async with dead_letters.engine.begin() as conn:
        job_id = await draw_job_id(conn)
    value = copy_message(draft_copy(original, changes), job_id)
    provider_type = dead_letters.topics.provider_type(letter.original_topic)
    assert provider_type is not None
    assert await send_copy(
        dead_letters.sender(), letter, original, value, parse_job(provider_type, value)
    )
    return job_id


async def test_the_original_is_resolved_when_its_copy_has_succeeded(
    dead_letters: LettersWithoutKafka, university: University
) -> None:
    letter = await parked(dead_letters)
    file = dead_letters.jobs.file(CSV.format("from the copy"), "copy.csv")
    job_id = await send_edited(dead_letters, letter, file=file)
    sent = await dead_letters.letter(letter)
    assert (sent.state, sent.edited_as, sent.job_id) == ("sent", job_id, 1)
    assert orjson.loads(dead_letters.waiting[0].value or b"")["based_on"] == 1
    assert await dead_letters.deliver_waiting() == [None]
    resolved = await dead_letters.letter(letter)
    assert (resolved.state, resolved.state_reason) == ("resolved", f"job {job_id}: succeeded")
    assert await university.names(PHYSICS, CSV_SOURCE) == ["from the copy"]


async def test_a_copy_does_not_replace_what_is_newer_than_the_original(
    dead_letters: LettersWithoutKafka, university: University
) -> None:
    letter = await parked(dead_letters)
    await dead_letters.jobs.run(CSV_PER_YEAR, [purchase(PHYSICS, "newer")])
    file = dead_letters.jobs.file(CSV.format("older"), "copy.csv")
    await send_edited(dead_letters, letter, file=file)
    await dead_letters.deliver_waiting()
    reopened = await dead_letters.letter(letter)
    assert (reopened.state, (reopened.state_reason or "").partition(": ")[2]) == (
        "open",
        "superseded",
    )
    assert await university.names(PHYSICS, CSV_SOURCE) == ["newer"]


async def test_the_original_is_open_again_when_its_copy_is_rejected(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await parked(dead_letters)
    file = dead_letters.jobs.file(CSV.format("bad").replace("12.5", "12;5"), "copy.csv")
    job_id = await send_edited(dead_letters, letter, file=file)
    await dead_letters.deliver_waiting()
    reopened = await dead_letters.letter(letter)
    assert (reopened.state, reopened.state_reason) == ("open", f"job {job_id}: {Outcome.REJECTED}")


async def test_a_copy_that_fails_carries_the_original_on(
    dead_letters: LettersWithoutKafka, university: University
) -> None:
    letter = await parked(dead_letters)
    path = dead_letters.jobs.root / "late.csv"
    file = dead_letters.jobs.file(CSV.format("late"), path.name)
    path.unlink()
    job_id = await send_edited(dead_letters, letter, file=file)
    (successor,) = await dead_letters.deliver_waiting()
    assert successor is not None
    assert await dead_letters.state(letter) == "failed"
    new = await dead_letters.letter(successor)
    assert (new.replay_of, new.replay_count, new.job_id, new.state) == (letter, 0, job_id, "open")
    path.write_text(CSV.format("late"))
    await dead_letters.replay()
    await dead_letters.deliver_waiting()
    assert (await dead_letters.state(letter), await dead_letters.state(successor)) == (
        "resolved",
        "resolved",
    )
    assert await university.names(PHYSICS, CSV_SOURCE) == ["late"]


async def test_a_copy_of_a_copy_is_based_on_the_first_upload(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await parked(dead_letters)
    await send_edited(dead_letters, letter, on_row_error="reject")
    (successor,) = await dead_letters.deliver_waiting()
    assert successor is not None
    await send_edited(dead_letters, successor)
    message = orjson.loads(dead_letters.waiting[0].value or b"")
    assert (message["based_on"], message["job_id"] > 1001, message["on_row_error"]) == (
        1,
        True,
        "reject",
    )


async def test_a_copy_to_another_type_goes_to_the_partition_of_its_own_scope(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await parked(dead_letters)
    await send_edited(dead_letters, letter, data_entry_type="services")
    (sent,) = dead_letters.waiting
    assert (sent.topic, sent.key) == ("uploads.csv-module-per-year", b"2025:64")


# discarding


async def test_discarded_letters_are_never_replayed(dead_letters: LettersWithoutKafka) -> None:
    letter = await dead_letters.letter(await parked(dead_letters))
    async with audited(
        dead_letters.engine, OperatorAction("ann", "discard", {"jobs": [1]}, "a test"), [letter.id]
    ) as report:
        await discard_selected(dead_letters.engine, [letter], report, by="ann", reason="a test")
    gone = await dead_letters.letter(letter.id)
    assert (gone.state, gone.state_by, gone.state_reason) == ("discarded", "ann", "a test")
    assert (await dead_letters.replay()).letters == {}
    with pytest.raises(
        NoSuchLetter, match=r"is discarded by ann since .* expected one that is open"
    ):
        await dead_letters.replay(letter.id)
    async with dead_letters.engine.connect() as conn:
        (action,) = await audit.actions_on_letter(conn, letter.id)
    assert (action.actor, action.filter, action.reason) == ("ann", {"jobs": [1]}, "a test")
    assert action.outcome == {"letters": {"discarded": [str(letter.id)]}, "stopped": None}


async def test_a_letter_that_was_sent_meanwhile_is_not_discarded(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await dead_letters.letter(await parked(dead_letters))
    await dead_letters.replay(force=True)
    async with audited(
        dead_letters.engine, OperatorAction("ann", "discard"), [letter.id]
    ) as report:
        await discard_selected(dead_letters.engine, [letter], report, by="ann", reason="a test")
    assert report.letters == {"taken": [letter.id]}
    assert await dead_letters.state(letter.id) == "sent"


async def test_an_action_is_written_down_before_it_is_done_and_whatever_interrupts_it(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await parked(dead_letters)

    async def history() -> list[audit.AuditLine]:
        async with dead_letters.engine.connect() as conn:
            return await audit.actions_on_letter(conn, letter)

    with pytest.raises(KeyboardInterrupt):
        async with audited(
            dead_letters.engine, OperatorAction("ann", "replay", None, "why"), [letter]
        ) as report:
            (action,) = await history()
            assert (action.outcome, action.reason) == (None, "why")
            report.note("sent", letter)
            raise KeyboardInterrupt
    (action,) = await history()
    assert action.outcome == {"letters": {"sent": [str(letter)]}, "stopped": "KeyboardInterrupt"}


# choosing


async def test_a_filter_chooses_by_everything_that_is_known(
    dead_letters: LettersWithoutKafka, university: University
) -> None:
    module = university.module(PHYSICS)
    letters = {
        "first": await parked(dead_letters),
        "other year": await parked(dead_letters, year=2024),
        "lab": await parked(dead_letters, CSV_UNIT, carbon_report_module_id=module),
        "factors": await parked(dead_letters, FACTORS),
        "garbage": await dead_letters.park(CSV_PER_YEAR, b"{"),
    }
    await dead_letters.execute(
        "UPDATE dead_letters SET parked_at = now() - interval '3 hours' WHERE id = :id",
        id=letters["garbage"],
    )
    await dead_letters.execute(
        "UPDATE dead_letters SET state = 'sent' WHERE id = :id", id=letters["factors"]
    )

    async def chosen(**filter_: Any) -> set[str]:
        found = {letter.id for letter in await dead_letters.letters(**filter_)}
        return {name for name, letter in letters.items() if letter in found}

    assert await chosen() == set(letters)
    assert await chosen(codes=("not_json",)) == {"garbage"}
    assert await chosen(codes=("file_gone", "not_json")) == set(letters)
    assert await chosen(topics=("uploads.factors",)) == {"factors"}
    assert await chosen(provider_types=(CSV_UNIT, FACTORS)) == {"lab", "factors"}
    assert await chosen(scopes=((2025, 66),)) == {"first", "factors"}
    assert await chosen(scopes=(module, (2024, 66))) == {"lab", "other year"}
    assert await chosen(jobs=(1, 3)) == {"first", "lab"}
    assert await chosen(older_than=timedelta(hours=2)) == {"garbage"}
    assert await chosen(newer_than=timedelta(hours=2)) == set(letters) - {"garbage"}
    assert await chosen(states=(LetterState.SENT,)) == {"factors"}
    assert await chosen(ids=(str(letters["lab"])[:9],)) == {"lab"}
    assert await chosen(limit=1) == {"garbage"}, "the first parked first"
    assert await chosen(ids=("%",)) == set()
    assert await chosen(codes=("file_gone",), states=(LetterState.SENT,), jobs=(1,)) == set()


async def test_letters_are_counted_by_code_and_state(dead_letters: LettersWithoutKafka) -> None:
    for _ in range(2):
        await parked(dead_letters)
    await dead_letters.park(CSV_PER_YEAR, b"{")
    await dead_letters.execute(
        "UPDATE dead_letters SET state = 'sent', parked_at = '2020-01-01Z' WHERE job_id = 1"
    )
    async with dead_letters.engine.connect() as conn:
        first, second = await count_by_code(conn, Filter())
    assert (first.code, first.count, first.states) == ("file_gone", 2, {"open": 1, "sent": 1})
    assert first.oldest == datetime(2020, 1, 1, tzinfo=UTC) < first.newest
    assert (second.code, second.count) == ("not_json", 1)


async def test_an_id_that_is_nobodys_or_several_letters_is_refused(
    dead_letters: LettersWithoutKafka,
) -> None:
    await parked(dead_letters)
    async with dead_letters.engine.connect() as conn:
        for given, message in (("zzzz", "none that begins"), ("ab", "too short")):
            with pytest.raises(NoSuchLetter, match=message):
                await select_letters(conn, Filter(ids=(given,)))
    await dead_letters.execute(
        "UPDATE dead_letters SET id = 'abcd0000-0000-0000-0000-000000000001'"
    )
    await parked(dead_letters)
    await dead_letters.execute(
        "UPDATE dead_letters SET id = 'abcd0000-0000-0000-0000-000000000002' WHERE job_id = 2"
    )
    async with dead_letters.engine.connect() as conn:
        with pytest.raises(NoSuchLetter, match="several"):
            await select_letters(conn, Filter(ids=("abcd",)))
        assert len(await find_letters(conn, Filter(ids=("ABCD".lower(),)))) == 2
