"""A local directory as the storage root.

Files that are missing, locked or not regular, and what a write leaves behind.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.errors import FileGone, StoreRefuses, UploadError, UrlRefused
from service.files.store import FileStore
from tests.support.files import CSV, listing, local_store, read


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A storage root in a path with a space and an umlaut."""
    root = tmp_path / "the root ü"
    root.mkdir()
    return root


@pytest.fixture
def store(root: Path) -> FileStore:
    return local_store(root)


@pytest.fixture
def plain_user(root: Path) -> Iterator[None]:
    """Run the test as an ordinary user, and make a locked file: root could read it anyway."""
    (root / "locked.csv").touch(mode=0)
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.parametrize("name", ["gone.csv", "folder/gone.csv", "file.csv/gone.csv", "n" * 300])
async def test_a_missing_file_is_gone(name: str, store: FileStore, root: Path) -> None:
    (root / "file.csv").write_bytes(CSV)
    with pytest.raises(FileGone) as caught:
        await read(store, store.url_under_root(name))
    assert store.url_under_root(name) in caught.value.message


async def test_a_root_that_is_not_mounted_concerns_every_job_and_is_not_made(
    tmp_path: Path,
) -> None:
    store = local_store(tmp_path / "root")
    with pytest.raises(StoreRefuses):
        await read(store, store.url_under_root("a.csv"))
    (tmp_path / "source").write_bytes(CSV)
    with pytest.raises(StoreRefuses):
        await store.write(store.url_under_root("a.csv"), tmp_path / "source")
    assert listing(tmp_path) == ["source"]


@pytest.mark.usefixtures("plain_user")
async def test_a_file_that_may_not_be_read_is_for_the_operator_to_mend(
    store: FileStore, root: Path
) -> None:
    with pytest.raises(StoreRefuses):
        await read(store, store.url_under_root("locked.csv"))


async def test_a_folder_or_a_pipe_is_no_file(store: FileStore, root: Path) -> None:
    (root / "folder").mkdir()
    os.mkfifo(root / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(UrlRefused):
            await read(store, store.url_under_root(name))


async def test_a_written_file_replaces_the_one_before_and_leaves_nothing_else(
    store: FileStore, root: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    for data in (b"first, and longer", b"second"):
        source.write_bytes(data)
        await store.write(store.url_under_root("rejected/8123.csv"), source)
    assert listing(root / "rejected") == ["8123.csv"]
    assert (root / "rejected/8123.csv").read_bytes() == b"second"


async def test_a_write_that_fails_leaves_nothing_behind(
    store: FileStore, root: Path, tmp_path: Path
) -> None:
    (root / "rejected/8123.csv").mkdir(parents=True)
    (tmp_path / "source").write_bytes(CSV)
    with pytest.raises(UploadError):
        await store.write(store.url_under_root("rejected/8123.csv"), tmp_path / "source")
    assert listing(root / "rejected") == ["8123.csv"]
