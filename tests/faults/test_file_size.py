"""The size of a file, without reading it, in every place where a file may be."""

from pathlib import Path

import pytest

from service.domain.errors import FileGone, StoreAway, StoreRefuses, UrlRefused
from service.files.https import HttpsHosts
from service.files.store import FileStore
from tests.support.files import CSV, local_store
from tests.support.http_source import certificate, http_source, never_ends, serves, serving, status
from tests.support.s3 import make_bucket, s3_server, s3_settings


async def test_the_size_of_a_local_file_is_that_on_the_disk(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    (tmp_path / "a b.csv").write_bytes(CSV)
    (tmp_path / "folder").mkdir()
    assert await store.size(store.resolve((tmp_path / "a b.csv").as_uri())) == len(CSV)
    with pytest.raises(FileGone):
        await store.size(store.resolve((tmp_path / "gone.csv").as_uri()))
    with pytest.raises(UrlRefused):
        await store.size(store.resolve((tmp_path / "folder").as_uri()))


async def test_a_root_that_is_not_mounted_is_no_missing_file(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    store = local_store(root)
    location = store.resolve((root / "a.csv").as_uri())
    root.rmdir()
    with pytest.raises(StoreRefuses):
        await store.size(location)


async def test_the_size_of_an_object_is_that_in_the_bucket(tmp_path: Path) -> None:
    with s3_server() as endpoint:
        make_bucket(endpoint, "uploads")
        store = FileStore.of(s3_settings(endpoint, "s3://uploads/pre%20fix"))
        (tmp_path / "source").write_bytes(CSV)
        await store.write(store.url_under_root("Geräte.csv"), tmp_path / "source")
        assert await store.size(store.resolve(store.url_under_root("Geräte.csv"))) == len(CSV)
        with pytest.raises(FileGone):
            await store.size(store.resolve(store.url_under_root("gone.csv")))
    with pytest.raises(StoreAway):
        await store.size(store.resolve(store.url_under_root("Geräte.csv")))


async def test_the_size_at_an_https_host_is_what_it_announces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with http_source(serving(pem)) as host:
        store = local_store(tmp_path, HttpsHosts((), private=(host.host,), timeout=20.0))
        announced = store.resolve(host.add("/a.csv", serves(CSV)))
        endless = store.resolve(host.add("/endless.csv", never_ends))
        elsewhere = store.resolve(host.add("/moved.csv", status(302, Location="/a.csv")))
        assert await store.size(announced) == len(CSV)
        assert await store.size(endless) is None, "and nothing of it is read"
        with pytest.raises(FileGone):
            await store.size(store.resolve(f"{host.base}/gone.csv"))
        with pytest.raises(UrlRefused):
            await store.size(elsewhere)
