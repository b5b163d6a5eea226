"""What a person is told when a command fails: one sentence on what is wrong and what to do, and an exit code."""

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
"""The exit code when something that the command needs does not answer, or refuses it."""

WRONG = 2
"""The exit code when what was asked for, or a setting, is wrong."""

_ADVICE: dict[type[UploadError], str] = {
    DatabaseAway: "Look whether PostgreSQL is up at UPLOADS_DATABASE__URL.",
    DatabaseUnfit: "Look at the user and the database in UPLOADS_DATABASE__URL; `uploads migrate` makes the tables.",
    BrokerAway: "Look whether Kafka is up at UPLOADS_KAFKA__BOOTSTRAP_SERVERS, and takes this login.",
    StoreAway: "Look whether the store of UPLOADS_STORAGE__ROOT is up.",
    StoreRefuses: "Look at UPLOADS_STORAGE__ROOT, and at the rights there.",
}


@dataclass(frozen=True, slots=True)
class CommandFailure:
    """How a command ends that could not do its work."""

    message: str
    exit_code: int


class LastKafkaMessage(logging.Handler):
    """Keeps the last thing that aiokafka said, whose exceptions do not tell why no broker was reached."""

    said = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.said = record.getMessage()


def explain(error: Exception, kafka_said: str = "") -> CommandFailure | None:
    """The failure that an exception stands for; None where it is a mistake of ours, and a traceback helps."""
    match error:
        case InvalidSettings():
            return CommandFailure(
                f"The settings are not usable:\n{error}\nSee `.env.example` for all of them.", WRONG
            )
        case KafkaError():
            known: UploadError | None = BrokerAway("said", said=kafka_said or type(error).__name__)
        case TimeoutError() if error.errno is None and str(error):
            return CommandFailure(str(error), AWAY)
        case _:
            known = classify_failure(error)
    if known is None:
        return None
    advice = _ADVICE.get(type(known), "")
    code = AWAY if isinstance(known, (Transient, Environment)) else WRONG
    return CommandFailure(f"{known.message} {advice}".rstrip(), code)
