"""The command line itself: what it takes, what it refuses, and what it says then."""

from pathlib import Path

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError
from sqlalchemy.exc import DBAPIError

from service.cli.error_messages import AWAY, WRONG, explain
from service.domain.catalogue import ENTRY_TYPES, FACTOR_TYPES, entry_type, factor_type
from service.domain.catalogue.pages import template
from service.domain.errors import UnknownType
from service.settings import InvalidSettings
from tests.support.command import run

COMMANDS = ("submit", "watch", "check", "template")
PURCHASE = ("--type", "other_purchases", "--year", "2025")


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "purchases.csv"
    path.write_text("name\n")
    return path


def test_without_a_subcommand_it_shows_them_all() -> None:
    ran = run()
    assert all(command in ran.out for command in (*COMMANDS, "serve", "migrate"))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples(command: str) -> None:
    ran = run(command, "--help")
    assert ran.exit_code == 0
    assert ran.out.count(f"uploads {command}") > 2


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        (
            "submit",
            {"UPLOADS_DATABASE__URL", "UPLOADS_KAFKA__BOOTSTRAP_SERVERS", "UPLOADS_STORAGE__ROOT"},
        ),
        ("watch", {"UPLOADS_KAFKA__BOOTSTRAP_SERVERS"}),
        ("check", {"UPLOADS_DATABASE__URL"}),
    ],
)
def test_help_names_the_settings_that_are_needed_and_so_does_their_lack(
    command: str, needed: set[str], csv: Path
) -> None:
    file = () if command == "watch" else (csv, *PURCHASE)
    shown, refused = run(command, "--help"), run(command, *file)
    assert refused.exit_code == WRONG
    for variable in needed:
        assert variable in shown.out
        assert f"{variable}: Field required" in refused.err
    assert refused.err.count("Field required") == len(needed)


@pytest.mark.parametrize("kind", ENTRY_TYPES.values(), ids=lambda kind: kind.name)
def test_a_template_is_given_by_name_and_by_number(kind) -> None:
    assert (
        run("template", kind.name).out
        == run("template", str(kind.id)).out
        == template(kind, per_year=True)
    )


def test_a_template_of_a_unit_specific_file_lacks_the_unit() -> None:
    assert run("template", "member", "--unit-specific").out == template(
        entry_type("member"), per_year=False
    )


def test_a_template_of_factors() -> None:
    assert run("template", "plane", "--factors").out == template(
        factor_type("plane"), per_year=False
    )


def test_factors_are_never_unit_specific() -> None:
    assert run("template", "plane", "--factors", "--unit-specific").exit_code == WRONG


@pytest.mark.parametrize(("option", "kinds"), [((), ENTRY_TYPES), (("--factors",), FACTOR_TYPES)])
def test_without_a_type_the_template_command_lists_them_with_their_modules(option, kinds) -> None:
    heading, *lines = run("template", *option).out.splitlines()
    assert heading.split() == ["number", "type", "module"]
    assert [line.split()[:2] for line in lines] == [
        [str(kind.id), kind.name] for kind in kinds.values()
    ]
    assert lines[0].endswith("headcount")


def test_an_unknown_type_is_told_with_those_that_are_close() -> None:
    ran = run("template", "other_purchase")
    assert ran.exit_code == WRONG
    assert ran.err.count("\n") == 1
    assert (
        'There is no "other_purchase"; expected a name or number such as other_purchases (66)'
        in ran.err
    )


@pytest.mark.parametrize("command", ["submit", "check"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--provider", "csv-module-unit-specific"), "needs the module to append to"),
        (("--provider", "api-module-unit-specific"), "needs the module to append to"),
        (("--provider", "csv-module-per-year", "--module", "7"), "takes no module"),
        (("--provider", "factors", "--module", "7"), "takes no module"),
        (("--module", "7", "--replace-scope", "year"), "knows no scope to choose"),
        (("--provider", "factors", "--replace-scope", "year"), "knows no scope to choose"),
        (("--provider", "csv"), "csv-module-per-year"),
        (("--module", "0"), "--module"),
        (("--module", str(2**63)), "--module"),
        (("--on-row-error", "ignore"), "skip"),
        (("--year", "25"), "1900"),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_is_asked_for(
    command: str, options: tuple[str, ...], said: str, csv: Path
) -> None:
    ran = run(command, csv, *PURCHASE, *options)
    assert ran.exit_code == WRONG
    assert said in ran.err
    assert "UPLOADS_" not in ran.err


@pytest.mark.parametrize("command", ["submit", "check"])
def test_a_file_that_is_not_there_or_is_a_directory_is_refused(
    command: str, tmp_path: Path
) -> None:
    assert "does not exist" in run(command, tmp_path / "none.csv", *PURCHASE).err
    assert "is a directory" in run(command, tmp_path, *PURCHASE).err


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (InvalidSettings("UPLOADS_X: Field required"), WRONG, "UPLOADS_X: Field required"),
        (UnknownType("no_such", asked="x", expected=["y"]), WRONG, 'There is no "x"; expected'),
        (ConnectionRefusedError(111, "refused"), AWAY, "UPLOADS_DATABASE__URL"),
        (
            asyncpg.InvalidPasswordError("password authentication failed"),
            AWAY,
            "UPLOADS_DATABASE__URL",
        ),
        (
            DBAPIError("SELECT", None, asyncpg.UndefinedTableError("upload_job_id_seq")),
            AWAY,
            "`uploads migrate`",
        ),
        (KafkaConnectionError("Unable to bootstrap"), AWAY, "UPLOADS_KAFKA__BOOTSTRAP_SERVERS"),
        (
            TimeoutError("another process has been migrating"),
            AWAY,
            "another process has been migrating",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failure_is_told_in_a_sentence_with_what_to_do(
    error: Exception, exit_code: int, said: str
) -> None:
    failure = explain(error)
    assert failure is not None
    assert failure.exit_code == exit_code
    assert said in failure.message


def test_why_no_broker_was_reached_is_told() -> None:
    failure = explain(
        KafkaConnectionError("Unable to bootstrap"), 'Unable connect to "kafka:9092": no such user'
    )
    assert failure is not None
    assert 'Kafka does not answer. Unable connect to "kafka:9092": no such user.' in failure.message


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    assert explain(RuntimeError("a bug")) is None
