"""What must follow a failure: park the record, wait and try again, or stop and call someone.

These three are the classes `Poison`, `Transient` and `Environment` of `domain.errors`. An error of
a library is translated to one of them here, by its SQLSTATE, its errno or its class.
"""

import errno
import random
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.domain.errors import BadData, DatabaseAway, DatabaseUnfit, DiskFull, UploadError
from service.settings import RetrySettings

_BY_SQLSTATE: Final[tuple[tuple[str, type[UploadError]], ...]] = (
    ("22", BadData),  # a value that does not fit its column
    ("23", BadData),  # a violated constraint
    ("08", DatabaseAway),  # the connection broke
    ("40001", DatabaseAway),  # serialization failure
    ("40P01", DatabaseAway),  # deadlock: the server chose this transaction as the victim
    ("53100", DatabaseUnfit),  # the server's disk is full; before "53", or that would win
    ("53", DatabaseAway),  # too many connections, out of memory
    ("55P03", DatabaseAway),  # lock_timeout
    ("57014", DatabaseAway),  # statement_timeout, or somebody cancelled the statement
    ("57P01", DatabaseAway),  # the server shuts down
    ("57P02", DatabaseAway),  # the server crashes
    ("57P03", DatabaseAway),  # the server is starting up
    ("25P03", DatabaseAway),  # idle_in_transaction_session_timeout
    ("25006", DatabaseUnfit),  # a read-only server, such as a standby
    ("28", DatabaseUnfit),  # wrong user or password
    ("3D000", DatabaseUnfit),  # no such database
    ("42501", DatabaseUnfit),  # a missing privilege
    ("42P01", DatabaseUnfit),  # a missing table
    ("42703", DatabaseUnfit),  # a missing column
    ("58", DatabaseUnfit),  # an I/O error of the server
)
"""SQLSTATE prefixes; the first one that fits wins. Codes: PostgreSQL's manual, appendix A."""

_LOCAL_RESOURCE_ERRNOS: Final = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EMFILE,
    errno.ENFILE,
}
"""This machine cannot write or open any file; every job would fail in the same way."""


def classify_failure(error: BaseException) -> UploadError | None:
    """Return what a failure means for its job, or None if the error is unknown.

    The result never contains a database's own message, because that may quote values of a row.
    """
    if isinstance(error, UploadError):
        return error
    if isinstance(error, DBAPIError):
        return _classify_sqlalchemy_error(error)
    if isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError)):
        return _classify_asyncpg_error(error)
    if isinstance(error, PoolTimeout):
        return DatabaseAway("pool_exhausted")
    if isinstance(error, OSError):
        return _classify_os_error(error)
    return None


def retry_delay(tries: int, settings: RetrySettings) -> float:
    """Return the seconds to wait after `tries` failed tries in a row.

    The upper bound doubles with every try, up to `longest_pause`; the delay is drawn at random
    below it (full jitter). Without jitter, a hundred waiting workers would all come back at the
    same moment.
    """
    longest = min(settings.longest_pause, settings.first_pause * 2 ** min(tries - 1, 30))
    return random.uniform(longest / 10, longest)


def _classify_sqlalchemy_error(error: DBAPIError) -> UploadError | None:
    # SQLAlchemy wraps asyncpg's error twice: `orig` is an error of its adapter, whose cause is
    # asyncpg's own.
    original: BaseException | None = error.orig
    if original is not None and original.__cause__ is not None:
        original = original.__cause__

    if isinstance(original, (asyncpg.PostgresError, asyncpg.InterfaceError)):
        return _classify_asyncpg_error(original)
    if error.connection_invalidated or isinstance(original, OSError):
        return DatabaseAway("connection_lost")
    return None


def _classify_asyncpg_error(
    error: asyncpg.PostgresError | asyncpg.InterfaceError,
) -> UploadError | None:
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate is None:
        # An InterfaceError comes from asyncpg itself. It has no code, only its text tells.
        return DatabaseAway("connection_lost") if "connection" in str(error) else None

    kind = next((kind for prefix, kind in _BY_SQLSTATE if sqlstate.startswith(prefix)), None)
    if kind is None:
        return None
    name, objects = type(error).__name__, _named_objects(error)
    if objects:
        return kind("sqlstate_of_object", sqlstate=sqlstate, error=name, objects=objects)
    return kind("sqlstate", sqlstate=sqlstate, error=name)


def _named_objects(error: BaseException) -> list[str]:
    """The table, column and constraint that an error names; its message could quote a row."""
    found = []
    for object_type in ("table", "column", "constraint"):
        name = getattr(error, f"{object_type}_name", None)
        if name:
            found.append(f"{object_type} {name}")
    return found


def _classify_os_error(error: OSError) -> UploadError | None:
    if error.errno in _LOCAL_RESOURCE_ERRNOS:
        return DiskFull("errno", errno=errno.errorcode.get(error.errno or 0, ""))
    unreachable = error.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH}
    if unreachable or isinstance(error, (ConnectionError, TimeoutError)):
        return DatabaseAway("connection_lost")
    # A socket.gaierror: the database's host name has no address.
    if type(error).__name__ == "gaierror":
        return DatabaseAway("unknown_host")
    return None
