"""The places that hold files: a local directory, a bucket, https hosts. Each reads in its own way; all fail alike.

Where a file's own absence is told apart from the whole place's: the first parks one job (`FileGone`),
the second stops the service (`StoreRefuses`).
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

CHUNK = 2**20
"""Bytes read at a time; a store that is slower than one chunk per timeout counts as away."""

_NEVER_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


class StorageBackend(Protocol):
    """Where the files below the storage root lie."""

    def check(self, location: Location) -> None:
        """Raise `UrlRefused` where the path leads out of the root."""

    def read(self, location: Location) -> AsyncGenerator[bytes, None]:
        """The file's bytes, in chunks of about `CHUNK`."""

    async def size(self, location: Location) -> int:
        """The file's bytes as stored, without reading them."""

    async def write(self, location: Location, source: Path) -> None:
        """Store a local file, whole or not at all, over what was there."""


class DirectoryBackend:
    """A local directory, read as plain files: obstore reads 8 KiB at a time, and takes ten times as long."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def check(self, location: Location) -> None:
        with self._telling(location):
            root = os.path.realpath(self._root)
            target = os.path.realpath(self._root / location.path)
        if os.path.commonpath((root, target)) != root:
            raise UrlRefused("symbolic_link")

    async def read(self, location: Location) -> AsyncGenerator[bytes, None]:
        with self._telling(location):
            file, chunk = await asyncio.to_thread(self._open, location.path)
            try:
                while chunk:
                    yield chunk
                    chunk = b"" if file.closed else await asyncio.to_thread(file.read, CHUNK)
            finally:
                if not file.closed:
                    await asyncio.to_thread(file.close)

    async def size(self, location: Location) -> int:
        with self._telling(location):
            return await asyncio.to_thread(lambda: self._regular(location.path).st_size)

    async def write(self, location: Location, source: Path) -> None:
        with self._telling(location):
            await asyncio.to_thread(self._copy, source, self._root / location.path)

    def _open(self, path: str) -> tuple[BinaryIO, bytes]:
        """A file and its first chunk; where that is all, the file is closed: most are small, and a thread is dear."""
        self._regular(path)
        file = (self._root / path).open("rb")
        chunk = file.read(CHUNK)
        if len(chunk) < CHUNK:
            file.close()
        return file, chunk

    def _regular(self, path: str) -> os.stat_result:
        found = (self._root / path).stat()
        if not stat.S_ISREG(found.st_mode):  # a named pipe would block its reader for ever
            raise UrlRefused("not_a_file")
        return found

    def _copy(self, source: Path, target: Path) -> None:
        self._root.stat()  # a root that is not mounted must not come into being here
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{uuid4()}.part")
        try:
            shutil.copyfile(source, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _telling(self, location: Location) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            known = {"url": location.url, "reason": str(error.strerror)}
            if error.errno in _NEVER_THERE and self._root.is_dir():
                raise FileGone("reason", **known) from None
            if error.errno in DISK_FULL:
                raise DiskFull("reason", **known) from None
            if error.errno in _NEVER_THERE | {errno.EACCES, errno.EPERM, errno.EROFS}:
                raise StoreRefuses("reason", **known) from None
            raise StoreAway("reason", **known) from None


class BucketBackend:
    """A bucket of an object store, or a prefix in one; `path` counts from there."""

    def __init__(self, objects: "ObjectStore") -> None:
        self._objects = objects

    @classmethod
    def of(cls, settings: StorageSettings) -> Self:
        """The bucket that the settings' root names; its credentials are the settings' or the environment's."""
        pause = timedelta(seconds=settings.timeout)
        client: ClientConfig = {
            "timeout": timedelta(
                days=1
            ),  # the default of 30 s for a whole file would cut off a large one
            "read_timeout": pause,
            "connect_timeout": pause,
            "allow_http": (settings.s3_endpoint or "").startswith("http://"),
        }
        retry: RetryConfig = {"max_retries": 3, "retry_timeout": pause}
        config = _s3(settings) if settings.root.startswith("s3://") else None
        return cls(
            from_url(settings.root, config=config, client_options=client, retry_config=retry)
        )

    def check(self, location: Location) -> None:
        """Nothing to check: an object's key is a name, and has no links."""

    async def read(self, location: Location) -> AsyncGenerator[bytes, None]:
        with _telling_of_objects(location):
            found = await obstore.get_async(self._objects, location.path)
            async for chunk in found.stream(CHUNK):
                yield chunk

    async def size(self, location: Location) -> int:
        with _telling_of_objects(location):
            return (await obstore.head_async(self._objects, location.path))["size"]

    async def write(self, location: Location, source: Path) -> None:
        with _telling_of_objects(location):
            await obstore.put_async(self._objects, location.path, source, max_concurrency=2)


def _s3(settings: StorageSettings) -> "S3Config":
    secret = settings.s3_secret_access_key
    named = {
        "endpoint": settings.s3_endpoint,
        "region": settings.s3_region,
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": None if secret is None else secret.get_secret_value(),
    }
    return {name: value for name, value in named.items() if value is not None}  # type: ignore[return-value]


@contextmanager
def _telling_of_objects(location: Location) -> Iterator[None]:
    """Name obstore's errors; of their text only the first words, the rest may quote a signed request."""
    try:
        yield
    except FileNotFoundError as error:
        if "<Code>NoSuchBucket</Code>" in str(error):
            raise StoreRefuses("no_bucket", url=location.url) from None
        raise FileGone("at", url=location.url) from None
    except (PermissionError, PermissionDeniedError, UnauthenticatedError):
        raise StoreRefuses("permission_denied", url=location.url) from None
    except (BaseError, OSError) as error:
        raise StoreAway("reason", url=location.url, reason=_first_words(error)) from None


def _first_words(error: Exception) -> str:
    """`Server returned non-2xx status code: 503 Service Unavailable`, without the request and the answer's body."""
    line = str(error).partition("\n")[0].partition("<")[0]
    return line.rpartition(" - ")[2].rstrip(": .")[:200]
