"""From a claim check to a verified spool: every check, at its bound and one beyond."""

import gzip
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import pytest
import zstandard

from service.domain import FileRef
from service.errors import (
    BadEncoding,
    DiskFull,
    FileExpired,
    FileGone,
    Refusal,
    TooLarge,
    UploadError,
    UrlRefused,
    WrongChecksum,
    WrongSize,
)
from service.prepare import fetch as fetching
from service.prepare.fetch import fetch
from service.settings import LimitSettings
from tests.support.files import CSV, NOW, claim, fetched, listing, local_store

COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress}
ENCODINGS = pytest.mark.parametrize("encoding", COMPRESS)


class Desk:
    """A storage root, and a directory to spool in."""

    def __init__(self, path: Path) -> None:
        self.root, self.spools = path / "root", path / "spools"
        self.root.mkdir()
        self.spools.mkdir()
        self.store = local_store(self.root)

    def put(self, data: bytes, **changes: Any) -> FileRef:
        """The claim check of a file that lies in the root."""
        (self.root / "a.csv").write_bytes(data)
        return claim(self.store.under_root("a.csv"), data, **changes)

    async def fetched(self, file: FileRef, **limits: Any) -> bytes:
        return await fetched(file, self.store, self.spools, **limits)

    async def error(self, file: FileRef, **limits: Any) -> UploadError:
        """What fetching this raises; no spool may be left behind."""
        with pytest.raises(UploadError) as caught:
            await self.fetched(file, **limits)
        assert listing(self.spools) == []
        return caught.value


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_the_spool_holds_the_file_and_is_gone_afterwards(desk: Desk) -> None:
    told: list[int] = []
    data = CSV * 100_000
    file = desk.put(data)
    run = fetch(file, desk.store, LimitSettings(), directory=desk.spools, now=NOW, on_bytes=told.append)
    async with run as spool:
        assert spool.path.parent == desk.spools
        assert spool.path.read_bytes() == data
        assert spool.size == len(data)
    assert listing(desk.spools) == []
    assert told == sorted(told)
    assert told[-1] == len(data)


async def test_the_spool_is_gone_when_its_reader_fails(desk: Desk) -> None:
    with pytest.raises(RuntimeError, match="reader"):
        async with fetch(desk.put(CSV), desk.store, LimitSettings(), directory=desk.spools, now=NOW):
            raise RuntimeError("reader")
    assert listing(desk.spools) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("data", [CSV, CSV * 100_000], ids=["at its end", "on the way"])
async def test_a_full_disk_concerns_every_job(data: bytes, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> IO[bytes]:
        return Path("/dev/full").open("wb")

    monkeypatch.setattr(fetching, "NamedTemporaryFile", full)
    assert isinstance(await desk.error(desk.put(data)), DiskFull)


@pytest.mark.parametrize("data", [CSV, b"\xef\xbb\xbf" + CSV], ids=["plain", "with a byte order mark"])
async def test_utf8_is_spooled_as_it_is(data: bytes, desk: Desk) -> None:
    assert await desk.fetched(desk.put(data)) == data


async def test_a_missing_file_is_gone(desk: Desk) -> None:
    assert isinstance(await desk.error(claim(desk.store.under_root("none.csv"))), FileGone)


async def test_a_claim_holds_until_it_expires_and_no_longer(desk: Desk) -> None:
    assert await desk.fetched(desk.put(CSV, expires_at=NOW)) == CSV
    late = desk.put(CSV, expires_at=NOW - timedelta(microseconds=1))
    assert isinstance(await desk.error(late), FileExpired)


async def test_a_file_of_the_largest_size_is_taken_and_one_byte_more_is_not(desk: Desk) -> None:
    file = desk.put(CSV)
    assert await desk.fetched(file, file_bytes=len(CSV)) == CSV
    assert isinstance(await desk.error(file, file_bytes=len(CSV) - 1), TooLarge)


@pytest.mark.parametrize("stated", [len(CSV) - 1, len(CSV) + 1])
async def test_another_size_than_stated_is_wrong(stated: int, desk: Desk) -> None:
    assert isinstance(await desk.error(desk.put(CSV, size=stated)), WrongSize)


async def test_another_sha256_than_stated_is_wrong(desk: Desk) -> None:
    assert isinstance(await desk.error(desk.put(CSV, sha256="0" * 64)), WrongChecksum)


async def test_the_first_check_that_fails_is_told(desk: Desk) -> None:
    late = NOW - timedelta(days=1)
    wrong: dict[str, Any] = {"size": 10**6, "sha256": "0" * 64}
    assert isinstance(await desk.error(claim("ftp://x/y", expires_at=late, **wrong), file_bytes=1), FileExpired)
    assert isinstance(await desk.error(claim("ftp://x/y", **wrong), file_bytes=1), UrlRefused)
    assert isinstance(await desk.error(desk.put(b"\xff", **wrong), file_bytes=1), TooLarge)
    assert isinstance(await desk.error(desk.put(b"\xff", **wrong)), WrongSize)


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        (b"not utf-8 \xff", {}),
        (b"", {}),
        (b"not gzip", {"content_encoding": "gzip"}),
        (gzip.compress(CSV)[:-1], {"content_encoding": "gzip"}),
        (gzip.compress(bytes(10**6)), {"content_encoding": "gzip"}),
        (zstandard.compress(b"not utf-8 \xff"), {"content_encoding": "zstd"}),
    ],
)
async def test_a_wrong_checksum_wins_over_what_the_bytes_hold(data: bytes, changes: Any, desk: Desk) -> None:
    assert not isinstance(await desk.error(desk.put(data, **changes)), WrongChecksum)
    assert isinstance(await desk.error(desk.put(data, sha256="0" * 64, **changes)), WrongChecksum)


