"""The storage backends: a local directory, or a bucket of an object store.

Both raise the same errors. A missing file parks one job (`FileGone`). A missing root directory or
bucket would make every job fail, so it stops the service (`StoreRefuses`).
"""

import asyncio
import errno
import os
import shutil
import stat
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import from_url

from service.domain.errors import DiskFull, FileGone, StoreAway, StoreRefuses, UrlRefused
from service.files.urls import Location
from service.settings import StorageSettings

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Config

READ_BYTES = 2**20
"""Bytes that are read at a time. A store that needs longer than the timeout for them is away."""

_NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


class StorageBackend(Protocol):
    """Reads and writes the files below the storage root."""

    def check(self, location: Location) -> None:
        """Raise `UrlRefused` if the path leads out of the root."""

    def read(self, location: Location) -> AsyncGenerator[bytes, None]:
        """Read the file's bytes, in chunks of about `READ_BYTES` bytes."""

    async def size(self, location: Location) -> int:
        """The file's size as stored, in bytes."""

    async def write(self, location: Location, local_file: Path) -> None:
        """Store a local file, as a whole or not at all; replace an older file."""


class DirectoryBackend:
    """A local directory.

    The files are read directly: obstore reads a local file 8 KiB at a time, and takes ten times as
    long.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def check(self, location: Location) -> None:
        with self._translate_os_errors(location):
            root = os.path.realpath(self._root)
            target = os.path.realpath(self._root / location.path)
        if os.path.commonpath((root, target)) != root:
            raise UrlRefused("symbolic_link")

    async def read(self, location: Location) -> AsyncGenerator[bytes, None]:
        with self._translate_os_errors(location):
            chunk, file = await asyncio.to_thread(self._read_first_chunk, location.path)
            if file is None:
                if chunk:
                    yield chunk
                return

            try:
                while chunk:
                    yield chunk
                    chunk = await asyncio.to_thread(file.read, READ_BYTES)
            finally:
                await asyncio.to_thread(file.close)

    async def size(self, location: Location) -> int:
        with self._translate_os_errors(location):
            found = await asyncio.to_thread(self._stat_file, location.path)
            return found.st_size

    async def write(self, location: Location, local_file: Path) -> None:
        with self._translate_os_errors(location):
            await asyncio.to_thread(self._copy, local_file, self._root / location.path)

    def _read_first_chunk(self, path: str) -> tuple[bytes, BinaryIO | None]:
        """The first chunk of a file, and the open file; None if the chunk is the whole file.

        Most files are small. For them one call in a thread is enough, instead of one each to open,
        read and close.
        """
        self._stat_file(path)
        file = (self._root / path).open("rb")
        chunk = file.read(READ_BYTES)
        if len(chunk) < READ_BYTES:
            file.close()
            return chunk, None
        return chunk, file

    def _stat_file(self, path: str) -> os.stat_result:
        found = (self._root / path).stat()
        # Opening a named pipe would block for ever, so only regular files are accepted.
        if not stat.S_ISREG(found.st_mode):
            raise UrlRefused("not_a_file")
        return found

    def _copy(self, local_file: Path, target: Path) -> None:
        # Fail if the root does not exist: it may be a volume that is not mounted, and `mkdir` below
        # would create it on the wrong disk.
        self._root.stat()
        target.parent.mkdir(parents=True, exist_ok=True)

        # A rename is atomic, so no reader ever sees a part of the file.
        part = target.with_name(f".{uuid4()}.part")
        try:
            shutil.copyfile(local_file, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _translate_os_errors(self, location: Location) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            values = {"url": location.url, "reason": str(error.strerror)}
            if error.errno in _NO_SUCH_FILE and self._root.is_dir():
                raise FileGone("reason", **values) from None
            if error.errno in DISK_FULL:
                raise DiskFull("reason", **values) from None
            if error.errno in _NO_SUCH_FILE | _NO_PERMISSION:
                raise StoreRefuses("reason", **values) from None
            raise StoreAway("reason", **values) from None


class BucketBackend:
    """A bucket of an object store, or a prefix in a bucket. Paths are relative to it."""

    def __init__(self, objects: "ObjectStore") -> None:
        self._objects = objects

    @classmethod
    def of(cls, settings: StorageSettings) -> Self:
        """The bucket of the storage root.

        Its credentials come from the settings, or else from the usual variables of the environment.
        """
        timeout = timedelta(seconds=settings.timeout)
        client: ClientConfig = {
            # For a whole request. The default of 30 s would cut off the download of a large file.
            "timeout": timedelta(days=1),
            "read_timeout": timeout,
            "connect_timeout": timeout,
            "allow_http": (settings.s3_endpoint or "").startswith("http://"),
        }
        retry: RetryConfig = {"max_retries": 3, "retry_timeout": timeout}

        config = _s3_config(settings) if settings.root.startswith("s3://") else None
        objects = from_url(settings.root, config=config, client_options=client, retry_config=retry)
        return cls(objects)

    def check(self, location: Location) -> None:
        """Accept every path: an object store has no symbolic links."""

    async def read(self, location: Location) -> AsyncGenerator[bytes, None]:
        with _translate_store_errors(location):
            found = await obstore.get_async(self._objects, location.path)
            async for chunk in found.stream(READ_BYTES):
                yield chunk

    async def size(self, location: Location) -> int:
        with _translate_store_errors(location):
            found = await obstore.head_async(self._objects, location.path)
            return found["size"]

    async def write(self, location: Location, local_file: Path) -> None:
        with _translate_store_errors(location):
            await obstore.put_async(self._objects, location.path, local_file, max_concurrency=2)


def _s3_config(settings: StorageSettings) -> "S3Config":
    """The settings of S3 that are given; obstore takes the others from the environment."""
    config: S3Config = {}
    if settings.s3_endpoint is not None:
        config["endpoint"] = settings.s3_endpoint
    if settings.s3_region is not None:
        config["region"] = settings.s3_region
    if settings.s3_access_key_id is not None:
        config["access_key_id"] = settings.s3_access_key_id
    if settings.s3_secret_access_key is not None:
        config["secret_access_key"] = settings.s3_secret_access_key.get_secret_value()
    return config


@contextmanager
def _translate_store_errors(location: Location) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        # obstore raises the same class for a missing object and for a missing bucket.
        if "<Code>NoSuchBucket</Code>" in str(error):
            raise StoreRefuses("no_bucket", url=location.url) from None
        raise FileGone("at", url=location.url) from None
    except (PermissionError, PermissionDeniedError, UnauthenticatedError):
        raise StoreRefuses("permission_denied", url=location.url) from None
    except (BaseError, OSError) as error:
        raise StoreAway("reason", url=location.url, reason=_reason_without_request(error)) from None


def _reason_without_request(error: Exception) -> str:
    """The part of obstore's message that says what is wrong.

    For example `Server returned non-2xx status code: 503 Service Unavailable`. The rest may quote
    the request with its signature, or the body of the response.
    """
    line = str(error).partition("\n")[0].partition("<")[0]
    return line.rpartition(" - ")[2].rstrip(": .")[:200]
