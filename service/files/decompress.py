"""From the bytes as stored to those of the CSV: gzip members or zstd frames, a little at a time."""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import zstandard

from service.domain.errors import BadEncoding

_BITE = 512
"""Compressed bytes taken at a time.

The worst frame turns 4 bytes into 128 KiB; so one bite never needs more than 2 x 16 MiB of memory.
"""

_ZSTD_WINDOW = 2**23
"""The largest window that a zstd decoder must support (RFC 8878), and that levels up to 19 use."""

_GZIP = 16 + zlib.MAX_WBITS


class _Frame(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class Plain:
    """A file that is stored as it is."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        """Nothing can be missing."""


class Compressed:
    """A file that is stored as one or more frames, one right after the other."""

    def __init__(self, name: str, new_frame: Callable[[], _Frame]) -> None:
        self._name = name
        self._new_frame = new_frame
        self._frame: _Frame | None = None
        self._number = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The next bytes, decompressed, in pieces of 16 MiB at most. Raises `BadEncoding`."""
        try:
            for start in range(0, len(data), _BITE):
                yield from self._bite(data[start : start + _BITE])
        except (zlib.error, zstandard.ZstdError) as error:
            raise BadEncoding(
                f"broken_{self._name}", frame=self._number, reason=str(error)
            ) from None

    def finish(self) -> None:
        """Raises `BadEncoding` where the last frame has not ended."""
        if self._frame is not None:
            raise BadEncoding(f"cut_short_{self._name}", frame=self._number)

    def _bite(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._frame is None:
                self._frame, self._number = self._new_frame(), self._number + 1
            yield self._frame.decompress(data)
            data = b""
            if self._frame.eof:
                data, self._frame = self._frame.unused_data, None


def decompressor(content_encoding: str | None) -> Plain | Compressed:
    """What turns a file's stored bytes into its own. Raises `BadEncoding` where nothing does."""
    match content_encoding:
        case None:
            return Plain()
        case "gzip":
            return Compressed("gzip", lambda: zlib.decompressobj(wbits=_GZIP))
        case "zstd":
            decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
            return Compressed("zstd", decoder.decompressobj)
        case other:
            raise BadEncoding("unknown", found=repr(other))
