"""A file on this machine: its claim check, and a file store that has only this file.

The commands use it, so that they check a local file with the same code as the worker.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from service.files.backends import READ_BYTES
from service.files.https import HttpsHosts
from service.files.store import FileStore
from service.files.urls import Location

LOCAL_FILE_URL = "file:///local/file"
"""The URL of the file in a `local_store`. It does not depend on the file's path."""

_ENCODINGS = {".gz": "gzip", ".zst": "zstd"}
_READ_SECONDS = 60.0


def claim_check_of(path: Path, url: str) -> dict[str, Any]:
    """The claim check of a local file that is, or will be, stored at `url`.

    The result has the fields of `FileClaim`. `content_encoding` follows from the suffix `.gz` or
    `.zst`. The whole file is read for its sha256, so call this in a thread.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()

    claim_check: dict[str, Any] = {"url": url, "size": size, "sha256": sha256}
    encoding = _ENCODINGS.get(path.suffix.lower())
    if encoding is not None:
        claim_check["content_encoding"] = encoding
    return claim_check


def local_store(path: Path) -> FileStore:
    """A file store that has only this file, at `LOCAL_FILE_URL`. Nothing can be written to it."""
    return FileStore(
        LOCAL_FILE_URL.rpartition("/")[0],
        _SingleFileBackend(path),
        HttpsHosts((), timeout=_READ_SECONDS),
        timeout=_READ_SECONDS,
    )


class _SingleFileBackend:
    """A `StorageBackend` that ignores the location, and always reads the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self, location: Location) -> None:
        """Accept every location: the person who runs the command has chosen the file."""

    async def read(self, _location: Location) -> AsyncGenerator[bytes, None]:
        with self._path.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, READ_BYTES):
                yield chunk

    async def size(self, _location: Location) -> int:
        return self._path.stat().st_size

    async def write(self, location: Location, local_file: Path) -> None:
        raise NotImplementedError(
            f"{local_file} was to be written to {location.url}: checking writes nothing"
        )
