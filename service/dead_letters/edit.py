"""Edit: send a changed copy of a letter's message, under a job id of its own.

The copy is a new upload. It is `based_on` the job of the letter, so it changes nothing where a
newer job has replaced the same rows. When the copy has succeeded, the letter is resolved.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from service.contract.messages import parse_job
from service.db.dead_letters import Filter, Letter
from service.db.job_ids import draw_job_id
from service.dead_letters.audit import OperatorAction, audited
from service.dead_letters.parked_record import Replay, own_headers
from service.dead_letters.records import read_originals
from service.dead_letters.select import select_letters
from service.dead_letters.send import ForeignTopic, Sender, end_abandoned_claims
from service.dead_letters.verdict import Finding, Judge
from service.domain.errors import UploadError
from service.domain.model import MAX_JOB_ID, Job, LetterState, Record
from service.domain.provider_types import ProviderType
from service.files.local_file import LOCAL_FILE_URL, claim_check_of, local_store
from service.files.store import FileStore
from service.jobs.outbox import Publish

EDITABLE = (LetterState.OPEN, LetterState.QUARANTINED)
"""A sent letter is left out: its own message may still succeed."""

_ASSIGNMENT = re.compile(r"([A-Za-z0-9_.-]+)=(.*)", re.DOTALL)

_COMPRESSED_SUFFIXES = {".gz", ".zst"}


class NotEditable(UploadError):
    """The letter's message can't be edited: it is not a JSON object, or its record is gone."""

    code = "not_editable"


class BadEdit(UploadError):
    """The changes do not fit the message."""

    code = "bad_edit"


@dataclass(frozen=True, slots=True)
class EditDraft:
    """A changed copy of a letter's message, before it has a job id.

    `message` is the copy without its job id. `file` is a local file that takes the place of the
    letter's file or rows, None if those stay.
    """

    letter: Letter
    original: Record
    provider_type: ProviderType
    message: Mapping[str, Any]
    file: Path | None

    def value(self, job_id: int, file_url: str) -> bytes:
        """Return the copy's message under this job id, with `file_url` as the place of a new file.

        Raises `BadEdit` if the job id is not above the one that the copy is based on. A new file is
        read from its beginning to its end.
        """
        if self.file is None:
            return copy_message(self.message, job_id)
        without_rows = {name: value for name, value in self.message.items() if name != "rows"}
        return copy_message(without_rows | {"file": claim_check_of(self.file, file_url)}, job_id)


@dataclass(frozen=True, slots=True)
class EditResult:
    """A draft, and what would become of it.

    `job_id` is the job id that it was sent under, None if it was not sent.
    """

    draft: EditDraft
    finding: Finding
    job_id: int | None = None


def parse_assignment(text: str) -> tuple[str, Any]:
    """Read `file.url=s3://…` as a path and a value.

    The value is read as JSON if it is JSON, and as text otherwise. Raises `ValueError`.
    """
    found = _ASSIGNMENT.fullmatch(text)
    if found is None:
        raise ValueError(
            f'"{text}" sets nothing; expected field=value, such as data_entry_type=services'
        )
    try:
        return found[1], orjson.loads(found[2])
    except orjson.JSONDecodeError:
        return found[1], found[2]


async def preview_edit(
    judge: Judge, letter_id: str, changes: Mapping[str, Any], file: Path | None
) -> EditResult:
    """Draft a changed copy of a letter's message and judge it, without sending it.

    `changes` are new values by their path in the message, such as `file.url`. Raises
    `NoSuchLetter`, `ForeignTopic`, `NotEditable`, `BadEdit` and `BrokerAway`.
    """
    draft = await _draft_edit(judge, letter_id, changes, file)
    return EditResult(draft, await _judge_draft(judge, draft))


async def run_edit(
    judge: Judge,
    publish: Publish,
    letter_id: str,
    changes: Mapping[str, Any],
    file: Path | None,
    action: OperatorAction,
    *,
    force: bool,
) -> EditResult:
    """Send a changed copy of a letter's message, with a line in the audit.

    Nothing is sent if somebody else has taken the letter. Without `force`, nothing is sent either
    if the copy would come back. Raises what `preview_edit` raises, and what the store, the database
    and the broker raise.
    """
    await end_abandoned_claims(judge.engine, actor=action.actor)
    result = await preview_edit(judge, letter_id, changes, file)
    if not result.finding.verdict.ends_well and not force:
        return result
    return replace(result, job_id=await _send_draft(judge, publish, result.draft, action))


def draft_copy(original: Record, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message of a changed copy, without its job id.

    It is `based_on` the upload that the original is based on, and otherwise on the original itself.
    Raises `NotEditable` and `BadEdit`.
    """
    message = _load_message(original.value)
    job_id = message.pop("job_id", None)
    if message.get("based_on") is None:
        message["based_on"] = job_id

    for path, value in changes.items():
        if path.partition(".")[0] == "job_id":
            raise BadEdit("job_id")
        _set_value(message, path, value)

    if not _is_job_id(message["based_on"]):
        raise BadEdit("based_on_nothing")
    return message


