"""What a worker logs: one JSON line for each event, with the ids that an operator looks for."""

import signal
import socket
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from service.app import WorkerGaveUp
from service.jobs.processor import JobProcessor
from service.settings import Settings
from tests.support.jobs import Jobs, purchases
from tests.support.university import PHYSICS, University
from tests.support.until import until
from tests.support.worker import CSV_PER_YEAR, PARTITIONS, client, process, running

LOG_AS_JSON = {"format": "json"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"log": settings.log.model_copy(update=LOG_AS_JSON)})


def lines(log: Path) -> list[dict[str, Any]]:
    """Every line of a log; each is one JSON object, or this fails."""
    return [orjson.loads(line) for line in log.read_bytes().splitlines()]


def named(log: Path, event: str) -> list[dict[str, Any]]:
    return [line for line in lines(log) if line["event"] == event]


async def test_the_life_of_a_worker_can_be_read_in_its_log(
    settings: Settings, university: University, jobs: Jobs, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with client(settings) as kafka:
        with process(settings, log) as worker:
            await worker.ready()
            await kafka.send(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, purchases(PHYSICS)))
            await kafka.event(1)
            await kafka.send(CSV_PER_YEAR, b"no JSON")
            await kafka.dead_letters(1)
            worker.send(signal.SIGTERM)
            await until(lambda: worker.exit_code is not None, within=30, what="it has ended")
            assert worker.exit_code == 0
    (starting,), (started,) = named(log, "starting"), named(log, "started")
    assert starting["prefix"] == settings.kafka.topic_prefix
    assert isinstance(started["http_port"], int)
    topic = kafka.topics.job_topic(CSV_PER_YEAR)
    (assigned,) = [one for one in named(log, "partitions_assigned") if one["topic"] == topic]
    assert assigned["partitions"] == list(range(PARTITIONS))
    (ended,) = named(log, "job_ended")
    assert (ended["job_id"], ended["topic"], ended["outcome"]) == (1, topic, "succeeded")
    (parked,) = named(log, "parked")
    assert (parked["code"], parked["topic"], parked["level"]) == ("not_json", topic, "error")
    assert len(parked["dead_letter_id"]) == 36
    assert {"partition", "offset"} <= parked.keys()
    (draining,) = named(log, "draining")
    assert draining["grace_seconds"] == settings.shutdown_grace
    assert {"job_ids"} <= draining.keys()
    assert lines(log)[-1]["event"] == "stopped"


async def test_a_worker_that_cannot_start_says_why_in_one_line(
    settings: Settings, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as taken, process(settings, log) as worker:
        worker.kill()
        log.unlink()
        worker._environment["UPLOADS_HTTP__PORT"] = str(taken.getsockname()[1])
        worker.start()
        await until(lambda: worker.exit_code is not None, within=30, what="it has ended")
        assert worker.exit_code == 1
    (failed,) = named(log, "worker_failed")
    assert failed["level"] == "critical"
    assert "could not be opened" in failed["reason"]
    assert "serving" in failed["stack"]


async def test_a_worker_that_gives_up_logs_the_stack_once(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    with capture_logs() as logged, pytest.raises(WorkerGaveUp):
        async with client(settings) as kafka, running(settings) as app:
            # an error that no handler expects: what the dispatcher needs is gone
            app.subscriptions._dispatcher.breaker = None
            await kafka.send(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, purchases(PHYSICS)))
            await until(app._stop.is_set, within=30, what="it gives up")
    (line,) = [one for one in logged if one["event"] == "giving_up"]
    assert (line["log_level"], line["exception"]) == ("critical", "AttributeError")
    assert "wait_for_turn" in line["stack"]
    assert [one["event"] for one in logged if "stack" in one] == ["giving_up"]


async def test_an_unexpected_failure_of_a_job_logs_its_stack_once(
    settings: Settings, university: University, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: object) -> None:
        raise LookupError("a row's value")

    monkeypatch.setattr(JobProcessor, "process", fail)
    with capture_logs() as logged:
        async with client(settings) as kafka, running(settings):
            await kafka.send(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, purchases(PHYSICS)))
            event = await kafka.event(1)
    assert (event["outcome"], event["code"]) == ("parked", "unexpected")
    (line,) = [one for one in logged if "stack" in one]
    assert (line["event"], line["exception"]) == ("unexpected_failure", "LookupError")
    assert "in fail" in line["stack"]
    held = [one for one in logged if one["event"] == "job_held"]
    assert [one["tries"] for one in held] == [1, 2]
    assert all(0 < one["pause_seconds"] < 1 for one in held)
    assert not any("a row's value" in str(one) for one in logged)
