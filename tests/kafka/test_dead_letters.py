"""`uploads dead-letters` as an operator uses it, beside a worker on a real broker."""

import asyncio
import base64
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from confluent_kafka import Producer
from sqlalchemy import text

from service.dead_letters.send import ABANDONED
from service.domain.provider_types import DataEntrySource, ProviderType
from service.settings import Settings
from tests.support.command import Ran, finished
from tests.support.command import uploads as run
from tests.support.jobs import CSV_PER_YEAR, Jobs, csv_of, purchase, purchases
from tests.support.university import PHYSICS, University
from tests.support.until import until
from tests.support.worker import Client, client, environment, running

SOURCE = DataEntrySource.CSV_MODULE_PER_YEAR
GARBAGE = b"\xff\xfe\x00 no JSON"


@pytest.fixture(autouse=True)
def _logs_beside() -> Iterator[None]:
    """Send the worker's log to stderr, away from the output of a command in the same process."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    yield
    structlog.reset_defaults()


async def uploads(settings: Settings, command: str, *options: str | Path) -> Ran:
    """Run a command on dead letters."""
    return await run("dead-letters", command, *options, **environment(settings))


async def as_process(settings: Settings, command: str, *options: str | Path, **more: str) -> Ran:
    """Run a command as another process, which can be killed."""
    return await finished("dead-letters", command, *options, **environment(settings), **more)


async def executed(settings: Settings, command: str, *options: str | Path) -> Any:
    """Run a command that must succeed; return its JSON output."""
    ran = await uploads(settings, command, *options, "--execute", "--json", "--by=ann")
    assert ran.exit_code == 0, ran.err + ran.out
    return ran.json


def without_file(jobs: Jobs, *units: str, **fields: Any) -> tuple[bytes, Path]:
    """A message whose file is away, and the path to give to `bring_back`."""
    message = jobs.message(CSV_PER_YEAR, purchases(*units), **fields)
    path = jobs.root / f"{orjson.loads(message)['job_id']} - é.csv"
    return message, path.rename(path.with_suffix(".away"))


def bring_back(*paths: Path) -> None:
    for path in paths:
        path.rename(path.with_suffix(".csv"))


async def sql(university: University, query: str, **values: Any) -> list[Any]:
    async with university.engine.begin() as conn:
        done = await conn.execute(text(query), values)
        return list(done.all()) if done.returns_rows else []


async def let_pass(university: University, time: timedelta) -> None:
    """Make all dead letters and jobs older by `time`."""
    await sql(
        university,
        "UPDATE dead_letters SET state_at = state_at - CAST(:time AS interval)",
        time=time,
    )
    await sql(
        university,
        "UPDATE upload_jobs SET started_at = started_at - CAST(:time AS interval)",
        time=time,
    )


async def states(university: University) -> list[str]:
    """The state of every letter, in the order in which they were parked."""
    return [
        row.state
        for row in await sql(university, "SELECT state FROM dead_letters ORDER BY parked_at")
    ]


async def reached(university: University, *wanted: str) -> None:
    await until(
        lambda: _are(university, wanted), within=30, what=f"the letters are {', '.join(wanted)}"
    )


async def _are(university: University, wanted: tuple[str, ...]) -> bool:
    return await states(university) == list(wanted)


async def park(
    kafka: Client,
    university: University,
    value: bytes | None,
    topic: ProviderType = CSV_PER_YEAR,
    **more: Any,
) -> str:
    """Send poison; return the id of the dead letter that it becomes."""
    before = len(await states(university))
    await kafka.send(topic, value, **{"key": b"k", **more})
    await parked(university, before + 1)
    (letter,) = await sql(university, "SELECT id FROM dead_letters ORDER BY parked_at DESC LIMIT 1")
    return str(letter.id)


async def parked(university: University, count: int) -> None:
    """Wait until there are `count` letters.

    The record is on the dead-letter topic before its row is committed.
    """

    async def are_there() -> bool:
        return len(await states(university)) >= count

    await until(are_there, within=30, what=f"{count} letters are parked")


async def test_a_letter_is_listed_judged_replayed_and_resolved(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    message, file = without_file(jobs, PHYSICS)
    async with client(settings) as kafka, running(settings):
        letter = await park(kafka, university, message, key=b"k")
        listed = (await uploads(settings, "list", "--json")).json
        assert [(group["code"], group["states"]) for group in listed["groups"]] == [
            ("file_gone", {"open": 1})
        ]
        dry = await uploads(settings, "replay", "--id", letter[:8])
        assert "file_gone" in dry.out
        assert "add --execute" in dry.out
        bring_back(file)
        dry = await uploads(settings, "replay", "--json")
        assert [(one["id"], one["verdict"]) for one in dry.json["letters"]] == [
            (letter, "would_apply")
        ]
        assert await states(university) == ["open"]
        done = await executed(settings, "replay", "--canary=1", "--reason", "the file is back")
        assert (done["sent"], done["stopped"]) == (1, None)
        assert (await kafka.event(1, count=2))["outcome"] == "succeeded"
    assert await states(university) == ["resolved"]
    assert len(await university.scope(PHYSICS, SOURCE)) == 1
    (action,) = await sql(
        university, "SELECT actor, action, reason, outcome FROM dead_letter_actions"
    )
    assert action == (
        "ann",
        "replay",
        "the file is back",
        {"letters": {"sent": [letter]}, "stopped": None},
    )


async def test_an_old_letter_replayed_after_a_newer_success_is_settled_and_changes_nothing(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    message, file = without_file(jobs, PHYSICS, replace_scope="affected")
    async with client(settings) as kafka, running(settings):
        await park(kafka, university, message)
        await kafka.send(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, [purchase(PHYSICS, "newer")]))
        await kafka.event(2)
        before = await university.entries()
        bring_back(file)
        await executed(settings, "replay")
        event = await kafka.event(1, count=2)
    assert (event["outcome"], event["superseded_by"]) == ("superseded", 2)
    assert await university.entries() == before
    assert await states(university) == ["resolved"]


async def test_a_newer_success_over_the_year_supersedes_an_open_letter(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    message, _ = without_file(jobs, PHYSICS)
    async with client(settings) as kafka, running(settings):
        await park(kafka, university, message)
        await kafka.send(
            CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, purchases(PHYSICS), replace_scope="year")
        )
        await kafka.event(2)
        assert await states(university) == ["superseded"]
        assert (await executed(settings, "replay"))["letters"] == []


async def test_a_tombstone_and_undecodable_bytes_are_replayed_byte_for_byte(
    settings: Settings, university: University
) -> None:
    headers = [("trace", b"\xfe\xff"), ("trace", b"again"), ("empty", b""), ("null", None)]
    originals = [(None, b"\x00key"), (GARBAGE, None), (b"x" * 2**20, b"large"), (None, None)]
    async with client(settings) as kafka, running(settings):
        for value, key in originals[:-1]:
            await park(kafka, university, value, key=key, headers=headers)
        await asyncio.to_thread(
            produce_nothing, settings, kafka.topics.job_topic(CSV_PER_YEAR), headers
        )
        await parked(university, 4)
        await executed(settings, "replay", "--force")
        letters = await kafka.dead_letters(8)
    again = [record for record in letters if dict(record.headers)["dlq-replay-count"] == b"1"]
    assert {(record.value, record.key) for record in again} == set(originals)
    assert all(list(record.headers[:4]) == headers for record in again)
    assert sorted(await states(university)) == ["failed"] * 4 + ["open"] * 4


def produce_nothing(settings: Settings, topic: str, headers: list[Any]) -> None:
    """Send a record without key and value; aiokafka refuses to do this."""
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    producer.produce(topic, None, None, headers=headers)
    assert producer.flush(30) == 0


async def test_a_letter_that_comes_back_three_times_is_quarantined(
    settings: Settings, university: University
) -> None:
    async with client(settings) as kafka, running(settings):
        await park(kafka, university, GARBAGE)
        for count in (2, 3, 4):
            await executed(settings, "replay", "--force")
            await parked(university, count)
        assert await states(university) == ["failed", "failed", "failed", "quarantined"]
        assert (await executed(settings, "replay", "--force"))["letters"] == []
        refused = await uploads(settings, "replay", "--state=quarantined", "--execute")
        assert (refused.exit_code, "--quarantined" in refused.err) == (2, True)
        assert (await executed(settings, "replay", "--force", "--quarantined"))["sent"] == 1
        await parked(university, 5)


async def test_two_operators_at_once_send_each_letter_once(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    away = [without_file(jobs, PHYSICS) for _ in range(8)]
    async with client(settings) as kafka:
        async with running(settings):
            for message, _ in away:
                await park(kafka, university, message)
        bring_back(*(path for _, path in away))
        both = await asyncio.gather(
            executed_or_not(settings, "ann"), executed_or_not(settings, "bob")
        )
        assert sum(ran.json["sent"] for ran in both) == len(away)
        async with running(settings):
            await reached(university, *["resolved"] * len(away))
        offsets = await kafka.committed(CSV_PER_YEAR)
    assert sum(offsets.values()) == 2 * len(away), "each letter was sent once"
    actions = await sql(university, "SELECT outcome FROM dead_letter_actions")
    assert len(actions) == 2
    assert sum(len(action.outcome["letters"].get("sent", ())) for action in actions) == len(away)


async def executed_or_not(settings: Settings, by: str) -> Ran:
    return await as_process(settings, "replay", "--execute", "--json", f"--by={by}")


@pytest.mark.parametrize("point", ["after_replay_claim", "after_replay_ack"])
async def test_an_operator_who_is_killed_in_mid_replay_leaves_one_letter_in_doubt_and_a_trace(
    settings: Settings, university: University, jobs: Jobs, point: str
) -> None:
    away = [without_file(jobs, PHYSICS) for _ in range(4)]
    async with client(settings) as kafka:
        async with running(settings):
            for message, _ in away:
                await park(kafka, university, message)
        bring_back(*(path for _, path in away))
        killed = await as_process(
            settings, "replay", "--execute", "--by=ann", UPLOADS_CRASH_AT=f"{point}:2"
        )
        assert killed.exit_code == -signal.SIGKILL
        assert await states(university) == ["sent", "claimed", "open", "open"]
        (action,) = await sql(
            university,
            "SELECT actor, outcome, cardinality(dead_letter_ids) FROM dead_letter_actions",
        )
        assert action == ("ann", None, 4)
        next_one = await executed(settings, "replay")
        assert next_one["sent"] == 2, "a claim that may be alive is left alone"
        await let_pass(university, ABANDONED * 1.1)
        last_one = await executed(settings, "replay")
        assert last_one["sent"] == 1
        sends = {"after_replay_claim": 4, "after_replay_ack": 5}[point]

        async def all_came() -> bool:
            return sum((await kafka.committed(CSV_PER_YEAR)).values()) >= len(away) + sends

        async with running(settings):
            await reached(university, *["resolved"] * 4)
            await until(all_came, within=10, what="what was sent twice has come twice")
        offsets = await kafka.committed(CSV_PER_YEAR)
    assert sum(offsets.values()) == len(away) + sends, "once for each claim"
    entries = await university.scope(PHYSICS, SOURCE)
    assert len(entries) == 1
    actions = await sql(university, "SELECT action FROM dead_letter_actions ORDER BY id")
    assert [row.action for row in actions] == ["replay", "replay", "take-back", "replay"]


async def test_a_canary_that_comes_back_stops_the_rest(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    async with client(settings) as kafka, running(settings):
        for _ in range(3):
            await park(kafka, university, GARBAGE)
        ran = await uploads(settings, "replay", "--force", "--canary=1,5", "--execute")
        assert ran.exit_code == 3
        assert "Stopped: A letter that was sent first came back" in ran.out
        assert "2 not reached" in ran.out
    assert await states(university) == ["failed", "open", "open", "open"]


async def test_an_edited_copy_resolves_the_original_when_it_succeeds(
    settings: Settings, university: University, jobs: Jobs, tmp_path: Path
) -> None:
    message, _ = without_file(jobs, PHYSICS)
    await sql(university, "SELECT setval('upload_job_id_seq', 1000)")
    new = tmp_path / "corrected.csv"
    new.write_text(csv_of([purchase(PHYSICS, "corrected")]))
    async with client(settings) as kafka, running(settings):
        letter = await park(kafka, university, message)
        held = await uploads(
            settings, "edit", f"--id={letter}", "--set", "on_row_error=reject", "--execute"
        )
        assert (held.exit_code, "would come back" in held.out) == (3, True)
        dry = await uploads(settings, "edit", f"--id={letter}", "--file", new, "--json")
        assert (dry.json["verdict"], dry.json["job_id"], dry.json["message"]["based_on"]) == (
            "would_apply",
            None,
            1,
        )
        assert await states(university) == ["open"]
        done = await executed(
            settings, "edit", f"--id={letter}", "--file", new, "--reason=cut short"
        )
        event = await kafka.event(done["job_id"])
    assert event["outcome"] == "succeeded"
    assert await states(university) == ["resolved"]
    assert await university.names(PHYSICS, SOURCE) == ["corrected"]
    assert (jobs.root / f"edited/{done['job_id']}.csv").read_text() == new.read_text()


async def test_a_message_that_is_no_json_cannot_be_edited(
    settings: Settings, university: University
) -> None:
    async with client(settings) as kafka, running(settings):
        letter = await park(kafka, university, GARBAGE)
        ran = await uploads(settings, "edit", f"--id={letter}", "--set", "year=2025", "--execute")
    assert ran.exit_code == 2
    assert (
        "can't be edited; submit the upload again and discard the letter. It is not JSON."
        in ran.err
    )
    assert await states(university) == ["open"]


async def test_a_letter_is_only_ever_sent_to_a_job_topic_of_this_service(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    message, file = without_file(jobs, PHYSICS)
    bring_back(file)
    async with client(settings) as kafka, running(settings):
        await park(
            kafka,
            university,
            GARBAGE,
            headers=[("dlq-original-topic", kafka.topics.completed.encode())],
        )
        await sql(
            university,
            "UPDATE dead_letters SET original_topic = :topic",
            topic=kafka.topics.completed,
        )
        ran = await uploads(settings, "replay", "--force", "--execute", "--json")
        await kafka.send(CSV_PER_YEAR, message)
        await kafka.event(1)
        assert len(kafka.events()) == 1, "nothing but the job's own event"
    assert (ran.exit_code, ran.json["letters"][0]["verdict"], ran.json["sent"]) == (
        3,
        "foreign_topic",
        0,
    )


async def test_show_tells_everything_but_the_value_unless_asked(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    message = jobs.message(CSV_PER_YEAR, [purchase(PHYSICS)], submitted_by=77)
    letter_file = jobs.root / "1 - é.csv"
    letter_file.unlink()
    async with client(settings) as kafka, running(settings):
        letter = await park(kafka, university, message, key=b"\x00", headers=[("trace", b"abc")])
        await executed(settings, "replay", "--force")
        await kafka.dead_letters(2)
        without, with_ = (
            await uploads(settings, "show", letter[:8]),
            await uploads(settings, "show", letter, "--value"),
        )
        as_json = (await uploads(settings, "show", letter, "--json", "--value")).json
    assert without.exit_code == 0, without.err
    for part in (
        "file_gone",
        "key: b'\\x00'",
        "trace",
        "b'abc'",
        "stack:",
        "It came back as",
        "ann",
        "replay",
        "sent",
    ):
        assert part in without.out
    assert "submitted_by" not in without.out
    assert '"submitted_by": 77' in with_.out
    assert base64.b64decode(as_json["value"]) == message
    assert as_json["history"][0]["outcome"]["letters"] == {"sent": [letter]}


async def test_an_export_holds_the_bytes(
    settings: Settings, university: University, tmp_path: Path
) -> None:
    out = tmp_path / "letters.jsonl"
    async with client(settings) as kafka, running(settings):
        await park(kafka, university, GARBAGE, key=b"\xff", headers=[("trace", b"\x00")])
        await park(kafka, university, None)
        ran = await uploads(settings, "export", "--out", out, "--reason", "for the vendor")
        piped = await uploads(settings, "export", "--code=tombstone")
    assert ran.exit_code == 0, ran.err
    first, second = map(orjson.loads, out.read_bytes().splitlines())
    assert base64.b64decode(first["value"]) == GARBAGE
    assert base64.b64decode(first["key"]) == b"\xff"
    assert ["trace", base64.b64encode(b"\x00").decode()] in first["headers"]
    assert (second["code"], second["record"], second["value"]) == ("tombstone", True, None)
    assert orjson.loads(piped.out)["id"] == second["id"]
    assert out.stat().st_mode & 0o777 == 0o600
    exports = await sql(university, "SELECT action, reason FROM dead_letter_actions ORDER BY id")
    assert [tuple(row) for row in exports] == [("export", "for the vendor"), ("export", None)]


async def test_resume_lets_the_guard_park_again(settings: Settings, university: University) -> None:
    strict = settings.model_copy(
        update={"retry": settings.retry.model_copy(update={"guard_count": 2})}
    )
    async with client(strict) as kafka, running(strict):
        for _ in range(4):
            await kafka.send(CSV_PER_YEAR, GARBAGE, key=b"one partition")
        await kafka.dead_letters(2)
        stopped = await until(lambda: _stopped(strict), within=20, what="the guard has stopped")
        assert "2 messages were parked" in stopped
        resumed = await uploads(strict, "resume", "--by=ann", "--reason=mended", "--json")
        assert resumed.json["stopped_for"] == stopped
        await kafka.dead_letters(4)
    (action,) = await sql(university, "SELECT actor, action, reason FROM dead_letter_actions")
    assert action == ("ann", "resume", "mended")


async def _stopped(settings: Settings) -> str:
    return str((await uploads(settings, "list", "--json")).json["guard"] or "")
