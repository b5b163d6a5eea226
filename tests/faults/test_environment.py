"""Faults that every job meets: a missing privilege, a missing column, a full disk; and no secrets.

The last test plants secrets, and looks for them in everything that the service writes.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from service.db.migrate import upgrade
from service.demo.postgres import EmbeddedPostgres
from service.domain.provider_types import ProviderType
from tests.faults.conftest import OpenTrial
from tests.faults.report import Measured
from tests.support.parts import Kafka
from tests.support.trial import Trial
from tests.support.until import until
from tests.support.worker import Process

CSV_PER_YEAR = ProviderType.CSV_MODULE_PER_YEAR
ROLES = (Path(__file__).parents[2] / "docs" / "sql" / "roles.sql").read_text("utf-8")
OPEN_WITHIN = 15.0

BROKEN = {
    "INSERT revoked": (
        "REVOKE INSERT ON data_entries FROM uploads_worker",
        "GRANT INSERT ON data_entries TO uploads_worker",
    ),
    "a column dropped": (
        "ALTER TABLE data_entries DROP COLUMN unit_id",
        (
            "ALTER TABLE data_entries ADD COLUMN unit_id integer; "
            "GRANT INSERT, SELECT ON data_entries TO uploads_worker"
        ),
    ),
    "a table gone": (
        "ALTER TABLE scope_heads RENAME TO elsewhere",
        "ALTER TABLE elsewhere RENAME TO scope_heads",
    ),
}


@pytest.mark.fault("F8")
@pytest.mark.parametrize(
    "what",
    [
        "INSERT revoked",
        pytest.param("a column dropped", marks=pytest.mark.full),
        "a table gone",
    ],
)
async def test_a_database_that_refuses_the_service_opens_the_breaker(
    what: str, trial: Trial, measured: Measured
) -> None:
    breaks, mends = BROKEN[what]
    async with _as_a_small_role(trial, password="small") as settings:
        with trial.working(settings=settings) as worker:
            await worker.ready()
            await _breaks_and_mends(
                trial,
                worker,
                measured,
                lambda: trial.university.execute(breaks),
                lambda: trial.university.execute(mends),
            )


async def _breaks_and_mends(
    trial: Trial,
    worker: Process,
    measured: Measured,
    breaks: Callable[[], Awaitable[Any]],
    mends: Callable[[], Awaitable[Any]],
) -> None:
    """The breaker opens at the first job, nothing is parked, and work goes on by itself."""
    await breaks()
    await trial.send(*trial.load.uploads(20))
    await until(
        lambda: "breaker_opened" in worker.log.read_text(),
        within=OPEN_WITHIN,
        what="the breaker is open",
    )
    for _ in range(10):
        assert await worker.health("ready") == 503
        assert await worker.health("live") == 200
    await mends()
    mended = time.monotonic()
    await trial.drained(within=60)
    seconds = time.monotonic() - mended
    await until(lambda: _is_ready(worker), within=10, what="the worker is ready")
    assert worker.exit_code is None
    assert worker.log.read_text().count("breaker_opened") == 1, "one fault is one alert"
    findings = await trial.examine()
    measured.round(findings, seconds=seconds)
    assert findings.parked == 0


async def _is_ready(worker: Process) -> bool:
    return await worker.health("ready") == 200


@asynccontextmanager
async def _as_a_small_role(trial: Trial, *, password: str) -> AsyncIterator[Any]:
    """Settings of a worker whose login has only the rights of docs/sql/roles.sql.

    The login is dropped at the end.
    """
    address = urlsplit(trial.settings.database.url.get_secret_value())
    login = f"login_{trial.client.topics.prefix}"
    await trial.university.execute(ROLES)
    await trial.university.execute(
        f"CREATE ROLE {login} LOGIN PASSWORD '{password}' IN ROLE uploads_worker"
    )
    url = address._replace(netloc=f"{login}:{password}@{address.hostname}:{address.port}").geturl()
    database = trial.settings.database.model_copy(update={"url": SecretStr(url)})
    try:
        yield trial.settings.model_copy(update={"database": database})
    finally:
        await trial.university.execute(f"DROP ROLE {login}")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 160 MiB for one test; only root can make one."""
    with tempfile.TemporaryDirectory(prefix="uploads-small disk-") as name:
        place = Path(name)
        mount = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=755", "tmpfs", name]
        if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("a disk that can be filled takes the right to mount one: run as root")
        place.chmod(0o755)
        yield place
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.full
@pytest.mark.fault("F8")
async def test_a_full_disk_opens_the_breaker(
    small_disk: Path, real_kafka: Kafka, topic_prefix: str, tmp_path: Path, measured: Measured
) -> None:
    filler = small_disk / "filler"

    async def fills() -> None:
        free = shutil.disk_usage(small_disk).free
        with filler.open("wb") as file:
            file.write(bytes(free))

    async def mends() -> None:
        filler.unlink()

    settings = {"min_wal_size": "32MB", "max_wal_size": "48MB"}
    with EmbeddedPostgres(small_disk / "server", fast=True, settings=settings) as server:
        await upgrade(server.url)
        async with Trial.open(
            server.url, real_kafka.bootstrap_servers, tmp_path / "t", topic_prefix
        ) as trial:
            with trial.working() as worker:
                await worker.ready()
                await _breaks_and_mends(trial, worker, measured, fills, mends)


