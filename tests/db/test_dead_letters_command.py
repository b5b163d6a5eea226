"""The commands of `uploads dead-letters` that need only the database, and wrong options of all."""

import pytest

from service.dead_letters.guard import NAME
from tests.support.command import Ran
from tests.support.command import uploads as run
from tests.support.jobs import CSV_PER_YEAR, CSV_UNIT, FACTORS, Jobs
from tests.support.letters import LettersWithoutKafka
from tests.support.university import PHYSICS, University

GARBAGE = b"\xff no JSON"


@pytest.fixture
async def dead_letters(jobs: Jobs, shared_database: str) -> LettersWithoutKafka:
    dead_letters = LettersWithoutKafka(jobs)
    await dead_letters.execute("TRUNCATE dead_letters, dead_letter_actions, service_state")
    return dead_letters


async def uploads(database: str, *arguments: str) -> Ran:
    """Run a command on dead letters where nothing but the database answers."""
    return await run(
        "dead-letters",
        *arguments,
        UPLOADS_DATABASE__URL=database,
        UPLOADS_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1",
        UPLOADS_STORAGE__ROOT="file:///nowhere",
        COLUMNS="200",
    )


async def test_without_letters_the_list_says_so(
    dead_letters: LettersWithoutKafka, shared_database: str
) -> None:
    ran = await uploads(shared_database, "list")
    assert (ran.exit_code, ran.out) == (0, "There is no such dead letter.\n")


async def test_the_list_has_a_line_for_each_code(
    dead_letters: LettersWithoutKafka, shared_database: str
) -> None:
    for value in (GARBAGE, GARBAGE, None):
        await dead_letters.park(CSV_PER_YEAR, value)
    await dead_letters.execute("UPDATE dead_letters SET state = 'sent' WHERE original_offset = 1")
    await dead_letters.execute(
        "UPDATE dead_letters SET state = 'discarded' WHERE code = 'tombstone'"
    )
    ran = await uploads(shared_database, "list")
    assert [line.split()[:2] for line in ran.out.splitlines()] == [
        ["code", "letters"],
        ["not_json", "2"],
    ]
    assert "1 open, 1 sent" in ran.out
    everything = (await uploads(shared_database, "list", "--state=all", "--json")).json
    assert {group["code"]: group["states"] for group in everything["groups"]} == {
        "not_json": {"open": 1, "sent": 1},
        "tombstone": {"discarded": 1},
    }


async def test_the_list_of_all_has_a_line_for_each_letter(
    dead_letters: LettersWithoutKafka, shared_database: str, university: University
) -> None:
    module = university.module(PHYSICS)
    gone = {"url": (dead_letters.jobs.root / "gone.csv").as_uri(), "size": 1, "sha256": "0" * 64}
    await dead_letters.park(CSV_PER_YEAR, GARBAGE)
    letter = await dead_letters.park(
        CSV_UNIT, dead_letters.jobs.message(CSV_UNIT, file=gone, carbon_report_module_id=module)
    )
    factors = await dead_letters.park(FACTORS, dead_letters.jobs.message(FACTORS, file=gone))
    table = (await uploads(shared_database, "list", "--all")).out
    assert [line.split()[0] for line in table.splitlines()[2:]] == [
        str(letter)[:8],
        str(factors)[:8],
    ]
    found = (await uploads(shared_database, "list", "--all", f"--scope={module}", "--json")).json
    assert [one["id"] for one in found["letters"]] == [str(letter)]
    found = (
        await uploads(shared_database, "list", "--all", "--scope=2025:other_purchases", "--json")
    ).json
    assert [one["id"] for one in found["letters"]] == [str(factors)]


async def test_the_list_says_that_the_guard_has_stopped(
    dead_letters: LettersWithoutKafka, shared_database: str
) -> None:
    await dead_letters.execute(
        'INSERT INTO service_state (name, value) VALUES (:name, \'{"why": "Too many."}\')',
        name=NAME,
    )
    ran = await uploads(shared_database, "list")
    assert "Nothing more is parked until `uploads dead-letters resume`: Too many." in ran.out
    resumed = await uploads(shared_database, "resume", "--by=ann", "--reason=mended")
    assert (resumed.exit_code, resumed.out) == (0, "Parking goes on. It had stopped: Too many.\n")
    assert (await uploads(shared_database, "list", "--json")).json["guard"] is None
    actor, action, reason = await dead_letters.row(
        "SELECT actor, action, reason FROM dead_letter_actions"
    )
    assert (actor, action, reason) == ("ann", "resume", "mended")


async def test_discarding_needs_a_filter_a_reason_and_execute(
    dead_letters: LettersWithoutKafka, shared_database: str
) -> None:
    garbage, tombstone = (
        await dead_letters.park(CSV_PER_YEAR, GARBAGE),
        await dead_letters.park(CSV_PER_YEAR, None),
    )
    assert (
        await uploads(shared_database, "discard", "--code=tombstone", "--execute")
    ).exit_code == 2
    assert (await uploads(shared_database, "discard", "--reason=x", "--execute")).exit_code == 2
    dry = await uploads(shared_database, "discard", "--reason=x", "--code=tombstone")
    assert "1 letter. Nothing was discarded" in dry.out
    assert await dead_letters.state(tombstone) == "open"
    done = await uploads(
        shared_database, "discard", "--reason=a test", "--code=tombstone", "--execute", "--json"
    )
    assert (done.exit_code, done.json["executed"], done.json["ids"]) == (0, True, [str(tombstone)])
    assert (await dead_letters.state(garbage), await dead_letters.state(tombstone)) == (
        "open",
        "discarded",
    )
    action, reason, asked = await dead_letters.row(
        "SELECT action, reason, filter FROM dead_letter_actions"
    )
    assert (action, reason, asked) == ("discard", "a test", {"codes": ["tombstone"]})
    assert (
        await uploads(shared_database, "discard", "--all", "--reason=x", "--execute")
    ).exit_code == 0
    assert await dead_letters.state(garbage) == "discarded"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["list", "--older-than=soon"], "is no age"),
        (["list", "--scope=2025:biscuits"], "biscuits"),
        (["list", "--scope=soon"], "is no scope"),
        (["list", "--state=lost"], "lost"),
        (["list", "--all", "--id=ffff"], "none that begins"),
        (["replay", "--canary=1,x"], "1,5,25"),
        (["replay", "--canary=0"], "1,5,25"),
        (["replay", "--state=resolved"], "no others"),
        (["replay", "--state=all"], "no others"),
        (["replay", "--state=quarantined"], "--quarantined"),
        (["edit", "--id=ffff", "--set=year"], "field=value"),
        (["discard", "--reason=x", "--state=all", "--all"], "no others"),
        (["show", "ffff"], "none that begins"),
        (["show", "f"], "too short"),
    ],
)
async def test_what_is_asked_wrongly_is_explained(
    dead_letters: LettersWithoutKafka, shared_database: str, options: list[str], message: str
) -> None:
    ran = await uploads(shared_database, *options)
    assert (ran.exit_code, "Traceback" in ran.err) == (2, False)
    assert message in ran.err


async def test_a_broker_that_does_not_answer_is_told(
    dead_letters: LettersWithoutKafka, shared_database: str
) -> None:
    ran = await uploads(shared_database, "replay")
    assert (ran.exit_code, "Traceback" in ran.err) == (1, False)
    assert "UPLOADS_KAFKA__BOOTSTRAP_SERVERS" in ran.err
