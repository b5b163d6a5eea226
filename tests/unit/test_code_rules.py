"""Rules for the whole code that a test can check."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.docs import rendered

ROOT = Path(__file__).parents[2]
LONGEST_MODULE = 420
"""A limit against modules without a concept. It is no goal: a concept of 300 lines is one file."""


def test_imports_only_point_down() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", sorted(rendered()))
def test_a_generated_page_says_what_the_code_does(path: str) -> None:
    assert (ROOT / path).read_text("utf-8") == rendered()[path], "run `make docs`"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "service").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST_MODULE


def test_importing_the_service_reads_no_environment_and_connects_to_nothing() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import service.__main__, service.app"],
        cwd=ROOT,
        env={},
        capture_output=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
