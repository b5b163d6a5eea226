"""Files stored as gzip or zstd: decompressed within the limits, and refused if they are broken."""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from service.domain.errors import BadContentEncoding, TooLarge
from tests.support.files import CSV, StorageRoot

COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress}
ENCODINGS = pytest.mark.parametrize("encoding", COMPRESS)


@pytest.fixture
def storage(tmp_path: Path) -> StorageRoot:
    return StorageRoot(tmp_path)


@ENCODINGS
async def test_a_compressed_file_of_no_bytes_is_empty(encoding: str, storage: StorageRoot) -> None:
    assert (
        await storage.error(storage.put(COMPRESS[encoding](b""), content_encoding=encoding))
    ).code == "empty_file"


async def test_the_offset_counts_decompressed_bytes(storage: StorageRoot) -> None:
    data = CSV * 50_000 + b"\xff" + CSV
    error = await storage.error(
        storage.put(gzip.compress(data), content_encoding="gzip"), compression_ratio=1000
    )
    assert f"offset {len(CSV) * 50_000}." in error.message


@ENCODINGS
async def test_a_compressed_file_is_spooled_decompressed(
    encoding: str, storage: StorageRoot
) -> None:
    data = b"".join(b"%d,Pipette\n" % i for i in range(200_000))
    assert (
        await storage.fetched(storage.put(COMPRESS[encoding](data), content_encoding=encoding))
        == data
    )


@ENCODINGS
@pytest.mark.parametrize("parts", [2, 3000])
async def test_a_file_compressed_in_several_parts_is_whole(
    encoding: str, parts: int, storage: StorageRoot
) -> None:
    stored = b"".join(COMPRESS[encoding](b"part %d\n" % i) for i in range(parts))
    assert await storage.fetched(storage.put(stored, content_encoding=encoding)) == b"".join(
        b"part %d\n" % i for i in range(parts)
    )


async def test_a_zstd_file_may_hold_a_skippable_frame(storage: StorageRoot) -> None:
    stored = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + zstandard.compress(CSV)
    assert await storage.fetched(storage.put(stored, content_encoding="zstd")) == CSV


@ENCODINGS
async def test_the_decompressed_size_is_capped(encoding: str, storage: StorageRoot) -> None:
    data = CSV * 1000
    file = storage.put(COMPRESS[encoding](data), content_encoding=encoding)
    assert (
        await storage.fetched(file, decompressed_bytes=len(data), compression_ratio=10**6) == data
    )
    assert isinstance(
        await storage.error(file, decompressed_bytes=len(data) - 1, compression_ratio=10**6),
        TooLarge,
    )


@ENCODINGS
async def test_the_compression_ratio_is_capped(encoding: str, storage: StorageRoot) -> None:
    data = CSV * 1000
    file = storage.put(COMPRESS[encoding](data), content_encoding=encoding)
    ratio = len(data) / file.size
    assert await storage.fetched(file, compression_ratio=ratio + 1e-9) == data
    assert isinstance(await storage.error(file, compression_ratio=ratio - 1 / file.size), TooLarge)


@ENCODINGS
@pytest.mark.parametrize(
    "spoil",
    [
        lambda stored: stored[:-1],
        lambda stored: stored[:5],
        lambda stored: stored + b"garbage that is no frame",
        lambda stored: stored + stored[:-1],
        lambda stored: b"x" + stored,
        lambda _: CSV,
    ],
    ids=[
        "cut",
        "cut early",
        "garbage behind",
        "second part cut",
        "garbage before",
        "not compressed",
    ],
)
async def test_what_is_not_wholly_in_its_content_encoding_is_refused(
    encoding: str, spoil: Any, storage: StorageRoot
) -> None:
    stored = spoil(COMPRESS[encoding](CSV))
    assert isinstance(
        await storage.error(storage.put(stored, content_encoding=encoding)), BadContentEncoding
    )


async def test_damage_that_only_the_frames_own_checksum_shows_is_refused(
    storage: StorageRoot,
) -> None:
    stored = bytearray(gzip.compress(CSV))
    stored[-8] ^= 1
    assert isinstance(
        await storage.error(storage.put(bytes(stored), content_encoding="gzip")), BadContentEncoding
    )


@pytest.mark.parametrize(("encoding", "other"), [("gzip", "zstd"), ("zstd", "gzip")])
async def test_one_encoding_is_not_the_other(
    encoding: str, other: str, storage: StorageRoot
) -> None:
    assert isinstance(
        await storage.error(storage.put(COMPRESS[other](CSV), content_encoding=encoding)),
        BadContentEncoding,
    )


async def test_zlib_without_a_gzip_header_is_not_gzip(storage: StorageRoot) -> None:
    assert isinstance(
        await storage.error(storage.put(zlib.compress(CSV), content_encoding="gzip")),
        BadContentEncoding,
    )


async def test_an_unknown_content_encoding_is_refused(storage: StorageRoot) -> None:
    assert isinstance(
        await storage.error(storage.put(CSV, content_encoding="br")), BadContentEncoding
    )


@pytest.mark.parametrize(("window_log", "taken"), [(23, True), (24, False)])
async def test_zstd_windows_are_read_up_to_8_mib(
    window_log: int, taken: bool, storage: StorageRoot
) -> None:
    options = zstandard.ZstdCompressionParameters.from_level(1, window_log=window_log)
    compressor = zstandard.ZstdCompressor(compression_params=options).compressobj()
    file = storage.put(compressor.compress(CSV) + compressor.flush(), content_encoding="zstd")
    if taken:
        assert await storage.fetched(file) == CSV
    else:
        assert "8 MiB" in (await storage.error(file)).message
