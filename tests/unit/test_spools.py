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
