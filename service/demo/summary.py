"""The story as JSON, for programs: the same as the tables say, and every event whole."""

from typing import Any

import orjson

from service.demo.played import Played
from service.demo.story import Story
from service.demo.university import TYPE, UNITS, YEAR


def as_json(story: Story, seconds: float) -> bytes:
    """Everything that was played, and whether all checks hold; `seconds` is how long it took, set-up aside."""
    told = {
        "passed": story.passed,
        "seconds": round(seconds, 3),
        "university": {"units": len(UNITS), "years": [YEAR - 1, YEAR]},
        "about": {"year": YEAR, "data_entry_type": TYPE.name},
        "steps": list(map(_step, story.played)),
        "untouched": [_untouched(story, what) for what in story.start.foreign()],
    }
    return orjson.dumps(told, option=orjson.OPT_INDENT_2)


def _step(played: Played) -> dict[str, Any]:
    scene, message = played.scene, played.scene.message
    return {
        "number": played.number,
        "title": scene.title,
        "text": scene.text,
        "topic": played.topic,
        "job_id": message.job_id,
        "content": message.content,
        "expected_outcome": scene.outcome,
        "seconds": round(played.seconds, 3),
        "sources": _counts(played),
        "factors": {"before": len(played.before.factor_ids), "after": len(played.after.factor_ids)},
        "event": orjson.Fragment(played.record.value),
        "checks": [{"claim": check.claim, "holds": check.holds} for check in played.checks],
        "passed": played.passed,
    }


def _counts(played: Played) -> list[dict[str, Any]]:
    after = played.after.counts()
    return [
        {"source": source, "before": before, "after": after[source]}
        for source, before in played.before.counts().items()
    ]


def _untouched(story: Story, what: str) -> dict[str, Any]:
    before, after = story.start.foreign()[what], story.end.foreign().get(what)
    return {
        "what": what,
        "rows": before.rows,
        "checksum_before": before.checksum,
        "checksum_after": after and after.checksum,
        "same": before == after,
    }