SECRETS = {
    "DSN": "planted-dsn-password",
    "SASL": "planted-sasl-password",
    "STORE": "planted-store-key",
    "URL": "planted-url-signature",
    "CELL": "planted-cell-value",
    "ROW": "planted-row-value",
}


@pytest.mark.fault("F19")
async def test_planted_secrets_are_told_nowhere(open_trial: OpenTrial, measured: Measured) -> None:
    hidden = {
        "kafka": {"sasl_password": SECRETS["SASL"]},
        "storage": {"s3_access_key_id": "key", "s3_secret_access_key": SECRETS["STORE"]},
        "log": {"level": "DEBUG"},
    }
    async with (
        open_trial(**hidden) as trial,
        _as_a_small_role(trial, password=SECRETS["DSN"]) as settings,
    ):
        await _send_secrets(trial)
        with trial.working(settings=settings) as worker:
            await worker.ready()
            await trial.drained(within=60)
            written = {"log": worker.log.read_text()}
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{worker.port}", timeout=20
            ) as http:
                for page in ("status", "metrics/", "health/ready"):
                    written[page] = (await http.get(f"/{page}")).text
            await _lock_out(trial, worker)
            written["log of a worker that is refused"] = worker.log.read_text()
        await trial.client.read()
        for record in trial.client.records:
            place = f"headers of {record.topic}"
            written[place] = written.get(place, "") + str(record.headers)
        written["table"] = str(
            await trial.scalar(text("SELECT json_agg(dead_letters) FROM dead_letters"))
        )
        assert await trial.parked() == 5
    leaks = [
        f"{name} in the {place}"
        for name, secret in SECRETS.items()
        for place, text_there in written.items()
        if secret in text_there
    ]
    measured.round(times=len(SECRETS))
    measured.parked += 5
    assert not leaks


async def _send_secrets(trial: Trial) -> None:
    """Send jobs whose errors could quote a secret: refused URLs, bad cells, a database error."""
    signature = f"X-Amz-Signature={SECRETS['URL']}"
    urls = (
        f"{(trial.jobs.root / 'a.csv').as_uri()}?{signature}",
        f"https://user:{SECRETS['URL']}@example.org/a.csv",
        f"https://example.org/a.csv?{signature}",
        f"s3://bucket/a.csv?{signature}",
    )
    for number, url in enumerate(urls):
        message = trial.jobs.message(
            CSV_PER_YEAR, job_id=900 + number, file={"url": url, "size": 1, "sha256": "0" * 64}
        )
        await trial.send_value(CSV_PER_YEAR, message)
    rows = "unit_institutional_id,name,total_spent_amount,purchase_institutional_code\n"
    bad = f"{rows}physics,Pipettes,{SECRETS['CELL']},411\n"
    await trial.send_value(CSV_PER_YEAR, trial.jobs.message(CSV_PER_YEAR, bad, job_id=910))
    await trial.university.execute(f"""
        CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.data ->> 'name' = '{SECRETS["ROW"]}' THEN
                RAISE EXCEPTION 'value %', NEW.data
                USING ERRCODE = '23505', DETAIL = NEW.data::text;
            END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER complain BEFORE INSERT ON data_entries
        FOR EACH ROW EXECUTE FUNCTION complain();
    """)
    refused = f"{rows}physics,{SECRETS['ROW']},12,411\n"
    await trial.send_value(CSV_PER_YEAR, trial.jobs.message(CSV_PER_YEAR, refused, job_id=911))


async def _lock_out(trial: Trial, worker: Process) -> None:
    """Let the database refuse the worker's login; the worker's URL contains the password."""
    login = f"login_{trial.client.topics.prefix}"
    await trial.university.execute(f"ALTER ROLE {login} NOLOGIN")
    await trial.university.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'"
    )
    await trial.send(trial.load.upload(CSV_PER_YEAR))
    await until(
        lambda: "breaker_opened" in worker.log.read_text(), within=20, what="the login is refused"
    )
