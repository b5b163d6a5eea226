"""How a failed command ends: a sentence on what is wrong, advice, and an exit code."""

import logging
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from service.domain.errors import (
    BrokerAway,
    DatabaseAway,
    DatabaseUnfit,
    Environment,
    StoreAway,
    StoreRefuses,
    Transient,
    UploadError,
)
from service.jobs.failures import classify_failure
from service.settings import InvalidSettings

AWAY = 1
"""The exit code if something that the command needs does not answer, or refuses the command."""

WRONG = 2
"""The exit code if the command or a setting is wrong."""

_ADVICE: dict[type[UploadError], str] = {
    DatabaseAway: "Look whether PostgreSQL is up at UPLOADS_DATABASE__URL.",
    DatabaseUnfit: (
        "Look at the user and the database in UPLOADS_DATABASE__URL; "
        "`uploads migrate` makes the tables."
    ),
    BrokerAway: (
        "Look whether Kafka is up at UPLOADS_KAFKA__BOOTSTRAP_SERVERS, and takes this login."
    ),
    StoreAway: "Look whether the store of UPLOADS_STORAGE__ROOT is up.",
    StoreRefuses: "Look at UPLOADS_STORAGE__ROOT, and at the rights there.",
}


@dataclass(frozen=True, slots=True)
class CommandFailure:
    """The message and the exit code of a command that failed."""

    message: str
    exit_code: int


class LastKafkaMessage(logging.Handler):
    """A log handler that keeps the last message of aiokafka.

    aiokafka logs why it could not reach a broker, but its exceptions do not say it.
    """

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def explain(error: Exception, last_kafka_message: str = "") -> CommandFailure | None:
    """Return how the command ends with this error.

    None means that the error is unexpected, so its traceback is what helps.
    """
    match error:
        case InvalidSettings():
            return CommandFailure(
                f"The settings are not usable:\n{error}\nSee `.env.example` for all of them.", WRONG
            )
        case KafkaError():
            known: UploadError | None = BrokerAway(
                "said", said=last_kafka_message or type(error).__name__
            )
        # A timeout of our own has a message, but no `errno` as one of the operating system has.
        case TimeoutError() if error.errno is None and str(error):
            return CommandFailure(str(error), AWAY)
        case _:
            known = classify_failure(error)

    if known is None:
        return None
    advice = _ADVICE.get(type(known), "")
    code = AWAY if isinstance(known, (Transient, Environment)) else WRONG
    return CommandFailure(f"{known.message} {advice}".rstrip(), code)
