"""Which of three things must follow a failure: park the message, wait and try again, or stop and call someone."""

import errno
import random
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.domain.errors import BadData, DatabaseAway, DatabaseUnfit, DiskFull, UploadError
from service.settings import RetrySettings

_BY_SQLSTATE: Final[tuple[tuple[str, type[UploadError]], ...]] = (
    ("22", BadData),
    ("23", BadData),
    ("08", DatabaseAway),
    ("40001", DatabaseAway),
    ("40P01", DatabaseAway),
    ("53100", DatabaseUnfit),
    ("53", DatabaseAway),
    ("55P03", DatabaseAway),
    ("57014", DatabaseAway),
    ("57P01", DatabaseAway),
    ("57P02", DatabaseAway),
    ("57P03", DatabaseAway),
    ("25P03", DatabaseAway),
    ("25006", DatabaseUnfit),
    ("28", DatabaseUnfit),
    ("3D000", DatabaseUnfit),
    ("42501", DatabaseUnfit),
    ("42P01", DatabaseUnfit),
    ("42703", DatabaseUnfit),
    ("58", DatabaseUnfit),
)
"""The first prefix that fits wins. Codes: PostgreSQL's manual, appendix A."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EMFILE, errno.ENFILE}


def classify_failure(error: BaseException) -> UploadError | None:
    """What a failure means for its job; None where it is unknown.

    The result says nothing of the row values that a database's own message may quote.
    """
    if isinstance(error, UploadError):
        return error
    if isinstance(error, DBAPIError):
        return _database(error)
    if isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError)):
        return _postgres(error)
    if isinstance(error, PoolTimeout):
        return DatabaseAway("pool_exhausted")
    if isinstance(error, OSError):
        return _system(error)
    return None


def retry_delay(tries: int, settings: RetrySettings) -> float:
    """Seconds to wait after so many failed tries: doubling up to the longest, with full jitter.

    Full jitter keeps a hundred waiting workers from coming back at the same moment.
    """
    longest = min(settings.longest_pause, settings.first_pause * 2 ** min(tries - 1, 30))
    return random.uniform(longest / 10, longest)


def _database(error: DBAPIError) -> UploadError | None:
    original = (
        error.orig.__cause__ if error.orig is not None and error.orig.__cause__ else error.orig
    )
    if isinstance(original, (asyncpg.PostgresError, asyncpg.InterfaceError)):
        return _postgres(original)
    if error.connection_invalidated or isinstance(original, OSError):
        return DatabaseAway("connection_lost")
    return None


def _postgres(error: asyncpg.PostgresError | asyncpg.InterfaceError) -> UploadError | None:
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate is None:
        return DatabaseAway("connection_lost") if "connection" in str(error) else None
    kind = next((kind for prefix, kind in _BY_SQLSTATE if sqlstate.startswith(prefix)), None)
    if kind is None:
        return None
    name, objects = type(error).__name__, _named_objects(error)
    if objects:
        return kind("sqlstate_of_object", sqlstate=sqlstate, error=name, objects=objects)
    return kind("sqlstate", sqlstate=sqlstate, error=name)


def _named_objects(error: BaseException) -> list[str]:
    """The table, column and constraint that an error names; its message is left out, it may quote a row."""
    named = (
        (what, getattr(error, f"{what}_name", None)) for what in ("table", "column", "constraint")
    )
    return [f"{what} {name}" for what, name in named if name]


def _system(error: OSError) -> UploadError | None:
    if error.errno in _FULL:
        return DiskFull("errno", errno=errno.errorcode.get(error.errno or 0, ""))
    if isinstance(error, (ConnectionError, TimeoutError)) or error.errno in {
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
    }:
        return DatabaseAway("connection_lost")
    return DatabaseAway("unknown_host") if type(error).__name__ == "gaierror" else None
