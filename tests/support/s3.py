"""An S3-compatible server on 127.0.0.1, without Docker: moto's, which keeps objects in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest

from service.settings import StorageSettings

REGION = "eu-central-1"
_LOCATION = (
    "<CreateBucketConfiguration>"
    f"<LocationConstraint>{REGION}</LocationConstraint>"
    "</CreateBucketConfiguration>"
)


@contextmanager
def s3_server() -> Iterator[str]:
    """Run a server; yield its endpoint."""
    moto = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def make_bucket(endpoint: str, bucket: str) -> None:
    """Create an empty bucket."""
    with urlopen(Request(f"{endpoint}/{bucket}", method="PUT", data=_LOCATION.encode())):
        pass


def s3_settings(endpoint: str, root: str, timeout: float = 10.0) -> StorageSettings:
    """Storage settings for a bucket at this endpoint.

    The credentials are made up: with them, the client does not look for others.
    """
    return StorageSettings(
        root=root,
        s3_endpoint=endpoint,
        s3_region=REGION,
        s3_access_key_id="planted-key-id",
        s3_secret_access_key="planted-secret-key",
        timeout=timeout,
    )
