"""Crash points: places in the code at which a test can kill this process.

`UPLOADS_CRASH_AT=after_commit` kills the process when it first passes `after_commit`, and
`after_commit:3` when it passes for the third time. Without this variable nothing happens.

The points of a job, in order. Not every job passes every point:

- `after_fetch`: the file is on the local disk and checked. Jobs with inline rows do not pass it.
- `after_parse`: the header is read; no row is read yet.
- `after_begin`: the transaction has begun (SQL `BEGIN`).
- `after_claim`: the job's ledger line is locked, and the job has not ended before.
- `mid_copy`: some lines have been handed to COPY; a job passes here once for each piece.
- `after_lock`: the heads of the scopes are taken. Only jobs that replace entries pass it.
- `after_delete`: the older rows are deleted. Only jobs that replace entries pass it.
- `before_commit`: the result is in the ledger line. Only jobs that change rows pass it.
- `after_commit`: the transaction has ended, by a COMMIT or by a rollback.
- `after_publish`: an event or a dead letter is handed to the producer; the broker has not answered.
- `after_ack`: the broker has acknowledged the completion event.
- `after_offset_commit`: the offset of the job's record is committed.
- `after_dead_letter_ack`: the broker has acknowledged the dead letter of a job that is parked.

The points of an operator's command that sends a dead letter:

- `after_replay_claim`: the letter is claimed in the database, and not sent yet.
- `after_replay_ack`: the broker has acknowledged the message; the letter is still claimed.
"""

import os
import signal
from dataclasses import dataclass

POINTS = (
    "after_fetch",
    "after_parse",
    "after_begin",
    "after_claim",
    "mid_copy",
    "after_lock",
    "after_delete",
    "before_commit",
    "after_commit",
    "after_publish",
    "after_ack",
    "after_offset_commit",
    "after_dead_letter_ack",
)
"""The crash points of a job, in the order in which a job passes them. Only a parked job passes the
last one."""

REPLAY_POINTS = ("after_replay_claim", "after_replay_ack")
"""The crash points of an operator's command that sends a dead letter, in order."""


@dataclass(slots=True)
class _Armed:
    """The armed point, and how many passes are left until the process is killed."""

    name: str | None = None
    passes: int = 1


_armed = _Armed()


def arm(spec: str | None) -> None:
    """Arm one point: `name`, or `name:pass` for a later pass. None or "" arms no point.

    Raises `ValueError` if there is no such point, or if the pass is not a number.
    """
    name, _, passes = (spec or "").partition(":")
    points = POINTS + REPLAY_POINTS
    if name and name not in points:
        raise ValueError(f"no crash point {name!r}; there are {', '.join(points)}")

    _armed.name = name or None
    _armed.passes = int(passes or 1)


def point(name: str) -> None:
    """Pass a point. If it is armed and this is its last pass, the process is killed here."""
    if _armed.name != name:
        return

    _armed.passes -= 1
    if _armed.passes == 0:
        # SIGKILL, because a real crash runs no `finally` and no exit handler either.
        os.kill(os.getpid(), signal.SIGKILL)