@pytest.mark.parametrize("encoding", [None, *COMPRESS])
async def test_a_file_of_no_bytes_is_empty(encoding: str | None, desk: Desk) -> None:
    error = await desk.error(desk.put(b"", content_encoding=encoding))
    assert isinstance(error, Refusal)
    assert error.code == "empty_file"


@ENCODINGS
async def test_a_compressed_file_of_no_bytes_is_empty(encoding: str, desk: Desk) -> None:
    assert (await desk.error(desk.put(COMPRESS[encoding](b""), content_encoding=encoding))).code == "empty_file"


async def test_the_offset_of_a_bad_byte_is_exact_across_chunks(desk: Desk) -> None:
    filling = b"a" * (2**20 - 1)  # the first two bytes of the euro sign lie on either side of a chunk's end
    error = await desk.error(desk.put(filling + "€".encode()[:2] + b"," * 9))
    assert isinstance(error, Refusal)
    assert error.code == "not_utf8"
    assert f"byte 0xE2 at offset {len(filling)}." in error.message


async def test_a_character_cut_off_at_the_end_of_the_file_is_bad(desk: Desk) -> None:
    error = await desk.error(desk.put(CSV + "ü".encode()[:1]))
    assert f"byte 0xC3 at offset {len(CSV)}." in error.message


async def test_the_offset_counts_decompressed_bytes(desk: Desk) -> None:
    data = CSV * 50_000 + b"\xff" + CSV
    error = await desk.error(desk.put(gzip.compress(data), content_encoding="gzip"), compression_ratio=1000)
    assert f"offset {len(CSV) * 50_000}." in error.message


@ENCODINGS
async def test_a_compressed_file_is_spooled_decompressed(encoding: str, desk: Desk) -> None:
    data = b"".join(b"%d,Pipette\n" % i for i in range(200_000))
    assert await desk.fetched(desk.put(COMPRESS[encoding](data), content_encoding=encoding)) == data


@ENCODINGS
@pytest.mark.parametrize("parts", [2, 3000])
async def test_a_file_compressed_in_several_parts_is_whole(encoding: str, parts: int, desk: Desk) -> None:
    stored = b"".join(COMPRESS[encoding](b"part %d\n" % i) for i in range(parts))
    assert await desk.fetched(desk.put(stored, content_encoding=encoding)) == b"".join(
        b"part %d\n" % i for i in range(parts)
    )


async def test_a_zstd_file_may_hold_a_skippable_frame(desk: Desk) -> None:
    stored = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + zstandard.compress(CSV)
    assert await desk.fetched(desk.put(stored, content_encoding="zstd")) == CSV


@ENCODINGS
async def test_the_decompressed_size_is_capped(encoding: str, desk: Desk) -> None:
    data = CSV * 1000
    file = desk.put(COMPRESS[encoding](data), content_encoding=encoding)
    assert await desk.fetched(file, decompressed_bytes=len(data), compression_ratio=10**6) == data
    assert isinstance(await desk.error(file, decompressed_bytes=len(data) - 1, compression_ratio=10**6), TooLarge)


@ENCODINGS
async def test_the_compression_ratio_is_capped(encoding: str, desk: Desk) -> None:
    data = CSV * 1000
    file = desk.put(COMPRESS[encoding](data), content_encoding=encoding)
    ratio = len(data) / file.size
    assert await desk.fetched(file, compression_ratio=ratio + 1e-9) == data
    assert isinstance(await desk.error(file, compression_ratio=ratio - 1 / file.size), TooLarge)


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
    ids=["cut", "cut early", "garbage behind", "second part cut", "garbage before", "not compressed"],
)
async def test_what_is_not_wholly_in_its_content_encoding_is_refused(encoding: str, spoil: Any, desk: Desk) -> None:
    stored = spoil(COMPRESS[encoding](CSV))
    assert isinstance(await desk.error(desk.put(stored, content_encoding=encoding)), BadEncoding)


async def test_damage_that_only_the_frames_own_checksum_shows_is_refused(desk: Desk) -> None:
    stored = bytearray(gzip.compress(CSV))
    stored[-8] ^= 1
    assert isinstance(await desk.error(desk.put(bytes(stored), content_encoding="gzip")), BadEncoding)


@pytest.mark.parametrize(("encoding", "other"), [("gzip", "zstd"), ("zstd", "gzip")])
async def test_one_encoding_is_not_the_other(encoding: str, other: str, desk: Desk) -> None:
    assert isinstance(await desk.error(desk.put(COMPRESS[other](CSV), content_encoding=encoding)), BadEncoding)


async def test_zlib_without_a_gzip_header_is_not_gzip(desk: Desk) -> None:
    assert isinstance(await desk.error(desk.put(zlib.compress(CSV), content_encoding="gzip")), BadEncoding)


async def test_an_unknown_content_encoding_is_refused(desk: Desk) -> None:
    assert isinstance(await desk.error(desk.put(CSV, content_encoding="br")), BadEncoding)


@pytest.mark.parametrize(("window_log", "taken"), [(23, True), (24, False)])
async def test_zstd_windows_are_read_up_to_8_mib(window_log: int, taken: bool, desk: Desk) -> None:
    options = zstandard.ZstdCompressionParameters.from_level(1, window_log=window_log)
    compressor = zstandard.ZstdCompressor(compression_params=options).compressobj()
    file = desk.put(compressor.compress(CSV) + compressor.flush(), content_encoding="zstd")
    if taken:
        assert await desk.fetched(file) == CSV
    else:
        assert "8 MiB" in (await desk.error(file)).message
