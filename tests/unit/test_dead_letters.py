"""Dead letters without a database: filters as typed, edits, headers, and how things are shown."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from service.cli.dead_letters.view import age, as_text, describe_counts
from service.db.audit import AuditLine
from service.db.dead_letters import Filter
from service.dead_letters.discard import require_discardable
from service.dead_letters.edit import (
    BadEdit,
    NotEditable,
    copy_message,
    draft_copy,
    parse_assignment,
)
from service.dead_letters.export import record_as_json
from service.dead_letters.history import describe_result
from service.dead_letters.parked_record import Failure, Incoming, Replay, letter_headers
from service.dead_letters.replay import require_replayable
from service.dead_letters.select import parse_age, parse_job_key
from service.dead_letters.verdict import Verdict
from service.domain.errors import NotJson, Poison, UnknownType
from service.domain.model import Job, LetterState, Record
from service.domain.provider_types import ProviderType

PAGE = (Path(__file__).parents[2] / "docs" / "dead-letters.md").read_text("utf-8")
ID = UUID("3f0e2b52-63c1-5d9c-8c1e-0e4d1a3c7b55")


def record(value: bytes | None, **fields: Any) -> Record:
    return Record("uploads.csv-module-per-year", b"2025:66", value, **fields)


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        (" 2h ", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
        ("1w", timedelta(weeks=1)),
    ],
)
def test_an_age_is_a_number_with_a_unit(text: str, age: timedelta) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2.5h", "2 h", "2y", "٣d", "9999999d"])
def test_anything_else_is_no_age(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number and its unit"):
        parse_age(text)


def test_a_scope_is_a_jobs_key_and_its_type_may_have_a_name() -> None:
    assert parse_job_key("2025:66") == parse_job_key("2025:other_purchases") == (2025, 66)
    assert parse_job_key("4711") == 4711


@pytest.mark.parametrize("text", ["", "66:", ":66", "soon", "-1"])
def test_anything_else_is_no_scope(text: str) -> None:
    with pytest.raises(ValueError, match="expected year:type"):
        parse_job_key(text)


def test_a_scope_of_an_unknown_type_names_it() -> None:
    with pytest.raises(UnknownType, match="biscuits"):
        parse_job_key("2025:biscuits")


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("data_entry_type=services", "data_entry_type", "services"),
        ("year=2025", "year", 2025),
        ("file.url=s3://b/a=b.csv", "file.url", "s3://b/a=b.csv"),
        ("based_on=null", "based_on", None),
        ('file.sha256="0123"', "file.sha256", "0123"),
        ("rows.0.name=", "rows.0.name", ""),
    ],
)
def test_an_assignment_takes_json_as_json_and_anything_else_as_text(
    text: str, path: str, value: Any
) -> None:
    assert parse_assignment(text) == (path, value)


@pytest.mark.parametrize("text", ["year", "=2025", "a b=1", ""])
def test_an_assignment_needs_a_field(text: str) -> None:
    with pytest.raises(ValueError, match="expected field=value"):
        parse_assignment(text)


def test_an_edited_copy_keeps_the_rest_and_is_based_on_its_original() -> None:
    message = {
        "job_id": 7,
        "year": 2025,
        "file": {"url": "a", "size": 1},
        "rows": [{"name": "x"}, {"name": "y"}],
    }
    original = record(orjson.dumps(message))
    changed = draft_copy(original, {"file.url": "b", "rows.1.name": "z", "extra.new": 1})
    assert changed == {
        "based_on": 7,
        "year": 2025,
        "file": {"url": "b", "size": 1},
        "rows": [{"name": "x"}, {"name": "z"}],
        "extra": {"new": 1},
    }
    assert orjson.loads(copy_message(changed, 99)) == changed | {"job_id": 99}


def test_what_an_original_is_based_on_its_copy_is_too() -> None:
    assert draft_copy(record(b'{"job_id": 7, "based_on": 3}'), {})["based_on"] == 3
    assert draft_copy(record(b'{"job_id": 7, "based_on": null}'), {})["based_on"] == 7
    assert draft_copy(record(b'{"job_id": 7}'), {"based_on": 5})["based_on"] == 5


@pytest.mark.parametrize("value", [None, b"", b"{", b"\xff", b"[1]", b'"text"', b"null"])
def test_a_message_that_is_no_json_object_cannot_be_edited(value: bytes | None) -> None:
    with pytest.raises(NotEditable):
        draft_copy(record(value), {})


@pytest.mark.parametrize(
    "job_id", [b"", b', "job_id": "7"', b', "job_id": 0', b', "job_id": true', b', "job_id": 1e3']
)
def test_a_copy_of_a_message_without_a_job_id_must_say_what_it_is_based_on(job_id: bytes) -> None:
    original = record(b'{"year": 2025%s}' % job_id)
    with pytest.raises(BadEdit, match="--set based_on=ID"):
        draft_copy(original, {})
    assert draft_copy(original, {"based_on": 5})["based_on"] == 5


def test_a_copy_that_would_be_older_than_its_original_is_refused() -> None:
    message = draft_copy(record(b'{"job_id": 7}'), {})
    assert orjson.loads(copy_message(message, 8)) == {"job_id": 8, "based_on": 7}
    with pytest.raises(BadEdit, match="did not draw from the sequence"):
        copy_message(message, 7)


@pytest.mark.parametrize("path", ["job_id", "job_id.x"])
def test_a_copys_job_id_cannot_be_chosen(path: str) -> None:
    with pytest.raises(BadEdit, match="fresh job id"):
        draft_copy(record(b'{"job_id": 7}'), {path: 8})


@pytest.mark.parametrize("path", ["rows.1.name", "rows.x", "rows.-1", "rows.0.name.x", "year.x"])
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    with pytest.raises(BadEdit, match=path.rpartition(".")[2]):
        draft_copy(record(b'{"job_id": 7, "year": 2025, "rows": [{"name": "x"}]}'), {path: 1})


def test_replay_headers_are_read_as_they_are_written() -> None:
    assert Replay.from_headers(Replay(ID, 3).headers()) == Replay(ID, 3)
    assert Replay.from_headers((("trace", b"1"),)) == Replay()


def test_only_letters_that_would_not_come_back_end_well() -> None:
    assert {verdict for verdict in Verdict if verdict.ends_well} == {
        "would_apply",
        "duplicate",
        "superseded",
    }
    assert {verdict for verdict in Verdict if not verdict.can_be_sent} == {
        "record_gone",
        "foreign_topic",
    }


@pytest.mark.parametrize("require", [require_replayable, require_discardable])
def test_a_filter_for_other_letters_than_those_that_may_be_sent_is_refused(require: Any) -> None:
    allowed = (LetterState.OPEN, LetterState.SENT, LetterState.QUARANTINED)
    require(Filter(states=allowed))
    for states in ((), (LetterState.CLAIMED,), (*allowed, LetterState.RESOLVED)):
        with pytest.raises(ValueError, match="no others"):
            require(Filter(states=states))


@pytest.mark.parametrize(
    ("outcome", "reason", "result"),
    [
        (None, None, "never completed: its process was killed, or is still at it"),
        ({"letters": {"sent": ["x"], "taken": [str(ID)]}, "stopped": None}, None, "taken"),
        ({"letters": {"sent": [str(ID)]}, "stopped": "CameBack"}, "a test", "sent (a test)"),
        ({"letters": {"sent": ["x"]}, "stopped": "It came back."}, None, "It came back."),
        ({"stopped_for": "Too many."}, None, ""),
    ],
)
def test_a_history_says_what_an_action_did_to_one_letter(
    outcome: dict[str, Any] | None, reason: str | None, result: str
) -> None:
    action = AuditLine(1, datetime.now(UTC), "ann", "replay", None, reason, outcome)
    assert describe_result(action, ID) == result


def test_bytes_are_shown_as_json_text_or_what_they_are() -> None:
    assert as_text(b'{"a":1}') == '{\n  "a": 1\n}'
    assert as_text("Gerät".encode()) == "Gerät"
    assert as_text(b"\xff") == "b'\\xff'"


def test_a_null_is_told_from_an_empty_value_in_an_export() -> None:
    assert record_as_json(record(None))["value"] is None
    assert record_as_json(record(b""))["value"] == ""
    assert record_as_json(record(b"\xff", headers=(("a", b"\x00"),)))["headers"] == [["a", "AA=="]]
    assert record_as_json(None) == {"record": False, "key": None, "value": None, "headers": []}


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-3, "0s"), (59, "59s"), (90, "2m"), (7200, "2h"), (200_000, "2d")]
)
def test_an_age_is_shown_in_its_largest_unit(seconds: float, shown: str) -> None:
    assert age(datetime.now(UTC) - timedelta(seconds=seconds)) == shown


def test_counts_begin_with_the_largest() -> None:
    assert describe_counts({"sent": 2, "file_gone": 1200}) == "1,200 file_gone, 2 sent"


def _leaves(kind: type[Poison]) -> Iterator[type[Poison]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from _leaves(sub)


@pytest.mark.parametrize(
    "code", sorted({kind.code for kind in _leaves(Poison)} | {str(one) for one in Verdict})
)
def test_the_page_says_what_every_code_and_verdict_means(code: str) -> None:
    assert f"`{code}`" in PAGE


def test_the_page_knows_every_header() -> None:
    now = datetime.now(UTC)
    incoming = Incoming(record(b"{"), 0, 0, now, "group", ProviderType.CSV_MODULE_PER_YEAR)
    job = Job(1, ProviderType.CSV_MODULE_PER_YEAR, 2025, 66, "fingerprint")
    replayed = replace(incoming, record=record(b"{", headers=Replay(ID, 1).headers()))
    for name, _ in letter_headers(replayed, Failure(NotJson(), "decode", 1, now, now, job)):
        *_, last = name.removeprefix("dlq-original").split("-")
        assert f"`{name}`" in PAGE or f"`-{last}`" in PAGE
