"""The life of a dead letter, from parking to its end, on a real database."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import orjson
import pytest

from service.db import audit
from service.dead_letters.pace import Pace
from service.dead_letters.parked_record import Replay, own_headers
from service.dead_letters.send import ForeignTopic, end_abandoned_claims
from service.dead_letters.verdict import Finding, Verdict
from service.domain.errors import BrokerAway
from service.domain.model import LetterState, Position, Record
from service.domain.provider_types import DataEntrySource
from tests.support.jobs import (
    API_PER_YEAR,
    API_UNIT,
    CSV_PER_YEAR,
    FACTORS,
    Jobs,
    purchase,
    purchases,
)
from tests.support.letters import LettersWithoutKafka
from tests.support.university import BIOLOGY, LIBRARY, PHYSICS, University
from tests.support.until import until

SOURCE = DataEntrySource.CSV_MODULE_PER_YEAR
GARBAGE = b"\xff\x00 no JSON"


@pytest.fixture
async def dead_letters(jobs: Jobs) -> LettersWithoutKafka:
    dead_letters = LettersWithoutKafka(jobs)
    await dead_letters.execute("TRUNCATE dead_letters, dead_letter_actions")
    return dead_letters


def take_file_away(jobs: Jobs, message: bytes) -> bytes:
    """Rename the message's file, so that a worker does not find it; the message."""
    path = jobs.root / f"{orjson.loads(message)['job_id']} - é.csv"
    path.rename(path.with_suffix(".away"))
    return message


def bring_files_back(jobs: Jobs) -> None:
    for path in jobs.root.glob("*.away"):
        path.rename(path.with_suffix(".csv"))


async def parked_without_file(
    dead_letters: LettersWithoutKafka, *units: str, **fields: object
) -> UUID:
    """A letter of a job whose file is gone."""
    message = dead_letters.jobs.message(CSV_PER_YEAR, purchases(*units), **fields)
    return await dead_letters.park(CSV_PER_YEAR, take_file_away(dead_letters.jobs, message))


# replaying


async def test_a_letter_is_resolved_by_the_job_that_its_replay_completes(
    dead_letters: LettersWithoutKafka, university: University
) -> None:
    letter = await parked_without_file(dead_letters, PHYSICS)
    bring_files_back(dead_letters.jobs)
    report = await dead_letters.replay()
    assert (report.letters, report.stopped) == ({"sent": [letter]}, None)
    assert await dead_letters.state(letter) == "sent"
    assert await dead_letters.deliver_waiting() == [None]
    assert await dead_letters.state(letter) == "resolved"
    assert len(await university.scope(PHYSICS, SOURCE)) == 1


@pytest.mark.parametrize("value", [None, b"", GARBAGE, b'"\\ud800"', b'{"job_id": 1}'])
@pytest.mark.parametrize("key", [None, b"", b"\xfe\xff"])
async def test_a_replay_is_the_original_byte_for_byte(
    dead_letters: LettersWithoutKafka, value: bytes | None, key: bytes | None
) -> None:
    headers = (("trace", b"\xfe\xff"), ("trace", b"again"), ("empty", b""), ("dlq-id", b"forged"))
    letter = await dead_letters.park(CSV_PER_YEAR, value, key=key, headers=headers)
    await dead_letters.replay(letter, force=True)
    (sent,) = dead_letters.waiting
    assert (sent.topic, sent.key, sent.value) == ("uploads.csv-module-per-year", key, value)
    assert sent.headers == (
        *headers[:3],
        ("dlq-replay-of", str(letter).encode()),
        ("dlq-replay-count", b"1"),
    )


async def test_what_would_come_back_is_held_back_unless_it_is_forced(
    dead_letters: LettersWithoutKafka,
) -> None:
    gone = await parked_without_file(dead_letters, PHYSICS)
    garbage = await dead_letters.park(CSV_PER_YEAR, GARBAGE)
    report = await dead_letters.replay()
    assert report.letters == {"file_gone": [gone], "still_poison": [garbage]}
    assert (
        dead_letters.waiting,
        await dead_letters.state(gone),
        await dead_letters.state(garbage),
    ) == (
        [],
        "open",
        "open",
    )
    report = await dead_letters.replay(force=True)
    assert report.letters == {"sent": [gone, garbage]}


