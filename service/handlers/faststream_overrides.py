"""Everything that we change in FastStream, with the reason for each change.

FastStream is made for handlers that take one message after the other, decoded by its content type,
and for which a lost message is a log line. Here a record may hold any bytes, and no record may be
lost. So four things are overridden. `tests/kafka/test_faststream_overrides.py` has two tests for
each: FastStream still behaves as the reason says, and the override still changes it. If an upgrade
makes the first test fail, the override can go.

1. `ReportEscapedException`: FastStream logs an exception that leaves a handler, and reads on.
2. `parse_any_record`: FastStream's parser fails for header values that are no text.
3. `keep_undecoded`: FastStream decodes the value by its content type before the handler sees it.
4. `AckPolicy.MANUAL` in `subscriptions`: FastStream would commit offsets by itself.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any

from aiokafka import ConsumerRecord
from faststream import BaseMiddleware, ContextRepo
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.prometheus import KafkaPrometheusMiddleware
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512
from prometheus_client import CollectorRegistry

from service.kafka.connection import connection_options, tls_context, uses_sasl, uses_tls
from service.settings import KafkaSettings

CLIENT_ID = "carbon-uploads"


class ReportEscapedException(BaseMiddleware):
    """Report an exception that left a handler.

    FastStream would log it and read on. The next commit would then cover a record that nobody
    handled, so the process must end before.
    """

    def __init__(
        self, msg: Any, /, *, context: ContextRepo, on_escape: Callable[[BaseException], None]
    ) -> None:
        super().__init__(msg, context=context)
        self._on_escape = on_escape

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool | None:
        if isinstance(exc_val, Exception):
            self._on_escape(exc_val)
        return await super().__aexit__(exc_type, exc_val, exc_tb)


async def parse_any_record(
    record: ConsumerRecord[Any, Any], original: Callable[[Any], Awaitable[Any]]
) -> Any:
    """Make FastStream's message of a record, whatever bytes its headers hold.

    The handler then gets the record as it was, and parks it if it must. FastStream alone would
    lose it before any handler sees it.
    """
    parsed = await original(_ReadableHeaders(record))
    parsed.raw_message = record
    return parsed


class _ReadableHeaders:
    """A record whose header values are text, for FastStream's parser alone."""

    def __init__(self, record: ConsumerRecord[Any, Any]) -> None:
        self._record = record
        self.headers = [(name, _as_text(value)) for name, value in record.headers]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)


def _as_text(value: bytes | None) -> bytes:
    return (value or b"").decode("utf-8", "replace").encode()


async def keep_undecoded(message: KafkaMessage) -> KafkaMessage:
    """Give the handler the whole message: `contract.messages.parse_job` alone reads the value."""
    return message


def consumer_broker(
    kafka: KafkaSettings,
    registry: CollectorRegistry,
    *,
    grace: float,
    on_escape: Callable[[BaseException], None],
) -> KafkaBroker:
    """Build FastStream's broker, for consuming alone: everything is sent through `Producer`.

    On shutdown it waits for the handlers for `grace` seconds. `on_escape` gets each exception that
    leaves a handler.
    """
    return KafkaBroker(
        connection_options(kafka)["bootstrap_servers"],
        security=_security(kafka),
        consumer_only=True,
        allow_auto_create_topics=False,
        graceful_timeout=grace,
        # Handlers take one argument: nothing has to be injected by its type.
        apply_types=False,
        logger=None,
        client_id=CLIENT_ID,
        middlewares=[
            partial(ReportEscapedException, on_escape=on_escape),
            KafkaPrometheusMiddleware(registry=registry),
        ],
    )


def _security(kafka: KafkaSettings) -> BaseSecurity | None:
    """The connection's security in FastStream's words; None for a plain connection."""
    tls = uses_tls(kafka)
    context = tls_context(kafka) if tls else None
    if uses_sasl(kafka):
        login = _SASL_LOGINS[kafka.sasl_mechanism]
        password = kafka.sasl_password.get_secret_value() if kafka.sasl_password else ""
        return login(kafka.sasl_username or "", password, ssl_context=context, use_ssl=tls)
    if tls:
        return BaseSecurity(ssl_context=context, use_ssl=True)
    return None


_SASL_LOGINS: dict[str, type[SASLPlaintext | SASLScram256 | SASLScram512]] = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}
