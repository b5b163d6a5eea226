"""A file on this machine: what a claim check says of it, and a store that holds nothing else."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from service.files.backends import CHUNK
from service.files.https import HttpsHosts
from service.files.store import FileStore
from service.files.urls import Location

URL = "file:///local/file"
"""What the one file of a `local_store` is called there, whatever its path is."""

_ENCODINGS = {".gz": "gzip", ".zst": "zstd"}
_READ_SECONDS = 60.0


def claim_check_of(path: Path, url: str) -> dict[str, Any]:
    """The claim check of a file that lies, or will lie, at `url`: its size and sha256, and how it is compressed."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    encoding = _ENCODINGS.get(path.suffix.lower())
    return {"url": url, "size": size, "sha256": sha256} | (
        {"content_encoding": encoding} if encoding else {}
    )


def local_store(path: Path) -> FileStore:
    """A store in which this file is at `URL`; nothing else is in it, and nothing can be written to it."""
    return FileStore(
        URL.rpartition("/")[0],
        _OneFile(path),
        HttpsHosts((), timeout=_READ_SECONDS),
        timeout=_READ_SECONDS,
    )


class _OneFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self, location: Location) -> None:
        """Whoever runs the command chose the file."""

    async def read(self, _location: Location) -> AsyncGenerator[bytes, None]:
        with self._path.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                yield chunk

    async def size(self, _location: Location) -> int:
        return self._path.stat().st_size

    async def write(self, location: Location, source: Path) -> None:
        raise NotImplementedError(
            f"{source} was to be written to {location.url}: checking writes nothing"
        )
