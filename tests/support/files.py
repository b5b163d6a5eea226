"""Files to fetch: their claim checks, a store to fetch them from, and the limits."""

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from service.domain.errors import UploadError
from service.domain.model import ClaimCheck
from service.files.backends import DirectoryBackend
from service.files.fetch import fetch_file
from service.files.https import HttpsHosts
from service.files.store import FileStore
from service.settings import LimitSettings

NOW = datetime(2026, 3, 18, 14, tzinfo=UTC)
CSV = "name,supplier\nGerät,Zürich\n".encode()


def claim(url: str, data: bytes = CSV, **changes: Any) -> ClaimCheck:
    """The claim check of a file with these bytes at `url`, with some fields changed."""
    return ClaimCheck(
        **{"url": url, "size": len(data), "sha256": sha256(data).hexdigest(), **changes}
    )


def local_store(root: Path, hosts: HttpsHosts | None = None, timeout: float = 30.0) -> FileStore:
    """A store with a directory as its root, and with https hosts if some are given."""
    hosts = hosts or HttpsHosts((), timeout=timeout)
    return FileStore(f"file://{quote(str(root))}", DirectoryBackend(root), hosts, timeout=timeout)


def listing(directory: Path) -> list[str]:
    """The names in a directory, in order."""
    return sorted(path.name for path in directory.iterdir())


async def fetched(file: ClaimCheck, store: FileStore, directory: Path, **limits: Any) -> bytes:
    """Fetch a file with these limits; return what the spool holds."""
    async with fetch_file(
        file, store, LimitSettings(**limits), directory=directory, now=NOW
    ) as spool:
        data = spool.path.read_bytes()
        assert spool.size == len(data)
        return data


async def error_of(
    file: ClaimCheck, store: FileStore, directory: Path, **limits: Any
) -> UploadError:
    """Return the error that fetching a file raises; no spool may be left behind."""
    with pytest.raises(UploadError) as caught:
        await fetched(file, store, directory, **limits)
    assert listing(directory) == []
    return caught.value


async def read(store: FileStore, url: str) -> bytes:
    """The bytes of a file in the store."""
    return b"".join([chunk async for chunk in store.read(store.resolve(url))])


class StorageRoot:
    """A storage root with one file in it, and a directory to spool it in."""

    def __init__(self, path: Path) -> None:
        self.root, self.spools = path / "root", path / "spools"
        self.root.mkdir()
        self.spools.mkdir()
        self.store = local_store(self.root)

    def put(self, data: bytes, **changes: Any) -> ClaimCheck:
        """Write these bytes to the file in the root; return its claim check."""
        (self.root / "a.csv").write_bytes(data)
        return claim(self.store.url_under_root("a.csv"), data, **changes)

    async def fetched(self, file: ClaimCheck, **limits: Any) -> bytes:
        """Fetch a file with these limits; return what the spool holds."""
        return await fetched(file, self.store, self.spools, **limits)

    async def error(self, file: ClaimCheck, **limits: Any) -> UploadError:
        """Return the error that fetching a file raises; no spool may be left behind."""
        return await error_of(file, self.store, self.spools, **limits)
