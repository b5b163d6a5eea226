"""All settings, with their units and defaults.

They are read from the environment when a command starts, never when this module is imported. The
environment variable of a setting is `UPLOADS_`, its group, `__` and its name:
`UPLOADS_DATABASE__URL`, `UPLOADS_HTTP__PORT`.
"""

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

PREFIX = "UPLOADS_"


class InvalidSettings(ValueError):
    """Settings are missing or wrong.

    The message has a line for each of them: the environment variable, and what was expected.
    """


def _must_start_with(*prefixes: str) -> AfterValidator:
    def check(url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(prefixes):
            raise ValueError(f"must start with one of {', '.join(prefixes)}")
        return url

    return AfterValidator(check)


def _check_root_url(url: str) -> str:
    if not url.startswith(("file:///", "s3://", "gs://", "az://")):
        raise ValueError("must be file:///a/directory, s3://bucket/prefix, gs://… or az://…")
    return url.rstrip("/")


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Group):
    """PostgreSQL, version 15 or later."""

    url: Annotated[SecretStr, _must_start_with("postgresql://", "postgresql+asyncpg://")] = Field(
        description=(
            "`postgresql://user:password@host:port/database`; "
            "`?sslmode=verify-full&sslrootcert=…` for TLS."
        )
    )
    pool_size: PositiveInt = Field(
        10, description="The most connections to the database; a job uses one or two."
    )
    connect_timeout: PositiveFloat = Field(10.0, description="Seconds to wait for a connection.")
    lock_timeout: PositiveFloat = Field(
        120.0,
        description=(
            "Seconds that a statement waits for another job's lock; then the job is tried again."
        ),
    )


class KafkaSettings(_Group):
    """How to connect to Kafka, and the names of the topics."""

    bootstrap_servers: str = Field(
        min_length=1, description="`host:port`, several separated by commas."
    )
    topic_prefix: str = Field(
        "uploads",
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="The first part of the name of every topic and consumer group.",
    )
    partitions: PositiveInt = Field(
        12, description="Partitions of each topic that the service creates."
    )
    replication_factor: PositiveInt = Field(
        1, description="Replicas of each topic that the service creates."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="The protocol of the connection to the broker."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How to log in, if the protocol is `SASL_…`."
    )
    sasl_username: str | None = Field(None, description="The user, if the protocol is `SASL_…`.")
    sasl_password: SecretStr | None = Field(
        None, description="The password, if the protocol is `SASL_…`."
    )
    ssl_cafile: str | None = Field(
        None, description="The CA's certificates (PEM); default: the system's."
    )
    ssl_certfile: str | None = Field(
        None, description="The client's certificate (PEM), for mutual TLS."
    )
    ssl_keyfile: str | None = Field(None, description="The client's key (PEM), for mutual TLS.")
    session_timeout: PositiveFloat = Field(
        10.0,
        description=(
            "Seconds without a heartbeat after which Kafka gives a worker's partitions to others."
        ),
    )


class StorageSettings(_Group):
    """Where uploaded files are stored, and from which other hosts a job may read a file."""

    root: Annotated[str, AfterValidator(_check_root_url)] = Field(
        description=(
            "`file:///a/directory` or `s3://bucket/prefix`; "
            "jobs may read files below it, and reject files are written there."
        )
    )
    https_hosts: tuple[str, ...] = Field(
        (), description="Hosts, or host:port, that `https://` files may come from (a JSON list)."
    )
    s3_endpoint: str | None = Field(None, description="The endpoint of an S3-compatible store.")
    s3_region: str | None = Field(None, description="The region of the bucket.")
    s3_access_key_id: str | None = Field(
        None, description="Default: the usual AWS credential chain."
    )
    s3_secret_access_key: SecretStr | None = Field(
        None, description="Default: the usual AWS credential chain."
    )
    timeout: PositiveFloat = Field(
        60.0, description="Seconds that a store may take to answer, or to send 1 MiB of a file."
    )


class LimitSettings(_Group):
    """Limits of a job; if it exceeds one, it is parked as `too_large` or `took_too_long`."""

    file_bytes: PositiveInt = Field(2**30, description="The most bytes of a file as stored.")
    decompressed_bytes: PositiveInt = Field(
        2**30, description="The most bytes of a file after decompression."
    )
    compression_ratio: PositiveFloat = Field(
        200.0, description="The most decompressed bytes for each compressed byte."
    )
    rows: PositiveInt = Field(5_000_000, description="The most data rows of a job.")
    columns: PositiveInt = Field(1_000, description="The most columns of a header.")
    job_seconds: PositiveFloat = Field(900.0, description="The most seconds that a job may take.")


