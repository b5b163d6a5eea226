"""A changed copy of a letter's message, under a job id of its own."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from service.db.dead_letters import Letter
from service.dead_letters.letter import Replay, own_headers
from service.dead_letters.replay import Sender
from service.domain.errors import UploadError
from service.domain.model import MAX_JOB_ID, Job, Record

_ASSIGNMENT = re.compile(r"([A-Za-z0-9_.-]+)=(.*)", re.DOTALL)


class NotEditable(UploadError):
    """This letter's message can't be edited; submit the upload again and discard the letter."""

    code = "not_editable"


class BadEdit(UploadError):
    """The edit can't be made."""

    code = "bad_edit"


def parse_assignment(text: str) -> tuple[str, Any]:
    """`file.url=s3://…` as a path and a value; what is JSON is taken as JSON, else as text. Raises `ValueError`."""
    found = _ASSIGNMENT.fullmatch(text)
    if found is None:
        raise ValueError(
            f'"{text}" sets nothing; expected field=value, such as data_entry_type=services'
        )
    try:
        return found[1], orjson.loads(found[2])
    except orjson.JSONDecodeError:
        return found[1], found[2]


def draft_copy(original: Record, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The message of a copy but for its job id.

    It is `based_on` the upload that the letter was, or that this one was based on: what is newer than that
    stays. Raises `NotEditable` and `BadEdit`.
    """
    message = _loaded(original.value)
    job_id = message.pop("job_id", None)
    if message.get("based_on") is None:
        message["based_on"] = job_id
    for path, value in changes.items():
        if path.partition(".")[0] == "job_id":
            raise BadEdit("job_id")
        _set(message, path, value)
    if not _is_job_id(message["based_on"]):
        raise BadEdit("based_on_nothing")
    return message


def copy_message(message: Mapping[str, Any], job_id: int) -> bytes:
    """The copy's message. Raises `BadEdit` where its job id is not above the one that it is based on."""
    if job_id <= message["based_on"]:
        raise BadEdit("sequence_behind", drawn=job_id, original=message["based_on"])
    return orjson.dumps({"job_id": job_id, **message})


async def send_copy(
    sender: Sender, letter: Letter, original: Record, value: bytes, job: Job
) -> bool:
    """Send the copy `job` of a letter; False where somebody else has taken the letter meanwhile.

    The letter is resolved once the copy has succeeded. The copy starts a life of its own: its replays are
    counted from the beginning.
    """
    headers = own_headers(original) + Replay(letter.id).headers()
    record = Record(letter.original_topic, job.key.encode(), value, headers)
    return await sender.send(letter, record, job=None, edited_as=job.job_id)


def _loaded(value: bytes | None) -> dict[str, Any]:
    try:
        message = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        raise NotEditable("not_json") from None
    if not isinstance(message, dict):
        raise NotEditable("not_an_object", found=type(message).__name__)
    return message


def _is_job_id(value: object) -> bool:
    return type(value) is int and 1 <= value <= MAX_JOB_ID


def _set(message: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    place: Any = message
    for name in parents:
        place = place.setdefault(name, {}) if isinstance(place, dict) else _item(place, name, path)
    if isinstance(place, dict):
        place[last] = value
    else:
        _item(place, last, path)
        place[int(last)] = value


def _item(place: Any, name: str, path: str) -> Any:
    if not isinstance(place, list) or not name.isdecimal() or int(name) >= len(place):
        raise BadEdit("no_such_field", path=path, name=name)
    return place[int(name)]
