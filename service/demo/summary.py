"""The story as JSON, for programs: what the tables show to people, and every event in full."""

from typing import Any

import orjson

from service.demo.step_result import StepResult
from service.demo.story import Story
from service.demo.university import TYPE, UNITS, YEAR


def as_json(story: Story, seconds: float) -> bytes:
    """Return all steps and their checks as JSON; `seconds` is how long they took without set-up."""
    document = {
        "passed": story.passed,
        "seconds": round(seconds, 3),
        "university": {"units": len(UNITS), "years": [YEAR - 1, YEAR]},
        "about": {"year": YEAR, "data_entry_type": TYPE.name},
        "steps": [_step_as_dict(result) for result in story.results],
        "untouched": [_untouched_as_dict(story, what) for what in story.start.foreign()],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _step_as_dict(result: StepResult) -> dict[str, Any]:
    step, message = result.step, result.step.message
    return {
        "number": result.number,
        "title": step.title,
        "text": step.text,
        "topic": result.topic,
        "job_id": message.job_id,
        "content": message.content,
        "expected_outcome": step.outcome,
        "seconds": round(result.seconds, 3),
        "sources": _counts_by_source(result),
        "factors": {"before": len(result.before.factor_ids), "after": len(result.after.factor_ids)},
        "event": orjson.Fragment(result.record.value),
        "checks": [{"claim": check.claim, "holds": check.holds} for check in result.checks],
        "passed": result.passed,
    }


def _counts_by_source(result: StepResult) -> list[dict[str, Any]]:
    after = result.after.counts()
    return [
        {"source": source, "before": before, "after": after[source]}
        for source, before in result.before.counts().items()
    ]


def _untouched_as_dict(story: Story, what: str) -> dict[str, Any]:
    before, after = story.start.foreign()[what], story.end.foreign().get(what)
    return {
        "what": what,
        "rows": before.rows,
        "checksum_before": before.checksum,
        "checksum_after": None if after is None else after.checksum,
        "same": before == after,
    }
