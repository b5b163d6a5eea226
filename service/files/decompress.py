"""Decompress a stored file (gzip members or zstd frames) piece by piece, in bounded memory."""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import zstandard

from service.domain.errors import BadContentEncoding

_INPUT_BYTES = 512
"""Compressed bytes that are decompressed at a time.

In the worst case 4 bytes become 128 KiB. So these 512 bytes become a piece of at most 16 MiB, and
decompressing them needs at most twice this memory.
"""

_ZSTD_WINDOW = 2**23
"""The largest window that we accept, in bytes: 8 MiB.

RFC 8878 recommends that every decoder supports it. Compression levels up to 19 do not need more.
"""

_GZIP = 16 + zlib.MAX_WBITS
"""zlib's code for a stream with a gzip header and trailer, and with the largest window."""


class _Frame(Protocol):
    """The decompressor of one frame, as `zlib` and `zstandard` make it."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class PassThrough:
    """For a file that is not compressed: returns the bytes as they are."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The next bytes, unchanged."""
        yield data

    def finish(self) -> None:
        """Do nothing: a file without frames cannot be incomplete."""


class FrameDecompressor:
    """For a compressed file: decompresses its frames, which follow each other directly.

    `name` is the encoding, and a part of the error's case. A gzip file calls its frames members.
    """

    def __init__(self, name: str, new_frame: Callable[[], _Frame]) -> None:
        self._name = name
        self._new_frame = new_frame
        self._frame: _Frame | None = None
        self._number = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The next bytes, decompressed, in pieces of at most 16 MiB.

        Raises `BadContentEncoding`.
        """
        try:
            for start in range(0, len(data), _INPUT_BYTES):
                yield from self._decompress(data[start : start + _INPUT_BYTES])
        except (zlib.error, zstandard.ZstdError) as error:
            raise BadContentEncoding(
                f"broken_{self._name}", frame=self._number, reason=str(error)
            ) from None

    def finish(self) -> None:
        """Raise `BadContentEncoding` if the last frame is incomplete."""
        if self._frame is not None:
            raise BadContentEncoding(f"cut_short_{self._name}", frame=self._number)

    def _decompress(self, data: bytes) -> Iterator[bytes]:
        """Decompress some bytes, in which frames may end and new ones may begin."""
        while data:
            if self._frame is None:
                self._frame = self._new_frame()
                self._number += 1
            yield self._frame.decompress(data)

            if not self._frame.eof:
                return
            data = self._frame.unused_data
            self._frame = None


def decompressor(content_encoding: str | None) -> PassThrough | FrameDecompressor:
    """The decompressor for a content encoding. Raises `BadContentEncoding` if there is none."""
    match content_encoding:
        case None:
            return PassThrough()
        case "gzip":
            return FrameDecompressor("gzip", lambda: zlib.decompressobj(wbits=_GZIP))
        case "zstd":
            decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
            return FrameDecompressor("zstd", decoder.decompressobj)
        case other:
            raise BadContentEncoding("unknown", found=repr(other))
