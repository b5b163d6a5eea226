"""Which letters an operator means: filters as they are typed, and the letters that they select."""

import re
from collections.abc import Collection
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.dead_letters import Filter, JobKey, Letter, find_letters
from service.domain.catalogue import entry_type
from service.domain.errors import UploadError
from service.domain.model import LetterState

SHORTEST_ID = 4
"""The fewest characters of an id that select a letter."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class NoSuchLetter(UploadError):
    """The given id selects no letter, several letters, or one in another state than asked for."""

    code = "no_such_letter"


def parse_age(text: str) -> timedelta:
    """Read an age such as `90s`, `15m`, `2h`, `3d` or `1w`. Raises `ValueError`."""
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", text.strip())
    if found is None:
        raise ValueError(
            f'"{text}" is no age; expected a number and its unit, such as 90s, 15m, 2h, 3d or 1w'
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def parse_job_key(text: str) -> JobKey:
    """Read a job's key as messages have it: `2025:66`, or a module's id.

    The type may also be given by its name. Raises `ValueError`, or `UnknownType`.
    """
    year, colon, type_ = text.strip().partition(":")
    if not year.isdecimal() or (colon and not type_):
        raise ValueError(
            f'"{text}" is no scope; expected year:type, such as 2025:vehicles, '
            "or the id of a module"
        )
    if not colon:
        return int(year)
    return int(year), entry_type(type_).id


def selects_only(letter_filter: Filter, allowed: Collection[LetterState]) -> bool:
    """Return True if the filter can select letters in the `allowed` states only.

    A filter without states selects letters in every state.
    """
    return bool(letter_filter.states) and set(letter_filter.states) <= set(allowed)


async def select_letters(conn: AsyncConnection, letter_filter: Filter) -> list[Letter]:
    """Return the letters that a filter selects, the first parked first.

    Raises `NoSuchLetter` for a given id that selects no letter or several letters, or whose letter
    is in another state than the filter asks for.
    """
    for given in letter_filter.ids:
        letter = await find_by_id(conn, given)
        if letter_filter.states and letter.state not in letter_filter.states:
            raise NoSuchLetter(
                "other_state", expected=[*letter_filter.states], **_standing_of(letter)
            )
    return await find_letters(conn, letter_filter)


async def find_by_id(conn: AsyncConnection, given: str) -> Letter:
    """Return the letter with this id, or whose id begins like this. Raises `NoSuchLetter`."""
    if len(given) < SHORTEST_ID:
        raise NoSuchLetter("too_short", given=given, shortest=SHORTEST_ID)
    found = await find_letters(conn, Filter(ids=(given.lower(),), limit=2))
    if not found:
        raise NoSuchLetter("none", given=given)
    if len(found) > 1:
        raise NoSuchLetter("several", given=given)
    return found[0]


def _standing_of(letter: Letter) -> dict[str, str]:
    """Return the letter's state, who set it, when and why, under the names that the text has."""
    return {
        "letter": str(letter.id),
        "state": letter.state,
        "by": letter.state_by or "",
        "since": f"{letter.state_at:%Y-%m-%d %H:%M:%S %Z}",
        "reason": letter.state_reason or "",
    }
