"""TLS and logins, with a broker and a database server that require them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from service.app import engine_of
from service.demo.postgres import EmbeddedPostgres
from service.demo.processes import free_port
from service.demo.server import Unavailable
from service.settings import Settings
from tests.conftest import NEEDS_REAL_KAFKA
from tests.support.apache import ApacheKafka
from tests.support.jobs import Jobs, purchases
from tests.support.university import PHYSICS, University
from tests.support.until import until
from tests.support.worker import CSV_PER_YEAR, client, process, running, settings_for

USER, PASSWORD = "uploads", "s3cret-of-kafka"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True)
class SecureKafka:
    """A broker with a port for each security protocol, and its self-signed certificate."""

    ports: dict[str, int]
    certificate: Path

    def settings(self, protocol: str, **more: Any) -> dict[str, Any]:
        """The Kafka settings of a client that connects by `protocol`."""
        settings: dict[str, Any] = {
            "bootstrap_servers": f"127.0.0.1:{self.ports[protocol]}",
            "security_protocol": protocol,
        }
        if protocol.startswith("SASL"):
            settings |= {"sasl_username": USER, "sasl_password": PASSWORD}
        if protocol.endswith("SSL"):
            settings |= {"ssl_cafile": str(self.certificate)}
        return settings | more


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    home = tmp_path_factory.mktemp("secure kafka")
    certificate, key, both = home / "server.crt", home / "server.key", home / "server.pem"
    certify("/CN=127.0.0.1", certificate, key, "-addext", "subjectAltName=IP:127.0.0.1")
    both.write_text(key.read_text() + certificate.read_text())
    with _broker(both) as ports:
        yield SecureKafka(ports, certificate)


@contextmanager
def _broker(keystore: Path) -> Iterator[dict[str, int]]:
    try:
        kafka = ApacheKafka(users={USER: PASSWORD})
        ports = {name: free_port() for name in ("SSL", "SASL_PLAINTEXT", "SASL_SSL")}
        plain = kafka._all_properties()
        addresses = "".join(f",{name}://127.0.0.1:{port}" for name, port in ports.items())
        login = f'required username="{USER}" password="{PASSWORD}" user_{USER}="{PASSWORD}";'
        kafka._properties = {
            "listeners": plain["listeners"] + addresses,
            "advertised.listeners": plain["advertised.listeners"] + addresses,
            "listener.security.protocol.map": plain["listener.security.protocol.map"]
            + "".join(f",{name}:{name}" for name in ports),
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keystore),
            **{
                f"listener.name.{name.lower()}.plain.sasl.jaas.config": f"{PLAIN} {login}"
                for name in ports
            },
            **{
                f"listener.name.{name.lower()}.scram-sha-512.sasl.jaas.config": f"{SCRAM} required;"
                for name in ports
            },
        }
        with kafka:
            yield ports
    except Unavailable as error:
        pytest.skip(f"{NEEDS_REAL_KAFKA}: {error}")


CONNECTIONS = [
    ("SSL", {}),
    ("SASL_PLAINTEXT", {"sasl_mechanism": "PLAIN"}),
    ("SASL_PLAINTEXT", {"sasl_mechanism": "SCRAM-SHA-512"}),
    ("SASL_SSL", {"sasl_mechanism": "SCRAM-SHA-512"}),
]


@pytest.mark.parametrize(
    ("protocol", "more"),
    CONNECTIONS,
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()),
)
async def test_a_worker_does_a_job_over_a_secured_connection(
    protocol: str,
    more: dict[str, str],
    secure: SecureKafka,
    database: str,
    university: University,
    jobs: Jobs,
    topic_prefix: str,
) -> None:
    settings = settings_for(
        database, "", jobs.root, topic_prefix, kafka=secure.settings(protocol, **more)
    )
    async with client(settings) as kafka, running(settings) as app:
        await kafka.send(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, purchases(PHYSICS)))
        assert (await kafka.event(1))["outcome"] == "succeeded"
        assert await app.health.ready() == {}


@pytest.mark.parametrize(
    ("protocol", "wrong"),
    [("SASL_PLAINTEXT", {"sasl_password": "wrong-s3cret"}), ("SSL", {"ssl_cafile": None})],
    ids=["wrong password", "unknown authority"],
)
async def test_a_worker_that_is_not_let_in_waits_and_says_so_without_its_password(
    protocol: str,
    wrong: dict[str, Any],
    secure: SecureKafka,
    database: str,
    tmp_path: Path,
    topic_prefix: str,
) -> None:
    settings = settings_for(
        database, "", tmp_path, topic_prefix, kafka=secure.settings(protocol, **wrong)
    )
    log = tmp_path / "worker.log"
    with process(settings, log) as worker:
        await until(
            lambda: log.read_text().count("waiting_for_kafka") > 1,
            within=30,
            what="it says so twice",
        )
        assert worker.exit_code is None
        assert await worker.health("live") == 200
        assert await worker.health("ready") == 503
    assert "s3cret" not in log.read_text()


@pytest.fixture
def secure_postgres() -> Iterator[EmbeddedPostgres]:
    try:
        with EmbeddedPostgres(fast=True, tls=True) as server:
            yield server
    except Unavailable as error:
        pytest.skip(f"needs a PostgreSQL built with OpenSSL: {error}")


def certify(subject: str, certificate: Path, key: Path, *more: str) -> None:
    """Make a key and a self-signed certificate."""
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "7",
        "-subj",
        subject,
        *more,
    ]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)


async def test_the_database_is_reached_over_tls_and_its_certificate_is_checked(
    secure_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    def settings(certificate: Path) -> Settings:
        query = f"sslmode=verify-full&sslrootcert={certificate}"
        return settings_for(f"{secure_postgres.url}?{query}", "none:9092", tmp_path, "none")

    engine = engine_of(settings(secure_postgres.certificate))
    async with engine.connect() as conn:
        assert await conn.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
    await engine.dispose()
    stranger = tmp_path / "stranger.crt"
    certify("/CN=127.0.0.1", stranger, tmp_path / "stranger.key")
    engine = engine_of(settings(stranger))
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        await engine.connect()
    await engine.dispose()
