"""How every Kafka client of the service reaches the broker."""

import ssl
from typing import Any

from service.settings import InvalidSettings, KafkaSettings


def connection_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the options with which any aiokafka client connects. Raises `InvalidSettings`."""
    options: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in kafka.bootstrap_servers.split(",")],
        "security_protocol": kafka.security_protocol,
    }
    if uses_tls(kafka):
        options["ssl_context"] = tls_context(kafka)
    if uses_sasl(kafka):
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": None,
        }
        if kafka.sasl_password is not None:
            options["sasl_plain_password"] = kafka.sasl_password.get_secret_value()
    return options


def uses_tls(kafka: KafkaSettings) -> bool:
    """Return True if the connection is encrypted."""
    return kafka.security_protocol in {"SSL", "SASL_SSL"}


def uses_sasl(kafka: KafkaSettings) -> bool:
    """Return True if the connection logs in with a user and a password."""
    return kafka.security_protocol.startswith("SASL")


def tls_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """Build the TLS context of the settings. Raises `InvalidSettings` if a file is not usable."""
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_cafile)
        if kafka.ssl_certfile:
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile)
    except OSError as error:
        raise InvalidSettings(
            "UPLOADS_KAFKA__SSL_CAFILE, …_CERTFILE, …_KEYFILE: "
            f"expected readable PEM files ({error})"
        ) from None
    return context
