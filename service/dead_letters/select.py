"""Which letters a person means: filters as they are typed, and the letters that they choose."""

import re
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.dead_letters import Filter, Letter, ScopeKey, find_letters
from service.domain.catalogue import entry_type
from service.domain.errors import UploadError

SHORTEST_ID = 4
"""Characters of an id that must be given at least."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class NoSuchLetter(UploadError):
    """No dead letter can be chosen by this id; `uploads dead-letters list --all --state all` shows every one."""

    code = "no_such_letter"


def parse_age(text: str) -> timedelta:
    """`90s`, `15m`, `2h`, `3d` or `1w`. Raises `ValueError`."""
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", text.strip())
    if found is None:
        raise ValueError(
            f'"{text}" is no age; expected a number and its unit, such as 90s, 15m, 2h, 3d or 1w'
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def parse_scope(text: str) -> ScopeKey:
    """A job's key as it is on the wire, `2025:66` or a module's id; the type may be a name too.

    Raises `ValueError`, or `UnknownType`.
    """
    year, colon, type_ = text.strip().partition(":")
    if not year.isdecimal() or (colon and not type_):
        raise ValueError(
            f'"{text}" is no scope; expected year:type, such as 2025:vehicles, or the id of a module'
        )
    return (int(year), entry_type(type_).id) if colon else int(year)


async def select_letters(conn: AsyncConnection, chosen: Filter) -> list[Letter]:
    """The letters that a filter means, the first parked first.

    Raises `NoSuchLetter` where an id that was given is nobody's, is the beginning of several, or is a
    letter's in another state than the filter asks for.
    """
    for given in chosen.ids:
        letter = await find_by_id(conn, given)
        if chosen.states and letter.state not in chosen.states:
            raise NoSuchLetter("other_state", expected=[*chosen.states], **_standing_of(letter))
    return await find_letters(conn, chosen)


async def find_by_id(conn: AsyncConnection, given: str) -> Letter:
    """The letter of an id, or of the beginning of one. Raises `NoSuchLetter`."""
    if len(given) < SHORTEST_ID:
        raise NoSuchLetter("too_short", given=given, shortest=SHORTEST_ID)
    found = await find_letters(conn, Filter(ids=(given.lower(),), limit=2))
    if not found:
        raise NoSuchLetter("none", given=given)
    if len(found) > 1:
        raise NoSuchLetter("several", given=given)
    return found[0]


def _standing_of(letter: Letter) -> dict[str, str]:
    """Where a letter stands, as its text names it."""
    return {
        "letter": str(letter.id),
        "state": letter.state,
        "by": letter.state_by or "",
        "since": f"{letter.state_at:%Y-%m-%d %H:%M:%S %Z}",
        "reason": letter.state_reason or "",
    }
