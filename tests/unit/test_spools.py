"""What a killed worker leaves on the local disk is cleared when the next one starts."""

import os
import tempfile
import time
from pathlib import Path

import pytest

from service.files.spools import SPOOL_PREFIX, clear_abandoned_spools


def test_old_spools_go_and_those_of_jobs_at_work_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, young, foreign = (
        tmp_path / name for name in (f"{SPOOL_PREFIX}1-a", f"{SPOOL_PREFIX}2-b", "somebody-else")
    )
    for path in (old, young, foreign):
        path.mkdir()
        (path / "upload.csv").write_text("rows")
    for path in (old, foreign):
        os.utime(path, (time.time() - 100, time.time() - 100))
    assert clear_abandoned_spools(60) == 1
    assert [path.exists() for path in (old, young, foreign)] == [False, True, True]


def test_a_spool_that_goes_away_while_it_is_looked_at_disturbs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # A link to nothing is listed but cannot be looked at, like a directory that was just deleted.
    (tmp_path / f"{SPOOL_PREFIX}7-gone").symlink_to(tmp_path / "nothing")
    assert clear_abandoned_spools(60) == 0
