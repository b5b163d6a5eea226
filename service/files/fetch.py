"""From a claim check to a local file that is what the claim says, and text in UTF-8."""

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
from service.domain.model import FileRef
from service.files.backends import DISK_FULL
from service.files.decompress import decompressor
from service.files.encodings import Utf8Check
from service.files.store import FileStore
from service.files.urls import Location
from service.settings import LimitSettings

SMALL = 2**16
"""Bytes that are sooner taken on the event loop than handed to a thread and back, unless they may decompress."""


@dataclass(frozen=True, slots=True)
class Spool:
    """A fetched file on the local disk, verified and decompressed; `size` in bytes."""

    path: Path
    size: int


@asynccontextmanager
async def fetch_file(
    file: FileRef,
    store: FileStore,
    limits: LimitSettings,
    *,
    directory: Path,
    now: datetime,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> AsyncGenerator[Spool, None]:
    """Spool a job's file in `directory`, verified; it is deleted when the context ends, however it ends.

    `on_bytes` is told how many stored bytes have come so far. Raises `FileExpired`, `UrlRefused`,
    `TooLarge`, `WrongSize`, `WrongChecksum`, `BadEncoding`, `Refusal` (empty_file, not_utf8), `DiskFull`
    and what `FileStore.read` raises. A file that is not what its claim says is told so before anything
    that its bytes hold.
    """
    location = await resolve_claim(file, store, limits, now)
    with _room(directory), _spool(directory / "spool.csv") as spool:
        intake = _Intake(file, limits, spool)
        async with aclosing(store.read(location)) as chunks:
            async for chunk in chunks:
                on_bytes(await intake.take(chunk))
        yield Spool(Path(spool.name), intake.finish())


async def resolve_claim(
    file: FileRef, store: FileStore, limits: LimitSettings, now: datetime
) -> Location:
    """Where the file lies, if it is worth reading at all. Raises `FileExpired`, `UrlRefused` and `TooLarge`."""
    if file.expires_at is not None and now > file.expires_at:
        raise FileExpired("since", expires_at=file.expires_at.isoformat())
    location = await asyncio.to_thread(store.resolve, file.url)
    if file.size > limits.file_bytes:
        raise TooLarge("file", size=file.size, most=limits.file_bytes)
    return location


@contextmanager
def _spool(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("wb") as spool:
            yield spool
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _room(directory: Path) -> Iterator[None]:
    """Say so when the disk is full; the caller's own files beside the spool may fill it too."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DiskFull(
                "directory", directory=str(directory), reason=str(error.strerror)
            ) from None
        raise


class _Intake:
    """Takes a file's chunks in turn: counts and hashes them as stored, spools them decompressed and checked.

    What is wrong inside of the bytes is kept until they have all come: a file that was changed after
    its submission is told so, whatever it looks like now.
    """

    def __init__(self, file: FileRef, limits: LimitSettings, spool: IO[bytes]) -> None:
        self._file = file
        self._most = _most_decompressed(file, limits)
        self._spool = spool
        self._sha256 = hashlib.sha256()
        self._decompressor = decompressor(file.content_encoding)
        self._utf8 = Utf8Check()
        self._stored = self._size = 0
        self._fault: UploadError | None = None

    async def take(self, chunk: bytes) -> int:
        """How many stored bytes have come, with this chunk. Raises `WrongSize` when they are too many."""
        self._stored += len(chunk)
        if self._stored > self._file.size:
            raise WrongSize("longer", stated=self._file.size)
        if len(chunk) < SMALL and self._file.content_encoding is None:
            self._work(chunk)
        else:
            await asyncio.to_thread(self._work, chunk)
        return self._stored

    def _work(self, chunk: bytes) -> None:
        self._sha256.update(chunk)
        self._guarded(lambda: self._unpack(chunk))

    def finish(self) -> int:
        """The size of the spool, once all of the file has come and nothing is wrong with it."""
        if self._stored < self._file.size:
            raise WrongSize("shorter", found=self._stored, stated=self._file.size)
        if (found := self._sha256.hexdigest()) != self._file.sha256:
            raise WrongChecksum("other", found=found, stated=self._file.sha256)
        self._guarded(self._close)
        if self._fault is not None:
            raise self._fault
        return self._size

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do the next step unless one before it found a fault."""
        if self._fault is not None:
            return
        try:
            step()
        except UploadError as fault:
            self._fault = fault

    def _unpack(self, chunk: bytes) -> None:
        for piece in self._decompressor.feed(chunk):
            self._size += len(piece)
            if self._size > self._most:
                raise TooLarge("decompressed", stored=self._stored, most=self._most)
            self._utf8.feed(piece)
            self._spool.write(piece)

    def _close(self) -> None:
        self._decompressor.finish()
        self._utf8.finish()
        if not self._size:
            raise Refusal("empty_file")
        self._spool.flush()


def _most_decompressed(file: FileRef, limits: LimitSettings) -> int:
    """How large the spool may grow, in bytes."""
    if file.content_encoding is None:
        return file.size
    return min(limits.decompressed_bytes, int(limits.compression_ratio * file.size))
