"""From a claim check to a verified spool: every check, at its bound and one beyond."""

import gzip
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard

from service.domain.errors import (
    DiskFull,
    FileExpired,
    FileGone,
    Refusal,
    TooLarge,
    UrlRefused,
    WrongChecksum,
    WrongSize,
)
from service.files.fetch import fetch_file
from service.settings import LimitSettings
from tests.support.files import CSV, NOW, StorageRoot, claim, listing


@pytest.fixture
def storage(tmp_path: Path) -> StorageRoot:
    return StorageRoot(tmp_path)


async def test_the_spool_holds_the_file_and_is_gone_afterwards(storage: StorageRoot) -> None:
    told: list[int] = []
    data = CSV * 100_000
    file = storage.put(data)
    run = fetch_file(
        file,
        storage.store,
        LimitSettings(),
        directory=storage.spools,
        now=NOW,
        on_bytes=told.append,
    )
    async with run as spool:
        assert spool.path.parent == storage.spools
        assert spool.path.read_bytes() == data
        assert spool.size == len(data)
    assert listing(storage.spools) == []
    assert told == sorted(told)
    assert told[-1] == len(data)


async def test_the_spool_is_gone_when_its_reader_fails(storage: StorageRoot) -> None:
    with pytest.raises(RuntimeError, match="reader"):
        async with fetch_file(
            storage.put(CSV), storage.store, LimitSettings(), directory=storage.spools, now=NOW
        ):
            raise RuntimeError("reader")
    assert listing(storage.spools) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("data", [CSV, CSV * 100_000], ids=["at its end", "on the way"])
async def test_a_full_disk_concerns_every_job(data: bytes, storage: StorageRoot) -> None:
    (storage.spools / "spool.csv").symlink_to("/dev/full")
    assert isinstance(await storage.error(storage.put(data)), DiskFull)


@pytest.mark.parametrize(
    "data", [CSV, b"\xef\xbb\xbf" + CSV], ids=["plain", "with a byte order mark"]
)
async def test_utf8_is_spooled_as_it_is(data: bytes, storage: StorageRoot) -> None:
    assert await storage.fetched(storage.put(data)) == data


async def test_a_missing_file_is_gone(storage: StorageRoot) -> None:
    assert isinstance(
        await storage.error(claim(storage.store.url_under_root("none.csv"))), FileGone
    )


async def test_a_claim_holds_until_it_expires_and_no_longer(storage: StorageRoot) -> None:
    assert await storage.fetched(storage.put(CSV, expires_at=NOW)) == CSV
    late = storage.put(CSV, expires_at=NOW - timedelta(microseconds=1))
    assert isinstance(await storage.error(late), FileExpired)


async def test_a_file_of_the_largest_size_is_taken_and_one_byte_more_is_not(
    storage: StorageRoot,
) -> None:
    file = storage.put(CSV)
    assert await storage.fetched(file, file_bytes=len(CSV)) == CSV
    assert isinstance(await storage.error(file, file_bytes=len(CSV) - 1), TooLarge)


@pytest.mark.parametrize("stated", [len(CSV) - 1, len(CSV) + 1])
async def test_another_size_than_stated_is_wrong(stated: int, storage: StorageRoot) -> None:
    assert isinstance(await storage.error(storage.put(CSV, size=stated)), WrongSize)


async def test_another_sha256_than_stated_is_wrong(storage: StorageRoot) -> None:
    assert isinstance(await storage.error(storage.put(CSV, sha256="0" * 64)), WrongChecksum)


async def test_the_first_check_that_fails_is_told(storage: StorageRoot) -> None:
    late = NOW - timedelta(days=1)
    wrong: dict[str, Any] = {"size": 10**6, "sha256": "0" * 64}
    assert isinstance(
        await storage.error(claim("ftp://x/y", expires_at=late, **wrong), file_bytes=1), FileExpired
    )
    assert isinstance(await storage.error(claim("ftp://x/y", **wrong), file_bytes=1), UrlRefused)
    assert isinstance(await storage.error(storage.put(b"\xff", **wrong), file_bytes=1), TooLarge)
    assert isinstance(await storage.error(storage.put(b"\xff", **wrong)), WrongSize)


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        (b"not utf-8 \xff", {}),
        (b"", {}),
        (b"not gzip", {"content_encoding": "gzip"}),
        (gzip.compress(CSV, mtime=0)[:-1], {"content_encoding": "gzip"}),
        (gzip.compress(bytes(10**6), mtime=0), {"content_encoding": "gzip"}),
        (zstandard.compress(b"not utf-8 \xff"), {"content_encoding": "zstd"}),
    ],
)
async def test_a_wrong_checksum_wins_over_what_the_bytes_hold(
    data: bytes, changes: Any, storage: StorageRoot
) -> None:
    assert not isinstance(await storage.error(storage.put(data, **changes)), WrongChecksum)
    assert isinstance(
        await storage.error(storage.put(data, sha256="0" * 64, **changes)), WrongChecksum
    )


@pytest.mark.parametrize("encoding", [None, "gzip", "zstd"])
async def test_a_file_of_no_bytes_is_empty(encoding: str | None, storage: StorageRoot) -> None:
    error = await storage.error(storage.put(b"", content_encoding=encoding))
    assert isinstance(error, Refusal)
    assert error.code == "empty_file"


async def test_the_offset_of_a_bad_byte_is_exact_across_chunks(storage: StorageRoot) -> None:
    filling = b"a" * (
        2**20 - 1
    )  # the first two bytes of the euro sign lie on either side of a chunk's end
    error = await storage.error(storage.put(filling + "€".encode()[:2] + b"," * 9))
    assert isinstance(error, Refusal)
    assert error.code == "not_utf8"
    assert f"byte 0xE2 at offset {len(filling)}." in error.message


async def test_a_character_cut_off_at_the_end_of_the_file_is_bad(storage: StorageRoot) -> None:
    error = await storage.error(storage.put(CSV + "ü".encode()[:1]))
    assert f"byte 0xC3 at offset {len(CSV)}." in error.message
