"""`uploads demo` as a person runs it: it runs once, and the tests look at its results."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.demo.processes import poll

UPLOADS = Path(sys.executable).with_name("uploads")
STARTED = "Ctrl-C ends it"


@dataclass(frozen=True)
class Run:
    """What `uploads demo --json --keep` printed, and how its example command and it ended."""

    stdout: bytes
    stderr: str
    example: subprocess.CompletedProcess[str]
    exit_code: int
    left_over: list[str]

    @property
    def story(self) -> dict[str, Any]:
        story: dict[str, Any] = orjson.loads(self.stdout)
        return story

    def step(self, title: str) -> dict[str, Any]:
        (step,) = (one for one in self.story["steps"] if one["title"] == title)
        return dict(step)

    def counts(self, title: str) -> tuple[dict[str, int], dict[str, int]]:
        """The entries by source before and after a step."""
        lines = self.step(title)["sources"]
        before = {line["source"]: line["before"] for line in lines}
        return before, {line["source"]: line["after"] for line in lines}


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with tempfile.TemporaryDirectory(prefix="a place with spaces ") as name:
        # PostgreSQL does not run as root: its user must be able to enter this directory
        Path(name).chmod(0o711)
        place, out, err = Path(name) / "tmp", Path(name) / "out", Path(name) / "err"
        place.mkdir(mode=0o711)
        with out.open("wb") as stdout, err.open("wb") as stderr:
            demo = _start(place, stdout, stderr)
            try:
                poll(lambda: STARTED in err.read_text() or demo.poll() is not None, within=120)
                example = _run_example(err.read_text())
                demo.send_signal(signal.SIGINT)
                exit_code = demo.wait(60)
            finally:
                demo.kill()
        yield Run(
            out.read_bytes(),
            err.read_text(),
            example,
            exit_code,
            [path.name for path in place.iterdir()],
        )


def _start(place: Path, stdout: Any, stderr: Any) -> subprocess.Popen[bytes]:
    # settings of another installation, which the demo must ignore
    elsewhere = {
        "UPLOADS_DATABASE__URL": "postgresql://nobody@192.0.2.1/",
        "UPLOADS_KAFKA__TOPIC_PREFIX": "elsewhere",
    }
    environment = os.environ | elsewhere | {"TMPDIR": str(place)}
    return subprocess.Popen(
        [UPLOADS, "demo", "--json", "--keep"],
        env=environment,
        cwd=place,
        stdout=stdout,
        stderr=stderr,
    )


def _run_example(output: str) -> subprocess.CompletedProcess[str]:
    """Run the commands that the demo prints: set the variables, and submit its example file."""
    lines = [
        line
        for line in output.splitlines()
        if line.startswith("export UPLOADS_") or " submit " in line
    ]
    script = "\n".join(lines[:4]) + " --json"
    return subprocess.run(
        ["/bin/sh", "-ec", script], capture_output=True, text=True, timeout=60, check=False
    )


def test_every_step_ends_as_it_must_and_every_check_holds(run: Run) -> None:
    assert run.story["passed"], run.stderr
    assert [(step["event"]["outcome"], step["passed"]) for step in run.story["steps"]] == [
        (outcome, True)
        for outcome in (
            "partial",
            "partial",
            *["succeeded"] * 6,
            "partial",
            "superseded",
            "rejected",
        )
    ]
    assert all(check["holds"] for step in run.story["steps"] for check in step["checks"])


def test_it_takes_less_than_a_minute(run: Run) -> None:
    assert run.story["seconds"] < 60


def test_a_year_replaces_its_own_kind_and_reports_each_wrong_row(run: Run) -> None:
    before, after = run.counts("A year of purchases in one file")
    assert after == before | {"CSV_MODULE_PER_YEAR": 9_992}
    codes = {
        error["code"]
        for error in run.step("A year of purchases in one file")["event"]["row_errors"]
    }
    assert len(codes) == 8


def test_the_same_file_and_the_same_synchronisation_again_double_nothing(run: Run) -> None:
    for title in ("The same file again", "The finance system synchronises again"):
        before, after = run.counts(title)
        assert after == before


def test_a_file_of_one_unit_is_appended(run: Run) -> None:
    before, after = run.counts("One unit adds a file of its own")
    assert after == before | {"CSV_MODULE_UNIT_SPECIFIC": before["CSV_MODULE_UNIT_SPECIFIC"] + 24}


def test_a_message_that_comes_twice_is_answered_with_the_first_event(run: Run) -> None:
    first, again = (
        run.step("A year of purchases in one file"),
        run.step("Kafka delivers a message twice"),
    )
    assert again["event"] == first["event"]


def test_what_no_upload_may_touch_is_the_same_at_the_end(run: Run) -> None:
    groups = run.story["untouched"]
    assert {group["what"] for group in groups} >= {
        "typed in by hand (USER_MANUAL)",
        "of unknown origin (NULL)",
    }
    assert all(group["same"] and group["rows"] for group in groups)


def test_what_it_prints_to_submit_to_it_works_as_it_stands(run: Run) -> None:
    assert run.example.returncode == 3, run.example.stderr
    event = orjson.loads(run.example.stdout)
    assert event["rows"] == {"total": 200, "processed": 192, "skipped": 8}


def test_ctrl_c_ends_it_and_leaves_nothing_behind(run: Run) -> None:
    assert run.exit_code == 0
    assert run.left_over == []
