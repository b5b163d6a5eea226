"""Which failures park, which wait, and which stop everything."""

import errno

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.domain.errors import BrokerAway, Environment, FileGone, Poison, Transient, UploadError
from service.jobs.failures import classify_failure, retry_delay
from service.settings import RetrySettings

POISON = ["22001", "22003", "22021", "22P02", "23502", "23503", "23505", "23514"]
TRANSIENT = [
    "08000",
    "08006",
    "40001",
    "40P01",
    "53000",
    "53200",
    "53300",
    "55P03",
    "57014",
    "57P01",
    "57P02",
    "57P03",
]
ENVIRONMENT = ["42501", "42P01", "42703", "28000", "28P01", "3D000", "53100"]
UNKNOWN = ["XX000", "42601", "0A000"]


def raised(sqlstate: str) -> BaseException:
    """The error as asyncpg makes it of the server's answer."""
    fields = {
        "S": "ERROR",
        "V": "ERROR",
        "C": sqlstate,
        "M": "value 's3cret' is wrong",
        "t": "data_entries",
    }
    error: BaseException = asyncpg.PostgresError.new(fields)
    return error


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [(code, Poison) for code in POISON]
    + [(code, Transient) for code in TRANSIENT]
    + [(code, Environment) for code in ENVIRONMENT],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_sqlstate_says_what_must_follow(
    sqlstate: str, kind: type[UploadError], wrapped: bool
) -> None:
    error = raised(sqlstate)
    failure = classify_failure(DBAPIError("INSERT", {}, error) if wrapped else error)
    assert isinstance(failure, kind)
    assert sqlstate in failure.message


@pytest.mark.parametrize("sqlstate", UNKNOWN)
def test_other_sqlstates_are_unknown(sqlstate: str) -> None:
    assert classify_failure(raised(sqlstate)) is None


@pytest.mark.parametrize("sqlstate", POISON)
def test_what_the_database_says_of_a_value_is_not_repeated(sqlstate: str) -> None:
    failure = classify_failure(raised(sqlstate))
    assert failure is not None
    assert "s3cret" not in failure.message
    assert "table data_entries" in failure.message


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), ConnectionResetError(), TimeoutError(), PoolTimeout()]
)
def test_a_lost_connection_is_transient(error: Exception) -> None:
    assert isinstance(classify_failure(error), Transient)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE])
def test_a_full_disk_is_the_environment(number: int) -> None:
    assert isinstance(classify_failure(OSError(number, "full")), Environment)


@pytest.mark.parametrize("error", [FileGone(), BrokerAway()])
def test_our_own_errors_say_it_themselves(error: UploadError) -> None:
    assert classify_failure(error) is error


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("x"), ValueError("x")])
def test_anything_else_is_unknown(error: Exception) -> None:
    assert classify_failure(error) is None


def test_pauses_grow_to_the_longest_and_are_jittered() -> None:
    settings = RetrySettings(first_pause=1, longest_pause=8)
    many = {
        tries: [retry_delay(tries, settings) for _ in range(200)] for tries in (1, 2, 3, 4, 5, 1000)
    }
    assert [
        max(many[tries]) <= longest for tries, longest in zip(many, (1, 2, 4, 8, 8, 8), strict=True)
    ] == [True] * 6
    assert max(many[4]) > max(many[1])
    assert len(set(many[5])) > 100
    assert min(min(pauses) for pauses in many.values()) > 0