class HttpSettings(_Group):
    """The port that answers `/health/…`, `/status` and `/metrics`."""

    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104 - a pod is probed from outside
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")


class LogSettings(_Group):
    """What is logged, and in which format."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The lowest level that is logged."
    )
    format: Literal["auto", "json", "text"] = Field(
        "auto", description="`auto` is text on a terminal, and JSON elsewhere."
    )


class RetrySettings(_Group):
    """How a job is tried again after a temporary failure, and when the service stops instead."""

    first_pause: PositiveFloat = Field(
        0.5,
        description="Seconds before the second try, doubled with each try; jitter shortens them.",
    )
    longest_pause: PositiveFloat = Field(8.0, description="The most seconds between two tries.")
    unexpected_tries: PositiveInt = Field(
        3, description="How often a job with an unknown error is tried before it is parked."
    )
    probe_pause: PositiveFloat = Field(
        10.0, description="Seconds between two probes while the breaker is open."
    )
    guard_count: PositiveInt = Field(
        20, description="The guard stops all parking when its window holds so many dead letters."
    )
    guard_window: PositiveFloat = Field(
        600.0, description="Seconds that the guard's window of dead letters reaches back."
    )


class AnnounceSettings(_Group):
    """Events: how often progress is sent, and when a missing completion event is sent again."""

    progress_interval: PositiveFloat = Field(
        1.0, description="Seconds between two progress events of a job."
    )
    sweep_interval: PositiveFloat = Field(
        15.0, description="Seconds between two searches for finished jobs without their event."
    )
    sweep_after: NonNegativeFloat = Field(
        60.0, description="Seconds after the end of a job after which a search sends its event."
    )
    event_source: str = Field(
        "/carbon-uploads", description="The CloudEvents `source` of every event."
    )


class _EnvironmentSettings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    @classmethod
    def read(cls) -> Self:
        """Read the settings from the environment and from `.env`. Raises `InvalidSettings`."""
        try:
            return cls()
        except ValidationError as error:
            # The message must not quote the wrong value: it may be a password.
            lines = []
            for problem in error.errors():
                names = _variables_of(cls, problem["loc"])
                lines += [f"{name}: {problem['msg']}" for name in names]
            raise InvalidSettings("\n".join(lines)) from None
        except SettingsError as error:
            raise InvalidSettings(f'{error}; a list is written as JSON, ["like", "this"]') from None


class Settings(_EnvironmentSettings):
    """All settings of the worker.

    Three are required: the database's URL, the bootstrap servers and the storage root.
    """

    database: DatabaseSettings
    kafka: KafkaSettings
    storage: StorageSettings
    limits: LimitSettings = LimitSettings()
    retry: RetrySettings = RetrySettings()
    announce: AnnounceSettings = AnnounceSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    shutdown_grace: PositiveFloat = Field(
        25.0, description="Seconds that the running job has to finish after SIGTERM."
    )


class DatabaseOnly(_EnvironmentSettings):
    """The settings that `uploads migrate` needs: only the database."""

    database: DatabaseSettings


class CheckSettings(DatabaseOnly):
    """The settings that `uploads check` needs: the database, and the limits of a job."""

    limits: LimitSettings = LimitSettings()


class KafkaOnly(_EnvironmentSettings):
    """The settings that `uploads watch` needs: only Kafka."""

    kafka: KafkaSettings


def variable(path: tuple[int | str, ...]) -> str:
    """The environment variable of a setting: `("http", "port")` gives `UPLOADS_HTTP__PORT`."""
    return PREFIX + "__".join(str(part) for part in path).upper()


def _variables_of(settings: type[BaseSettings], path: tuple[int | str, ...]) -> list[str]:
    """The environment variables that a problem at this path is about.

    If a whole group is missing, these are the required variables of the group.
    """
    group = settings.model_fields[str(path[0])].annotation
    if len(path) == 1 and isinstance(group, type) and issubclass(group, BaseModel):
        required = [name for name, field in group.model_fields.items() if field.is_required()]
        return [variable((*path, name)) for name in required]
    return [variable(path)]
