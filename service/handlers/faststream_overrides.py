"""What of FastStream is overridden, and why."""

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

from service.kafka.connection import connection_options, ssl_context
from service.settings import KafkaSettings


class ReportEscapedException(BaseMiddleware):
    """Tells of an exception that left a handler, for FastStream would swallow it and read on.

    The next commit would then cover a record that nobody handled: the process must end before.
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


def consumer_broker(
    kafka: KafkaSettings,
    registry: CollectorRegistry,
    *,
    grace: float,
    on_escape: Callable[[BaseException], None],
) -> KafkaBroker:
    """FastStream's broker, for consuming alone: what is sent goes through `Producer`."""
    return KafkaBroker(
        connection_options(kafka)["bootstrap_servers"],
        security=_security(kafka),
        consumer_only=True,
        allow_auto_create_topics=False,
        graceful_timeout=grace,
        apply_types=False,
        logger=None,
        client_id="carbon-uploads",
        middlewares=[
            partial(ReportEscapedException, on_escape=on_escape),
            KafkaPrometheusMiddleware(registry=registry),
        ],
    )


def _security(kafka: KafkaSettings) -> BaseSecurity | None:
    use_ssl = kafka.security_protocol in {"SSL", "SASL_SSL"}
    context = ssl_context(kafka) if use_ssl else None
    if not kafka.security_protocol.startswith("SASL"):
        return BaseSecurity(ssl_context=context, use_ssl=True) if use_ssl else None
    login = _LOGINS[kafka.sasl_mechanism]
    password = kafka.sasl_password.get_secret_value() if kafka.sasl_password else ""
    return login(kafka.sasl_username or "", password, ssl_context=context, use_ssl=use_ssl)


_LOGINS: dict[str, type[SASLPlaintext | SASLScram256 | SASLScram512]] = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}


async def parse_any_record(
    record: ConsumerRecord[Any, Any], original: Callable[[Any], Awaitable[Any]]
) -> Any:
    """A message of any record: headers that are no text must not keep it from the handler, which parks it."""
    parsed = await original(_Readable(record))
    parsed.raw_message = record
    return parsed


class _Readable:
    """A record as FastStream's parser can read it, whatever its headers hold."""

    def __init__(self, record: ConsumerRecord[Any, Any]) -> None:
        self._record = record
        self.headers = [
            (name, (value or b"").decode("utf-8", "replace").encode())
            for name, value in record.headers
        ]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)


async def keep_undecoded(message: KafkaMessage) -> KafkaMessage:
    """What a handler is given: the message whole, for its meaning is decided in `messages.parse`."""
    return message
