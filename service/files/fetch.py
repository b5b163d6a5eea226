"""Fetch a file to the local disk, and check that it is the one that its claim check describes."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from service.domain.errors import (
    DiskFull,
    FileExpired,
    Refusal,
    TooLarge,
    UploadError,
    WrongChecksum,
    WrongSize,
)
from service.domain.model import ClaimCheck
from service.files.backends import DISK_FULL
from service.files.decompress import decompressor
from service.files.encodings import Utf8Check
from service.files.store import FileStore
from service.files.urls import Location
from service.settings import LimitSettings

_SMALL_CHUNK = 2**16
"""A chunk of fewer bytes is processed on the event loop, because a thread switch would take longer.

This holds for plain files only: a small compressed chunk may become large.
"""


@dataclass(frozen=True, slots=True)
class Spool:
    """A fetched file on the local disk, checked and decompressed. `size` is in bytes."""

    path: Path
    size: int


@asynccontextmanager
async def fetch_file(
    file: ClaimCheck,
    store: FileStore,
    limits: LimitSettings,
    *,
    directory: Path,
    now: datetime,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> AsyncGenerator[Spool, None]:
    """Fetch a job's file to a spool in `directory`, and check it.

    The spool is deleted when the context ends, with or without an error. `on_bytes` gets the number
    of stored bytes that have arrived so far.

    Raises `FileExpired`, `UrlRefused`, `TooLarge`, `WrongSize`, `WrongChecksum`,
    `BadContentEncoding`, `Refusal` (empty_file, not_utf8), `DiskFull` and the errors of
    `FileStore.read`. If both the claim check and the content are wrong, the error is about the
    claim check.
    """
    location = await locate_file(file, store, limits, now)
    with _translate_full_disk(directory), _open_spool(directory / "spool.csv") as spool:
        writer = _SpoolWriter(file, limits, spool)
        async with aclosing(store.read(location)) as chunks:
            async for chunk in chunks:
                on_bytes(await writer.write(chunk))
        yield Spool(Path(spool.name), writer.finish())


async def locate_file(
    file: ClaimCheck, store: FileStore, limits: LimitSettings, now: datetime
) -> Location:
    """The location of a file, after all checks that need no byte of it.

    Raises `FileExpired`, `UrlRefused` and `TooLarge`.
    """
    if file.expires_at is not None and now > file.expires_at:
        raise FileExpired("since", expires_at=file.expires_at.isoformat())

    location = await asyncio.to_thread(store.resolve, file.url)

    if file.size > limits.file_bytes:
        raise TooLarge("file", size=file.size, most=limits.file_bytes)
    return location


@contextmanager
def _open_spool(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("wb") as spool:
            yield spool
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _translate_full_disk(directory: Path) -> Iterator[None]:
    """Raise `DiskFull` for the system's errors of a full disk.

    The body of the caller's `async with` is inside too: it may write more files to `directory`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DiskFull(
                "directory", directory=str(directory), reason=str(error.strerror)
            ) from None
        raise


class _SpoolWriter:
    """Writes the chunks of a file to the spool.

    The stored bytes are counted and hashed, then decompressed, checked for UTF-8 and written.

    The first error in the content is kept, and raised only after all bytes have arrived and the
    checksum is right. If the checksum is wrong, the file was changed after its submission: this is
    the cause that the submitter needs to know, not what the changed bytes look like.
    """

    def __init__(self, file: ClaimCheck, limits: LimitSettings, spool: IO[bytes]) -> None:
        self._file = file
        self._max_size = _max_spool_size(file, limits)
        self._spool = spool
        self._sha256 = hashlib.sha256()
        self._decompressor = decompressor(file.content_encoding)
        self._utf8 = Utf8Check()
        self._stored = 0
        self._size = 0
        self._content_error: UploadError | None = None

    async def write(self, chunk: bytes) -> int:
        """Take the next chunk, and return how many stored bytes have arrived so far.

        Raises `WrongSize` if they are more than the claim check says.
        """
        self._stored += len(chunk)
        if self._stored > self._file.size:
            raise WrongSize("longer", stated=self._file.size)

        if len(chunk) < _SMALL_CHUNK and self._file.content_encoding is None:
            self._hash_and_write(chunk)
        else:
            await asyncio.to_thread(self._hash_and_write, chunk)
        return self._stored

    def finish(self) -> int:
        """Do the last checks, and return the size of the spool in bytes.

        Raises `WrongSize`, `WrongChecksum`, or the first error in the content.
        """
        if self._stored < self._file.size:
            raise WrongSize("shorter", found=self._stored, stated=self._file.size)

        found = self._sha256.hexdigest()
        if found != self._file.sha256:
            raise WrongChecksum("other", found=found, stated=self._file.sha256)

        self._keep_first_error(self._finish_content)
        if self._content_error is not None:
            raise self._content_error
        return self._size

    def _hash_and_write(self, chunk: bytes) -> None:
        self._sha256.update(chunk)
        self._keep_first_error(lambda: self._decompress_and_write(chunk))

    def _keep_first_error(self, step: Callable[[], None]) -> None:
        """Run a step and keep its error; do nothing if an earlier step has failed."""
        if self._content_error is not None:
            return
        try:
            step()
        except UploadError as error:
            self._content_error = error

    def _decompress_and_write(self, chunk: bytes) -> None:
        for piece in self._decompressor.feed(chunk):
            self._size += len(piece)
            if self._size > self._max_size:
                raise TooLarge("decompressed", stored=self._stored, most=self._max_size)
            self._utf8.feed(piece)
            self._spool.write(piece)

    def _finish_content(self) -> None:
        self._decompressor.finish()
        self._utf8.finish()
        if not self._size:
            raise Refusal("empty_file")
        self._spool.flush()


def _max_spool_size(file: ClaimCheck, limits: LimitSettings) -> int:
    """How large the spool may become, in bytes."""
    if file.content_encoding is None:
        return file.size
    return min(limits.decompressed_bytes, int(limits.compression_ratio * file.size))