async def test_a_replay_that_fails_is_a_new_letter_and_the_old_one_has_failed(
    dead_letters: LettersWithoutKafka,
) -> None:
    first = await parked_without_file(dead_letters, PHYSICS)
    await dead_letters.replay(force=True)
    (second,) = await dead_letters.deliver_waiting()
    assert second not in {None, first}
    old, new = await dead_letters.letter(first), await dead_letters.letter(second)
    assert (old.state, old.state_reason) == ("failed", f"parked again as {second}: file_gone")
    assert (new.state, new.replay_of, new.replay_count, new.job_id) == (
        "open",
        first,
        1,
        old.job_id,
    )
    bring_files_back(dead_letters.jobs)
    await dead_letters.replay()
    await dead_letters.deliver_waiting()
    assert (await dead_letters.state(first), await dead_letters.state(second)) == (
        "failed",
        "resolved",
    )


async def test_a_letter_that_has_come_back_three_times_is_quarantined(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await dead_letters.park(CSV_PER_YEAR, GARBAGE, headers=(("trace", b"1"),))
    for replays in (1, 2, 3):
        await dead_letters.replay(letter, force=True)
        (letter,) = await dead_letters.deliver_waiting()
        assert (await dead_letters.letter(letter)).replay_count == replays
    assert await dead_letters.state(letter) == "quarantined"
    assert (await dead_letters.replay()).letters == {}
    await dead_letters.replay(letter, force=True, states=(LetterState.QUARANTINED,))
    assert len(dead_letters.waiting) == 1
    assert len(dead_letters.waiting[0].headers) == 3, "replays do not let the headers grow"


async def test_replaying_an_old_letter_after_a_newer_success_changes_nothing(
    dead_letters: LettersWithoutKafka, university: University
) -> None:
    letter = await parked_without_file(dead_letters, PHYSICS, BIOLOGY)
    await dead_letters.jobs.run(CSV_PER_YEAR, [purchase(PHYSICS, "newer")])
    bring_files_back(dead_letters.jobs)
    before = await university.entries()
    assert await dead_letters.verdict(letter) == "would_apply"
    assert "1 of 3 modules" in (await dead_letters.judged(letter)).finding.detail
    await dead_letters.replay()
    assert await dead_letters.deliver_waiting() == [None]
    assert await university.entries() == before
    settled = await dead_letters.letter(letter)
    assert (settled.state, settled.state_reason) == ("resolved", "job 1: superseded")


async def test_a_letter_of_a_job_that_has_ended_is_resolved_when_its_message_is_answered_again(
    dead_letters: LettersWithoutKafka, university: University
) -> None:
    message = dead_letters.jobs.message(CSV_PER_YEAR, purchases(PHYSICS))
    letter = await dead_letters.park(CSV_PER_YEAR, take_file_away(dead_letters.jobs, message))
    bring_files_back(dead_letters.jobs)
    await dead_letters.jobs.deliver(CSV_PER_YEAR, message)
    await dead_letters.execute("UPDATE dead_letters SET state = 'open'")
    before = await university.entries()
    assert await dead_letters.verdict(letter) == "duplicate"
    await dead_letters.replay()
    await dead_letters.deliver_waiting()
    assert await dead_letters.state(letter) == "resolved"
    assert await university.entries() == before


async def test_a_letter_that_a_newer_version_can_read_is_resolved_by_its_job(
    dead_letters: LettersWithoutKafka, university: University
) -> None:
    letter = await parked_without_file(dead_letters, PHYSICS)
    bring_files_back(dead_letters.jobs)
    await dead_letters.execute(
        "UPDATE dead_letters SET code = 'unknown_type', job_id = NULL, year = NULL"
    )
    await dead_letters.replay()
    await dead_letters.deliver_waiting()
    resolved = await dead_letters.letter(letter)
    assert (resolved.state, resolved.job_id, resolved.year) == ("resolved", 1, 2025)


async def test_a_job_that_ends_before_its_letter_is_marked_as_sent_has_the_last_word(
    dead_letters: LettersWithoutKafka, university: University
) -> None:
    letter = await parked_without_file(dead_letters, PHYSICS)
    bring_files_back(dead_letters.jobs)
    publish = dead_letters.publish

    async def and_deliver(record: Record) -> Position:
        position = await publish(record)
        await dead_letters.deliver_waiting()
        return position

    dead_letters.publish = and_deliver  # type: ignore[method-assign] # a stand-in
    assert (await dead_letters.replay()).letters == {"sent": [letter]}
    assert await dead_letters.state(letter) == "resolved"


# several operators


async def test_of_two_operators_at_once_one_sends_each_letter(
    dead_letters: LettersWithoutKafka,
) -> None:
    letters = [await dead_letters.park(CSV_PER_YEAR, GARBAGE) for _ in range(30)]
    reports = await asyncio.gather(
        *(dead_letters.replay(by=name, force=True) for name in ("ann", "bob"))
    )
    sent = [dict(record.headers)["dlq-replay-of"].decode() for record in dead_letters.waiting]
    assert sorted(sent) == sorted(map(str, letters))
    assert sorted(reports[0].letters["sent"] + reports[1].letters["sent"]) == sorted(letters)
    assert all(report.stopped is None for report in reports)


async def test_a_letter_that_was_sent_meanwhile_is_not_sent_once_more(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter_id = await dead_letters.park(CSV_PER_YEAR, GARBAGE)
    seen = await dead_letters.letter(letter_id)
    await dead_letters.replay(force=True)
    assert not await dead_letters.sender().send(seen, dead_letters.waiting[0], job=None)
    sent = await dead_letters.letter(letter_id)
    await dead_letters.replay(letter_id, force=True, states=(LetterState.SENT,))
    assert not await dead_letters.sender().send(sent, dead_letters.waiting[0], job=None)
    assert len(dead_letters.waiting) == 2


async def test_a_claim_is_taken_back_once_its_operator_must_be_dead(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await parked_without_file(dead_letters, PHYSICS)
    await _die_after_claim(dead_letters, letter)
    assert await end_abandoned_claims(dead_letters.engine, actor="bob") == {}
    await _let_pass(dead_letters, timedelta(minutes=6))
    assert await end_abandoned_claims(dead_letters.engine, actor="bob") == {letter: "open"}
    opened = await dead_letters.letter(letter)
    assert (opened.state, opened.state_by, opened.state_reason) == (
        "open",
        "bob",
        "claim abandoned by ann",
    )
    async with dead_letters.engine.connect() as conn:
        (action,) = await audit.actions_on_letter(conn, letter)
    assert (action.actor, action.action, action.outcome) == (
        "bob",
        "take-back",
        {"letters": {str(letter): "open"}},
    )


async def test_a_claim_of_a_quarantined_letter_is_taken_back_into_quarantine(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await dead_letters.park(CSV_PER_YEAR, GARBAGE)
    await dead_letters.execute("UPDATE dead_letters SET replay_count = 3, state = 'quarantined'")
    await _die_after_claim(dead_letters, letter)
    await _let_pass(dead_letters, timedelta(minutes=6))
    assert await end_abandoned_claims(dead_letters.engine, actor="bob") == {letter: "quarantined"}


async def test_an_abandoned_claim_whose_job_has_begun_counts_as_sent(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await parked_without_file(dead_letters, PHYSICS)
    await _die_after_claim(dead_letters, letter)
    await _let_pass(dead_letters, timedelta(minutes=6))
    await dead_letters.execute("UPDATE upload_jobs SET started_at = now()")
    assert await end_abandoned_claims(dead_letters.engine, actor="bob") == {letter: "sent"}


async def test_a_letter_that_was_sent_after_all_has_failed_even_if_its_claim_was_taken_back(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await dead_letters.park(CSV_PER_YEAR, GARBAGE)
    await dead_letters.replay(force=True)
    await dead_letters.execute("UPDATE dead_letters SET state = 'open'")
    (successor,) = await dead_letters.deliver_waiting()
    assert await dead_letters.state(letter) == "failed"
    assert (await dead_letters.letter(successor)).replay_of == letter


async def test_a_letter_whose_ack_never_came_stays_claimed(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await dead_letters.park(CSV_PER_YEAR, GARBAGE)

    async def away(record: Record) -> Position:
        raise BrokerAway(record.topic)

    dead_letters.publish = away  # type: ignore[method-assign] # a stand-in
    report = await dead_letters.replay(force=True)
    assert report.letters == {"in_doubt": [letter]}
    assert "Kafka does not answer" in (report.stopped or "")
    assert await dead_letters.state(letter) == "claimed"


async def _die_after_claim(dead_letters: LettersWithoutKafka, letter: UUID) -> None:
    class Killed(BaseException):
        pass

    async def die(_: Record) -> Position:
        raise Killed

    sender, publish = dead_letters.sender("ann"), dead_letters.publish
    dead_letters.publish = die  # type: ignore[method-assign] # a stand-in
    sender = dead_letters.sender("ann")
    with pytest.raises(Killed):
        await sender.send(
            await dead_letters.letter(letter),
            Record(dead_letters.topics.all_jobs[0], None, None),
            job=None,
        )
    dead_letters.publish = publish  # type: ignore[method-assign] # a stand-in
    assert await dead_letters.state(letter) == "claimed"


async def _let_pass(dead_letters: LettersWithoutKafka, time: timedelta) -> None:
    await dead_letters.execute(
        "UPDATE dead_letters SET state_at = state_at - CAST(:time AS interval)", time=time
    )
    await dead_letters.execute(
        "UPDATE upload_jobs SET started_at = started_at - CAST(:time AS interval)", time=2 * time
    )


# canaries


async def test_a_canary_that_comes_back_stops_the_rest(dead_letters: LettersWithoutKafka) -> None:
    letters = [await dead_letters.park(CSV_PER_YEAR, GARBAGE) for _ in range(4)]
    replaying = asyncio.create_task(dead_letters.replay(force=True, pace=Pace(waves=(1, 2))))
    await until(lambda: dead_letters.waiting, within=10, what="the first letter is sent")
    (successor,) = await dead_letters.deliver_waiting()
    report = await replaying
    assert report.letters == {"sent": letters[:1]}
    assert str(letters[0]) in (report.stopped or "")
    assert [await dead_letters.state(letter) for letter in letters] == [
        "failed",
        "open",
        "open",
        "open",
    ]
    assert await dead_letters.state(successor) == "open"


async def test_a_canary_waits_for_each_wave_to_end(dead_letters: LettersWithoutKafka) -> None:
    for _ in range(6):
        await parked_without_file(dead_letters, PHYSICS)
    bring_files_back(dead_letters.jobs)
    replaying = asyncio.create_task(dead_letters.replay(pace=Pace(waves=(1, 2))))
    waves = []
    while not replaying.done():
        await asyncio.sleep(0.02)
        if dead_letters.waiting:
            await asyncio.sleep(0.1)
            waves.append(len(dead_letters.waiting))
            await dead_letters.deliver_waiting()
    assert waves == [1, 2, 3]
    assert (await replaying).count("sent") == 6


async def test_a_canary_that_nobody_works_on_stops_the_rest(
    dead_letters: LettersWithoutKafka,
) -> None:
    for _ in range(2):
        await dead_letters.park(CSV_PER_YEAR, GARBAGE)
    report = await dead_letters.replay(force=True, pace=Pace(waves=(1,), patience=0.2))
    assert (report.count("sent"), len(dead_letters.waiting)) == (1, 1)
    assert "have not ended in time" in (report.stopped or "")


async def test_a_rate_is_kept(dead_letters: LettersWithoutKafka) -> None:
    for _ in range(3):
        await dead_letters.park(CSV_PER_YEAR, GARBAGE)
    started = asyncio.get_running_loop().time()
    await dead_letters.replay(force=True, pace=Pace(rate=10))
    assert asyncio.get_running_loop().time() - started >= 0.2


# verdicts


async def test_verdicts_say_what_would_happen(
    dead_letters: LettersWithoutKafka, university: University
) -> None:
    jobs = dead_letters.jobs
    gone = await parked_without_file(dead_letters, PHYSICS)
    tombstone = await dead_letters.park(CSV_PER_YEAR, None)
    elsewhere = await dead_letters.park(
        CSV_PER_YEAR,
        jobs.message(
            CSV_PER_YEAR, file={"url": "file:///etc/passwd", "size": 1, "sha256": "0" * 64}
        ),
    )
    expired = await dead_letters.park(
        CSV_PER_YEAR,
        jobs.message(
            CSV_PER_YEAR, file=jobs.file("x", "expired.csv", expires_at="2020-01-01T00:00:00Z")
        ),
    )
    cut = await dead_letters.park(
        CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, file=jobs.file("xyz", "cut.csv", size=2))
    )
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), job_id=77)
    other = jobs.message(CSV_PER_YEAR, purchases(LIBRARY), job_id=77)
    conflict = await dead_letters.park(CSV_PER_YEAR, other)
    before = await university.entries()
    assert await dead_letters.verdict(gone) == "file_gone"
    assert await dead_letters.verdict(tombstone) == "still_poison"
    assert await dead_letters.verdict(elsewhere) == "still_poison"
    assert await dead_letters.verdict(expired) == "file_expired"
    assert (
        await dead_letters.judged(cut)
    ).finding.detail == "the file has 3 bytes, the message says 2"
    assert await dead_letters.verdict(conflict) == "conflict"
    bring_files_back(jobs)
    assert await dead_letters.verdict(gone) == "would_apply"
    assert await university.entries() == before
    assert [letter.state for letter in await dead_letters.letters()] == ["open"] * 6


async def test_a_store_that_does_not_answer_leaves_a_letter_unjudged(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await parked_without_file(dead_letters, PHYSICS)
    dead_letters.jobs.root.rename(dead_letters.jobs.root.with_name("unmounted"))
    assert await dead_letters.verdict(letter) == "not_judged"
    assert (await dead_letters.replay()).letters == {"not_judged": [letter]}


@pytest.mark.parametrize("superseding", [(PHYSICS, BIOLOGY, LIBRARY), (PHYSICS,)])
async def test_a_job_over_the_year_is_superseded_by_one_newer_head(
    dead_letters: LettersWithoutKafka, superseding: tuple[str, ...]
) -> None:
    letter = await parked_without_file(dead_letters, PHYSICS, BIOLOGY, replace_scope="year")
    await dead_letters.jobs.run(CSV_PER_YEAR, purchases(*superseding), job_id=12)
    bring_files_back(dead_letters.jobs)
    await dead_letters.execute("UPDATE dead_letters SET state = 'open'")
    judgement = await dead_letters.judged(letter)
    assert judgement.finding.verdict == "superseded"
    assert "by job 12" in judgement.finding.detail


async def test_an_older_head_supersedes_nobody(dead_letters: LettersWithoutKafka) -> None:
    await dead_letters.jobs.run(CSV_PER_YEAR, purchases(PHYSICS, BIOLOGY, LIBRARY), job_id=5)
    letter = await parked_without_file(dead_letters, PHYSICS, replace_scope="year", job_id=6)
    bring_files_back(dead_letters.jobs)
    assert (await dead_letters.judged(letter)).finding == Finding(Verdict.WOULD_APPLY)


async def test_a_job_is_superseded_for_certain_where_every_module_has_a_newer_head(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await parked_without_file(dead_letters, PHYSICS)
    await dead_letters.jobs.run(CSV_PER_YEAR, purchases(PHYSICS, BIOLOGY, LIBRARY), job_id=12)
    bring_files_back(dead_letters.jobs)
    assert await dead_letters.verdict(letter) == "superseded"


async def test_a_job_over_known_modules_is_superseded_by_one_newer_head_among_them(
    dead_letters: LettersWithoutKafka, university: University
) -> None:
    letter = await parked_without_file(dead_letters, PHYSICS, LIBRARY)
    bring_files_back(dead_letters.jobs)
    modules = [university.module(PHYSICS), university.module(LIBRARY)]
    await dead_letters.execute("UPDATE dead_letters SET modules = :modules", modules=modules)
    await dead_letters.jobs.run(CSV_PER_YEAR, purchases(BIOLOGY), job_id=12)
    assert (await dead_letters.judged(letter)).finding == Finding(Verdict.WOULD_APPLY)
    await dead_letters.jobs.run(CSV_PER_YEAR, purchases(LIBRARY), job_id=13)
    assert await dead_letters.verdict(letter) == "superseded"


async def test_factors_are_superseded_by_newer_ones(dead_letters: LettersWithoutKafka) -> None:
    rows = [{"country_code": "CH", "ef_kg_co2eq_per_km": "0.007"}]
    message = dead_letters.jobs.message(FACTORS, rows, data_entry_type="train")
    letter = await dead_letters.park(FACTORS, take_file_away(dead_letters.jobs, message))
    bring_files_back(dead_letters.jobs)
    assert await dead_letters.verdict(letter) == "would_apply"
    await dead_letters.jobs.run(FACTORS, rows, data_entry_type="train", job_id=12)
    await dead_letters.execute("UPDATE dead_letters SET state = 'open'")
    assert await dead_letters.verdict(letter) == "superseded"


async def test_an_append_is_never_superseded(
    dead_letters: LettersWithoutKafka, university: University
) -> None:
    module = university.module(PHYSICS)
    gone = {"url": (dead_letters.jobs.root / "lab.csv").as_uri(), "size": 3, "sha256": "0" * 64}
    letter = await dead_letters.park(
        API_UNIT, dead_letters.jobs.message(API_UNIT, carbon_report_module_id=module, file=gone)
    )
    await dead_letters.jobs.run(
        API_UNIT, purchases(None), carbon_report_module_id=module, job_id=12
    )
    (dead_letters.jobs.root / "lab.csv").write_text("abc")
    assert await dead_letters.verdict(letter) == "would_apply"


async def test_a_letter_is_never_sent_to_a_topic_that_is_not_for_jobs(
    dead_letters: LettersWithoutKafka,
) -> None:
    for topic in (
        "somebody.elses",
        dead_letters.topics.completed,
        dead_letters.topics.dead_letter,
        "",
    ):
        letter = await dead_letters.park(CSV_PER_YEAR, GARBAGE)
        await dead_letters.execute(
            "UPDATE dead_letters SET original_topic = :topic WHERE id = :id", topic=topic, id=letter
        )
        assert (await dead_letters.replay(letter, force=True)).letters == {
            "foreign_topic": [letter]
        }
        assert await dead_letters.state(letter) == "open"
    assert dead_letters.waiting == []


async def test_even_a_verdict_that_overlooked_it_sends_nothing_to_a_foreign_topic(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await dead_letters.letter(await dead_letters.park(CSV_PER_YEAR, GARBAGE))
    with pytest.raises(ForeignTopic, match=r"somebody\.elses"):
        await dead_letters.sender().send(letter, Record("somebody.elses", None, GARBAGE), job=None)
    assert (dead_letters.waiting, await dead_letters.state(letter.id)) == ([], "open")


async def test_a_letter_whose_record_is_gone_or_anothers_is_never_sent(
    dead_letters: LettersWithoutKafka,
) -> None:
    first, second = (
        await dead_letters.park(CSV_PER_YEAR, GARBAGE),
        await dead_letters.park(CSV_PER_YEAR, GARBAGE),
    )
    await dead_letters.execute("UPDATE dead_letters SET dlq_offset = 0 WHERE id = :id", id=second)
    await dead_letters.execute("UPDATE dead_letters SET dlq_offset = 99 WHERE id = :id", id=first)
    assert (await dead_letters.replay(force=True)).letters == {"record_gone": [first, second]}
    await dead_letters.execute("UPDATE dead_letters SET dlq_offset = NULL, dlq_partition = NULL")
    assert (await dead_letters.replay(force=True)).letters == {"record_gone": [first, second]}


# parking


@pytest.mark.parametrize(
    "headers",
    [
        (("dlq-replay-of", b"no id"), ("dlq-replay-count", b"1")),
        (("dlq-replay-of", str(uuid4()).encode()), ("dlq-replay-count", b"0")),
        (("dlq-replay-of", str(uuid4()).encode()), ("dlq-replay-count", b"many")),
        (("dlq-replay-of", str(uuid4()).encode()), ("dlq-replay-count", b"9" * 30)),
        (("dlq-replay-of", b"\xff"), ("dlq-replay-count", b"-1")),
        (("dlq-replay-count", b"2"),),
        (("dlq-replay-of", None), ("dlq-replay-count", None), ("other", None)),
    ],
)
async def test_headers_that_pretend_a_replay_keep_nothing_from_being_parked(
    dead_letters: LettersWithoutKafka, headers: tuple[tuple[str, bytes], ...]
) -> None:
    letter = await dead_letters.letter(
        await dead_letters.park(CSV_PER_YEAR, GARBAGE, headers=headers)
    )
    assert (letter.state, letter.replay_count, letter.replay_of) == ("open", 0, None)


async def test_a_message_that_no_text_column_can_hold_is_parked_all_the_same(
    dead_letters: LettersWithoutKafka,
) -> None:
    value = dead_letters.jobs.message(
        CSV_PER_YEAR, data_entry_type="a\0b", file={"url": "x", "size": 1, "sha256": "0" * 64}
    )
    letter = await dead_letters.letter(await dead_letters.park(CSV_PER_YEAR, value))
    assert (letter.code, "a\N{REPLACEMENT CHARACTER}b" in letter.message) == ("unknown_type", True)


async def test_a_letter_has_failed_by_a_replay_on_its_own_topic_alone(
    dead_letters: LettersWithoutKafka,
) -> None:
    letter = await dead_letters.park(CSV_PER_YEAR, GARBAGE)
    elsewhere = await dead_letters.park(API_PER_YEAR, GARBAGE, headers=Replay(letter, 1).headers())
    assert (await dead_letters.state(letter), (await dead_letters.letter(elsewhere)).replay_of) == (
        "open",
        None,
    )


def test_own_headers_leave_out_those_of_a_dead_letter() -> None:
    record = Record("t", None, None, (("a", b"1"), ("dlq-code", b"x"), ("dlqx", b"2")))
    assert own_headers(record) == (("a", b"1"), ("dlqx", b"2"))
