"""Every setting, with its unit and its default; read from the environment when asked, never at import.

Names are `UPLOADS_` and the path with `__` between: `UPLOADS_DATABASE__URL`, `UPLOADS_HTTP__PORT`.
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
    """The environment does not give usable settings; the message names each one and what was expected."""


def _scheme_of(*schemes: str) -> AfterValidator:
    def check(url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"must start with one of {', '.join(f'{s}://' for s in schemes)}")
        return url

    return AfterValidator(check)


def _rooted(url: str) -> str:
    if not url.startswith(("file:///", "s3://", "gs://", "az://")):
        raise ValueError("must be file:///a/directory, s3://bucket/prefix, gs://… or az://…")
    return url.rstrip("/")


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Group):
    """PostgreSQL, version 15 or later."""

    url: Annotated[SecretStr, _scheme_of("postgresql", "postgresql+asyncpg")] = Field(
        description="`postgresql://user:password@host:port/database`; `?sslmode=verify-full&sslrootcert=…` for TLS."
    )
    pool_size: PositiveInt = Field(10, description="Connections at most; a job uses one or two.")
    connect_timeout: PositiveFloat = Field(10.0, description="Seconds to wait for a connection.")
    lock_timeout: PositiveFloat = Field(
        120.0,
        description="Seconds a statement waits for another job's lock before the job is tried again.",
    )


class KafkaSettings(_Group):
    """The broker, the names of the topics and how patient the consumers are."""

    bootstrap_servers: str = Field(
        min_length=1, description="`host:port`, several separated by commas."
    )
    topic_prefix: str = Field(
        "uploads",
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="First part of every topic and group.",
    )
    partitions: PositiveInt = Field(
        12, description="Partitions of a topic that the service creates itself."
    )
    replication_factor: PositiveInt = Field(
        1, description="Replicas of a topic that the service creates itself."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to talk to the broker."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How to log in, where the protocol is one of SASL's."
    )
    sasl_username: str | None = Field(
        None, description="The user, where the protocol is one of SASL's."
    )
    sasl_password: SecretStr | None = Field(
        None, description="The password, where the protocol is one of SASL's."
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
        description="Seconds without a heartbeat after which the group gives the partitions to others.",
    )


class StorageSettings(_Group):
    """Where uploaded files lie, and which other places a job may name."""

    root: Annotated[str, AfterValidator(_rooted)] = Field(
        description="`file:///a/directory` or `s3://bucket/prefix`; files below it may be read, reject files go there."
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
        60.0, description="Seconds that a store may take to answer or to go on sending."
    )


class LimitSettings(_Group):
    """Caps; beyond them a job is parked as `too_large`, or `took_too_long`."""

    file_bytes: PositiveInt = Field(2**30, description="Bytes of a file as stored.")
    decompressed_bytes: PositiveInt = Field(2**30, description="Bytes of a file once decompressed.")
    compression_ratio: PositiveFloat = Field(
        200.0, description="Decompressed bytes for each compressed one."
    )
    rows: PositiveInt = Field(5_000_000, description="Data rows of a job.")
    columns: PositiveInt = Field(1_000, description="Columns of a header.")
    job_seconds: PositiveFloat = Field(900.0, description="Seconds that the longest job may take.")


class HttpSettings(_Group):
    """The port that answers `/health/…`, `/status` and `/metrics`."""

    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104 - a pod is probed from outside
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")


class LogSettings(_Group):
    """What is logged, and how it looks."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The least that is logged."
    )
    format: Literal["auto", "json", "text"] = Field(
        "auto", description="`auto` is text on a terminal, and JSON elsewhere."
    )


class RetrySettings(_Group):
    """How a job that met a passing failure is tried again, and when the service stops instead."""

    first_pause: PositiveFloat = Field(
        0.5, description="Seconds, before jitter; doubled with each try."
    )
    longest_pause: PositiveFloat = Field(8.0, description="Seconds that a pause grows to at most.")
    unexpected_tries: PositiveInt = Field(
        3, description="Tries before an unknown failure is parked."
    )
    probe_pause: PositiveFloat = Field(
        10.0, description="Seconds between two probes while the breaker is open."
    )
    guard_count: PositiveInt = Field(
        20, description="Dead letters within the window that are still believed."
    )
    guard_window: PositiveFloat = Field(
        600.0, description="Seconds that the dead-letter guard looks back."
    )


class AnnounceSettings(_Group):
    """Events: how often progress is told, and when a forgotten completion is swept up."""

    progress_interval: PositiveFloat = Field(
        1.0, description="Seconds between two progress events of a job."
    )
    sweep_interval: PositiveFloat = Field(
        15.0, description="Seconds between two looks for unannounced jobs."
    )
    sweep_after: NonNegativeFloat = Field(
        60.0, description="Seconds a finished job may stay unannounced."
    )
    event_source: str = Field(
        "/carbon-uploads", description="The CloudEvents `source` of every event."
    )


class _FromEnvironment(BaseSettings):
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
        """The settings of this process's environment (and `.env`). Raises `InvalidSettings`."""
        try:
            return cls()
        except ValidationError as error:
            # the offending value is left out: it may be a password
            lines = [
                f"{name}: {problem['msg']}"
                for problem in error.errors()
                for name in _names(cls, problem["loc"])
            ]
            raise InvalidSettings("\n".join(lines)) from None
        except SettingsError as error:
            raise InvalidSettings(f'{error}; a list is written as JSON, ["like", "this"]') from None


class Settings(_FromEnvironment):
    """All settings. Three are required: the database's URL, the bootstrap servers and the storage root."""

    database: DatabaseSettings
    kafka: KafkaSettings
    storage: StorageSettings
    limits: LimitSettings = LimitSettings()
    retry: RetrySettings = RetrySettings()
    announce: AnnounceSettings = AnnounceSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    shutdown_grace: PositiveFloat = Field(
        25.0, description="Seconds that the job in hand has to end after SIGTERM."
    )


class DatabaseOnly(_FromEnvironment):
    """What `uploads migrate` needs: the database alone."""

    database: DatabaseSettings


class CheckSettings(DatabaseOnly):
    """What `uploads check` needs: the database, and the caps that a job would meet."""

    limits: LimitSettings = LimitSettings()


class KafkaOnly(_FromEnvironment):
    """What `uploads watch` needs: the broker alone."""

    kafka: KafkaSettings


def variable(path: tuple[int | str, ...]) -> str:
    """The environment variable of a setting: `("http", "port")` is `UPLOADS_HTTP__PORT`."""
    return PREFIX + "__".join(str(part) for part in path).upper()


def _names(kind: type[BaseSettings], path: tuple[int | str, ...]) -> list[str]:
    """The variables that a problem is about: for a whole group that is missing, those it requires."""
    group = kind.model_fields[str(path[0])].annotation
    if len(path) > 1 or not (isinstance(group, type) and issubclass(group, BaseModel)):
        return [variable(path)]
    return [
        variable((*path, name)) for name, field in group.model_fields.items() if field.is_required()
    ]
