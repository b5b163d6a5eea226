"""Dead letters replayed: too late, by two operators at once, and by one who is killed meanwhile."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
import pytest
from sqlalchemy import text

from service.domain.provider_types import ProviderType
from tests.faults.conftest import OpenTrial
from tests.faults.report import Measured
from tests.support.load import SentUpload
from tests.support.oracle import records_of
from tests.support.trial import Trial
from tests.support.until import until
from tests.support.worker import environment, running

CSV_PER_YEAR = ProviderType.CSV_MODULE_PER_YEAR
GENEROUS = {"guard_count": 10_000}

Scale = Callable[[int, int], int]

_CHECKSUM = text("SELECT md5(string_agg(entry::text, ',' ORDER BY id)) FROM data_entries AS entry")
_STATES = text("SELECT job_id, state FROM dead_letters")
_ACTIONS = text(
    "SELECT actor, outcome FROM dead_letter_actions WHERE action = 'replay' ORDER BY id"
)


@pytest.mark.fault("F5")
async def test_an_old_dead_letter_changes_nothing_after_a_newer_success(
    open_trial: OpenTrial, measured: Measured, scale: Scale
) -> None:
    async with open_trial(retry=GENEROUS) as trial, running(trial.settings):
        for _ in range(scale(1, 10)):
            old = (await _parked(trial, 1))[0]
            newer = trial.load.upload(CSV_PER_YEAR, type_id=60)
            await trial.send(newer)
            await trial.drained(within=30)
            checksum = await trial.scalar(_CHECKSUM)
            if old.scopes.keys() & newer.scopes.keys():
                await _operator(trial, "alice")
                assert await trial.scalar(_CHECKSUM) == checksum
                await _operator(trial, "alice", "--force")
                await trial.client.event(old.job_id, count=2)
                assert trial.client.events(old.job_id)[-1]["outcome"] == "superseded"
                assert await trial.scalar(_CHECKSUM) == checksum
            measured.round()
        measured.round(await trial.examine(drained=False), times=0)


@pytest.mark.fault("F18")
async def test_two_operators_at_once_send_each_dead_letter_once(
    open_trial: OpenTrial, measured: Measured
) -> None:
    async with open_trial(retry=GENEROUS) as trial, running(trial.settings):
        letters = await _parked(trial, 15)
        ended = await asyncio.gather(*(_operator(trial, name) for name in ("alice", "bob")))
        await until(lambda: _all_resolved(trial), within=60, what="every letter is resolved")
        await trial.drained(within=30)
        assert await _deliveries(trial) == 2 * len(letters)
        assert sum(result["sent"] for _, result in ended) == len(letters)
        sent = [
            letter
            for _, outcome in await _actions(trial)
            for letter in outcome["letters"].get("sent", [])
        ]
        assert len(sent) == len(set(sent)) == len(letters)
        measured.round(await trial.examine(), times=len(letters))


@pytest.mark.fault("F18")
@pytest.mark.parametrize(
    "point", [pytest.param("after_replay_claim", marks=pytest.mark.full), "after_replay_ack"]
)
async def test_an_operator_killed_in_mid_replay_leaves_one_letter_in_doubt_at_most(
    point: str, open_trial: OpenTrial, measured: Measured
) -> None:
    async with open_trial(retry=GENEROUS) as trial, running(trial.settings):
        letters = await _parked(trial, 8)
        code, _ = await _operator(trial, "alice", UPLOADS_CRASH_AT=f"{point}:4")
        assert code == -signal.SIGKILL
        unsettled = 5 if point == "after_replay_claim" else 4
        await until(
            lambda: _are_unsettled(trial, unsettled), within=30, what="what was sent has ended"
        )
        await _an_hour_passes(trial)
        await _operator(trial, "bob")
        await until(lambda: _all_resolved(trial), within=60, what="every letter is resolved")
        await trial.drained(within=30)
        assert await _deliveries(trial) == 2 * len(letters)
        assert [actor for actor, _ in await _actions(trial)] == ["alice", "bob"]
        measured.round(await trial.examine(), times=len(letters))


async def _parked(trial: Trial, count: int) -> list[SentUpload]:
    """Uploads that were parked because their files were away; the files are back now.

    Between them, other uploads succeed.
    """
    uploads = [trial.load.upload(CSV_PER_YEAR, type_id=60) for _ in range(count)]
    for upload in uploads:
        before = await trial.parked()
        with _file_away(upload):
            await trial.send(upload)
            await until(
                lambda before=before: _has_parked(trial, before + 1),
                within=30,
                what="the letter is parked",
            )
        await trial.send(*trial.load.uploads(2, ProviderType.API_MODULE_UNIT_SPECIFIC))
    await trial.drained(within=30)
    return uploads


@contextmanager
def _file_away(upload: SentUpload) -> Iterator[None]:
    path = Path(unquote(urlsplit(orjson.loads(upload.message)["file"]["url"]).path))
    away = path.rename(path.with_name(f"{path.name}.away"))
    yield
    away.rename(path)


async def _an_hour_passes(trial: Trial) -> None:
    """Make claims an hour old, so that they can be taken back."""
    await trial.university.execute("""
        UPDATE dead_letters SET state_at = state_at - interval '1 hour';
        UPDATE upload_jobs SET started_at = started_at - interval '1 hour';
    """)


async def _has_parked(trial: Trial, count: int) -> bool:
    return await trial.parked() >= count


async def _operator(
    trial: Trial, name: str, *options: str, **variables: str
) -> tuple[int, dict[str, Any]]:
    """Replay every open letter as a person would; return the exit code and the JSON output."""
    command = [
        sys.executable,
        "-m",
        "service",
        "dead-letters",
        "replay",
        "--execute",
        "--json",
        "--by",
        name,
        *options,
    ]
    operator = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | environment(trial.settings) | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await operator.communicate()
    assert operator.returncode in {0, 3, -signal.SIGKILL}, err.decode()
    return operator.returncode or 0, orjson.loads(out) if out.strip() else {}


async def _all_resolved(trial: Trial) -> bool:
    return {state for _, state in await _rows(trial, _STATES)} == {"resolved"}


async def _are_unsettled(trial: Trial, count: int) -> bool:
    return sum(state != "resolved" for _, state in await _rows(trial, _STATES)) == count


async def _actions(trial: Trial) -> list[tuple[str, Any]]:
    return [(actor, outcome) for actor, outcome in await _rows(trial, _ACTIONS)]


async def _rows(trial: Trial, query: Any) -> list[Any]:
    async with trial.university.engine.connect() as conn:
        return list(await conn.execute(query))


async def _deliveries(trial: Trial) -> int:
    """How many records are on the topic: the originals, and those that operators sent."""
    return len(
        await records_of(trial.settings.kafka, [trial.client.topics.job_topic(CSV_PER_YEAR)])
    )
