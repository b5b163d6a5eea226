"""How any Kafka client of the service reaches the broker."""

import ssl
from typing import Any

from service.settings import InvalidSettings, KafkaSettings


def connection_options(kafka: KafkaSettings) -> dict[str, Any]:
    """How any aiokafka client reaches the broker."""
    options: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in kafka.bootstrap_servers.split(",")],
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol in {"SSL", "SASL_SSL"}:
        options["ssl_context"] = ssl_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        password = kafka.sasl_password
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": password and password.get_secret_value(),
        }
    return options


def ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """The TLS that the settings ask for. Raises `InvalidSettings` where a file is no usable one."""
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_cafile)
        if kafka.ssl_certfile:
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile)
    except OSError as error:
        raise InvalidSettings(
            f"UPLOADS_KAFKA__SSL_CAFILE, …_CERTFILE, …_KEYFILE: expected readable PEM files ({error})"
        ) from None
    return context