def copy_message(message: Mapping[str, Any], job_id: int) -> bytes:
    """Return a copy's message under this job id.

    Raises `BadEdit` if the job id is not above the one that the copy is based on.
    """
    if job_id <= message["based_on"]:
        raise BadEdit("sequence_behind", drawn=job_id, original=message["based_on"])
    return orjson.dumps({"job_id": job_id, **message})


async def send_copy(
    sender: Sender, letter: Letter, original: Record, value: bytes, job: Job
) -> bool:
    """Send the copy `job` of a letter; False if somebody else has taken the letter.

    The replays of the copy are counted from 0, because it is a new upload. Raises what
    `Sender.send` raises.
    """
    headers = own_headers(original) + Replay(letter.id).headers()
    record = Record(letter.original_topic, job.key.encode(), value, headers)
    return await sender.send(letter, record, job=None, edited_as=job.job_id)


async def _draft_edit(
    judge: Judge, letter_id: str, changes: Mapping[str, Any], file: Path | None
) -> EditDraft:
    async with judge.engine.connect() as conn:
        (letter,) = await select_letters(conn, Filter(ids=(letter_id,), states=EDITABLE))

    provider_type = judge.topics.provider_type(letter.original_topic)
    if provider_type is None:
        raise ForeignTopic("name", topic=letter.original_topic)

    original = (await read_originals(judge.read, [letter])).get(letter.id)
    if original is None:
        raise NotEditable("record_gone")
    return EditDraft(letter, original, provider_type, draft_copy(original, changes), file)


async def _judge_draft(judge: Judge, draft: EditDraft) -> Finding:
    """Find out what would become of a draft, whose new file is still on this machine."""
    if draft.file is not None:
        judge = replace(judge, store=local_store(draft.file))
    # A draft has no job id yet. The largest one is above all others, as a fresh one will be.
    value = await asyncio.to_thread(draft.value, MAX_JOB_ID, LOCAL_FILE_URL)
    _, finding = await judge.judge_message(draft.provider_type, value)
    return finding


async def _send_draft(
    judge: Judge, publish: Publish, draft: EditDraft, action: OperatorAction
) -> int | None:
    """Send a draft and return its job id, or None if somebody else has taken the letter."""
    async with judge.engine.begin() as conn:
        job_id = await draw_job_id(conn)

    async with audited(judge.engine, action, [draft.letter.id]) as report:
        report.notes["job_id"] = job_id
        file_url = await _store_new_file(judge.store, draft, job_id)
        value = await asyncio.to_thread(draft.value, job_id, file_url)
        job = parse_job(draft.provider_type, value)
        sender = Sender(judge.engine, publish, judge.topics, action.actor, report.action_id)
        is_sent = await send_copy(sender, draft.letter, draft.original, value, job)
        report.note("sent" if is_sent else "taken", draft.letter.id)
    return job_id if is_sent else None


async def _store_new_file(store: FileStore, draft: EditDraft, job_id: int) -> str:
    """Put the copy's new file into the store and return its URL; empty if there is no new file."""
    if draft.file is None:
        return ""
    suffix = draft.file.suffix.lower()
    if suffix not in _COMPRESSED_SUFFIXES:
        suffix = ""
    url = store.url_under_root(f"edited/{job_id}.csv{suffix}")
    await store.write(url, draft.file)
    return url


def _load_message(value: bytes | None) -> dict[str, Any]:
    try:
        message = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        raise NotEditable("not_json") from None
    if not isinstance(message, dict):
        raise NotEditable("not_an_object", found=type(message).__name__)
    return message


def _is_job_id(value: object) -> bool:
    # `isinstance` would take True for an int.
    return type(value) is int and 1 <= value <= MAX_JOB_ID


def _set_value(message: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a path such as `rows.0.name`; objects that are missing on it are made.

    Raises `BadEdit` if the path leads into something that is neither an object nor a list.
    """
    *parents, last = path.split(".")
    place: Any = message
    for name in parents:
        if isinstance(place, dict):
            place = place.setdefault(name, {})
        else:
            place = place[_index_in(place, name, path)]

    if isinstance(place, dict):
        place[last] = value
    else:
        place[_index_in(place, last, path)] = value


def _index_in(place: Any, name: str, path: str) -> int:
    """Read `name` as an index of the list `place`. Raises `BadEdit` if that has no such item."""
    if not isinstance(place, list) or not name.isdecimal() or int(name) >= len(place):
        raise BadEdit("no_such_field", path=path, name=name)
    return int(name)
