"""Spool directories: the temporary directories that hold a job's local files.

A job has one while it is prepared and applied. A worker that is killed leaves its directory behind.
"""

import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

SPOOL_PREFIX = "uploads-spool-"
"""Beginning of the names of all spool directories."""


def spool_directory(job_id: int) -> TemporaryDirectory[str]:
    """Make an empty directory for the local files of a job; it is deleted when its context ends."""
    return TemporaryDirectory(prefix=f"{SPOOL_PREFIX}{job_id}-")


def clear_abandoned_spools(older_than: float) -> int:
    """Delete the spool directories of workers that were killed. Returns their number.

    Without this, a worker that is killed again and again would fill its disk. Directories that
    were changed in the last `older_than` seconds stay, since a worker may still use them.
    """
    before = time.time() - older_than
    abandoned = [
        path
        for path in Path(gettempdir()).glob(f"{SPOOL_PREFIX}*")
        if _was_changed_before(path, before)
    ]
    for path in abandoned:
        shutil.rmtree(path, ignore_errors=True)
    return len(abandoned)


def _was_changed_before(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime < moment
    except FileNotFoundError:
        # Another worker on this machine has ended its job since the directory was listed.
        return False
