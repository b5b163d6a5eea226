"""Named points at which a test can kill this process; nothing happens unless one is armed.

`UPLOADS_CRASH_AT=after_commit` kills at the first pass, `after_commit:3` at the third.
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
"""In the order in which a job passes them; the last one is a dead letter's."""

REPLAY_POINTS = ("after_replay_claim", "after_replay_ack")
"""Those of an operator's command that sends a dead letter, in order."""


@dataclass(slots=True)
class _Armed:
    name: str | None = None
    passes: int = 1


_armed = _Armed()


def arm(spec: str | None) -> None:
    """Arm one point, `name` or `name:pass`; None disarms. Raises `ValueError` where there is no such point."""
    name, _, passes = (spec or "").partition(":")
    points = POINTS + REPLAY_POINTS
    if name and name not in points:
        raise ValueError(f"no crash point {name!r}; there are {', '.join(points)}")
    _armed.name, _armed.passes = name or None, int(passes or 1)


def point(name: str) -> None:
    """Pass a point; where it is armed, this is the process's last act."""
    if _armed.name != name:
        return
    _armed.passes -= 1
    if _armed.passes == 0:
        os.kill(os.getpid(), signal.SIGKILL)
