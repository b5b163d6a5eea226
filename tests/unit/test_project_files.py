"""The files around the code agree: version, licence, dependencies, commands that are called."""

import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
from aiokafka import codec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from service import __version__

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT, GROUPS = PYPROJECT["project"], PYPROJECT["dependency-groups"]
WORKFLOWS = (ROOT / ".github" / "workflows").glob("*.yml")
LOCKS = [path.name for path in ROOT.glob("requirements*.lock")]
PINNED = re.compile(r"([a-z0-9-]+)==(\S+)( ; .+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def text_of(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def pins(lock: str) -> dict[str, set[Version]]:
    """The versions of each package; several, where they depend on the Python version."""
    found = defaultdict(set)
    for name, version, _ in PINNED.findall(text_of(lock)):
        found[name].add(Version(version))
    return found


def requirements(*parts: list[str]) -> list[Requirement]:
    return [Requirement(text) for part in parts for text in part if isinstance(text, str)]


OF_USERS = requirements(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
OF_UNIT_TESTS = requirements(GROUPS["test"])
OF_DEVELOPERS = requirements(GROUPS["dev"])


def test_the_package_has_the_version_that_the_code_has() -> None:
    asked = [sys.executable, "-m", "hatchling", "version"]
    assert subprocess.check_output(asked, cwd=ROOT, text=True).strip() == __version__
    assert "version" not in PROJECT


def test_the_changelog_has_a_section_for_the_version() -> None:
    assert re.search(rf"^## {re.escape(__version__)}\b", text_of("CHANGELOG.md"), re.MULTILINE)


def test_the_licence_is_declared_and_there_in_full() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    (file,) = PROJECT["license-files"]
    assert "Version 2.0, January 2004" in text_of(file)
    assert "END OF TERMS AND CONDITIONS" in text_of(file)


def test_types_are_published() -> None:
    assert (ROOT / "service" / "py.typed").exists()


TARGETS = set(re.findall(r"^([a-z][a-z-]*):", text_of("Makefile"), re.MULTILINE))
CALLERS = [
    ".pre-commit-config.yaml",
    ".ci/run",
    *[str(path.relative_to(ROOT)) for path in WORKFLOWS],
    ".github/pull_request_template.md",
    "CONTRIBUTING.md",
    "README.md",
]


def targets_called(caller: str) -> set[str]:
    before = "`" if caller.endswith(".md") else ""
    return set(re.findall(rf"{before}\bmake ([a-z][a-z-]*)", text_of(caller)))


@pytest.mark.parametrize("caller", CALLERS)
def test_make_knows_what_is_called(caller: str) -> None:
    called = targets_called(caller)
    assert called
    assert called <= TARGETS


def test_the_hooks_run_every_check() -> None:
    (checks,) = re.findall(r"^CHECKS := (.+)$", text_of("Makefile"), re.MULTILINE)
    hooks = re.findall(r"entry: make (\S+)", text_of(".pre-commit-config.yaml"))
    assert sorted(hooks) == sorted(checks.split())


def test_the_long_tests_can_be_collected() -> None:
    asked = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "tests/long"]
    collected = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert collected.returncode == 0, collected.stdout


def test_the_workflow_runs_every_python_that_the_package_declares() -> None:
    declared = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    (matrix,) = re.findall(r"python: \[(.+)\]", text_of(".github/workflows/ci.yml"))
    assert re.findall(r"3\.\d+", matrix) == declared
    assert PROJECT["requires-python"] == f">={declared[0]}"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_versions_and_hashes_and_no_address(lock: str) -> None:
    lines = text_of(lock).splitlines()
    assert lines
    assert [line for line in lines if not (PINNED.fullmatch(line) or HASH.fullmatch(line))] == []


@pytest.mark.parametrize("requirement", OF_USERS + OF_UNIT_TESTS, ids=str)
def test_the_lowest_version_that_is_allowed_is_the_one_that_is_checked(
    requirement: Requirement,
) -> None:
    (bound,) = [part for part in requirement.specifier if part.operator in {">=", "=="}]
    checked = pins("requirements-lowest.lock")[canonicalize_name(requirement.name)]
    assert checked == {Version(bound.version)}, "run `make lock`, or raise the bound"


@pytest.mark.parametrize("requirement", OF_USERS + OF_UNIT_TESTS + OF_DEVELOPERS, ids=str)
def test_the_lock_pins_what_is_required(requirement: Requirement) -> None:
    pinned = pins("requirements.lock")[canonicalize_name(requirement.name)]
    assert pinned, "run `make lock`"
    assert all(version in requirement.specifier for version in pinned)


def test_the_service_is_locked_as_it_is_tested() -> None:
    tested = pins("requirements.lock")
    assert {name: tested[name] for name in pins("requirements-service.lock")} == pins(
        "requirements-service.lock"
    )


@pytest.mark.parametrize("name", ["gzip", "snappy", "lz4", "zstd"])
def test_a_record_is_read_whatever_compressed_it(name: str) -> None:
    assert getattr(codec, f"has_{name}")()


def test_aiokafka_is_bounded_from_above_for_its_private_attributes_are_read() -> None:
    (aiokafka,) = [one for one in OF_USERS if one.name == "aiokafka"]
    assert {part.operator for part in aiokafka.specifier} == {">=", "<"}
