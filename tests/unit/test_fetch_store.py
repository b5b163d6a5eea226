"""Which URLs a job may name, and which place each of them is."""

from pathlib import Path

import pytest

from service.domain.errors import UrlRefused
from service.files.store import FileStore
from service.files.urls import Location
from service.settings import StorageSettings
from tests.support.files import CSV, local_store, read


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A storage root in a path with a space and an umlaut."""
    root = tmp_path / "the root ü"
    root.mkdir()
    return root


@pytest.fixture
def store(root: Path) -> FileStore:
    return local_store(root)


def bucket_store(root: str) -> FileStore:
    """A store whose root is a bucket that no test ever connects to."""
    return FileStore.of(
        StorageSettings(
            root=root, s3_region="eu-central-1", s3_access_key_id="k", s3_secret_access_key="s"
        )
    )


NAMES = [
    "plain.csv",
    "with space.csv",
    "Geräte für Zürich.csv",
    "a/b c/d.csv",
    "100%.csv",
    "%2e%2e",
    "a#b?c.csv",
]


@pytest.mark.parametrize("name", [*NAMES, "a+b&c=d@e~(1).csv", "…", ".hidden", "..."])
async def test_any_name_can_be_written_and_read_again(
    name: str, store: FileStore, root: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(CSV)
    url = store.url_under_root(name)
    await store.write(url, source)
    assert url.isascii()
    assert " " not in url
    assert store.resolve(url) == Location(url, name)
    assert (root / name).read_bytes() == CSV
    assert await read(store, url) == CSV


@pytest.mark.parametrize("name", NAMES)
def test_a_file_beside_another_has_its_name_and_a_suffix(name: str, store: FileStore) -> None:
    beside = store.sibling_url(store.resolve(store.url_under_root(name)), ".8123.rejected.csv")
    assert store.resolve(beside).path == f"{name}.8123.rejected.csv"


@pytest.mark.parametrize("prefix", ["file://", "file://localhost", "FILE://"])
async def test_an_unencoded_name_is_read_too_and_its_url_comes_back_encoded(
    prefix: str, store: FileStore, root: Path
) -> None:
    (root / "Gerät 1.csv").write_bytes(CSV)
    location = store.resolve(f"{prefix}{root}/Gerät 1.csv")
    assert location.url == store.url_under_root("Gerät 1.csv")
    assert location.url.endswith("/Ger%C3%A4t%201.csv")


@pytest.mark.parametrize(
    "url",
    [
        "{root}/../outside.csv",
        "{root}/%2e%2e/outside.csv",
        "{root}/%2E%2E%2Foutside.csv",
        "{root}/..%2foutside.csv",
        "{root}/a/../../outside.csv",
        "{root}/./a.csv",
        "{root}//a.csv",
        "{root}/a.csv/",
        "{root}/a%5C..%5Cb.csv",
        "{root}/a\\b.csv",
        "{root}/a%00.csv",
        "{root}/a\n.csv",
        "{root}/a%0D.csv",
        "{root}/%FF.csv",
        "{root}/a.csv?version=1",
        "{root}/a.csv#top",
        "{root}/a.csv?",
        " {root}/a.csv",
        "{root}/a.csv ",
        "{root}",
        "{root}/",
        "{root}-other/a.csv",
        "file:///etc/passwd",
        "file://a-host/a.csv",
        "file:a.csv",
        "file:a{path}/a.csv",
        "/a.csv",
        "a.csv",
        "",
        "http://example.org/a.csv",
        "https://example.org/a.csv",
        "s3://uploads/a.csv",
        "gs://uploads/a.csv",
        "ftp://example.org/a.csv",
        "data:text/csv,a",
        "https://[::1/a.csv",
    ],
)
def test_a_url_that_is_not_of_a_file_below_the_root_is_refused(
    url: str, store: FileStore, root: Path
) -> None:
    with pytest.raises(UrlRefused):
        store.resolve(url.format(root=store.url_under_root("").rstrip("/"), path=root))


def test_double_encoding_names_a_file_and_never_a_step_up(store: FileStore) -> None:
    assert store.resolve(store.url_under_root("%2e%2e/a.csv")).path == "%2e%2e/a.csv"
    assert store.resolve(store.url_under_root("x") + "%252e%252e").path == "x%2e%2e"


@pytest.mark.parametrize(
    "root", ["s3://uploads", "s3://uploads/", "s3://uploads/pre%20fix", "gs://uploads/pre fix"]
)
def test_a_bucket_is_read_below_its_prefix_only(root: str) -> None:
    store = bucket_store(root)
    location = store.resolve(root.rstrip("/") + "/2025/Ger%C3%A4t.csv")
    assert location.path == "2025/Gerät.csv"
    assert store.resolve(location.url) == location


@pytest.mark.parametrize(
    "url",
    [
        "s3://other/prefix/a.csv",
        "s3://uploads/a.csv",
        "s3://uploads/prefix",
        "s3://uploads/prefix-other/a.csv",
        "s3://uploads/prefix/../a.csv",
        "s3://uploads/prefix/%2e%2e/a.csv",
        "s3://uploads:80/prefix/a.csv",
        "gs://uploads/prefix/a.csv",
        "file:///uploads/prefix/a.csv",
        "https://uploads/prefix/a.csv",
    ],
)
def test_outside_of_the_bucket_and_its_prefix_a_url_is_refused(url: str) -> None:
    with pytest.raises(UrlRefused):
        bucket_store("s3://uploads/prefix").resolve(url)


@pytest.mark.parametrize(
    ("allowed", "named"),
    [
        ("files.example.org", "https://files.example.org/a.csv"),
        ("files.example.org", "https://FILES.example.org:443/a.csv"),
        ("Files.example.org:443", "https://files.example.org/a.csv"),
        ("files.example.org:8443", "https://files.example.org:8443/a.csv"),
    ],
)
def test_an_https_host_is_read_where_the_settings_name_it(
    allowed: str, named: str, root: Path
) -> None:
    store = FileStore.of(StorageSettings(root=f"file://{root}", https_hosts=(allowed,)))
    assert store.resolve(named).host is not None
    assert not store.is_in_root_store(named)
    assert store.is_in_root_store(store.url_under_root("a.csv"))


@pytest.mark.parametrize(
    "named",
    [
        "https://files.example.org:8443/a.csv",
        "https://files.example.org.evil.example/a.csv",
        "https://evil.example/files.example.org",
        "https://user@files.example.org/a.csv",
        "https://files.example.org@evil.example/a.csv",
        "https://files.example.org/../a.csv",
        "http://files.example.org/a.csv",
    ],
)
def test_another_https_host_or_port_is_refused(named: str, root: Path) -> None:
    store = FileStore.of(StorageSettings(root=f"file://{root}", https_hosts=("files.example.org",)))
    with pytest.raises(UrlRefused):
        store.resolve(named)


def test_a_url_with_credentials_is_told_apart(root: Path) -> None:
    store = FileStore.of(StorageSettings(root=f"file://{root}", https_hosts=("files.example.org",)))
    with pytest.raises(UrlRefused, match="a user or a password"):
        store.resolve("https://user:password@files.example.org/a.csv")


async def test_nothing_is_written_at_an_https_host(root: Path, tmp_path: Path) -> None:
    store = FileStore.of(StorageSettings(root=f"file://{root}", https_hosts=("files.example.org",)))
    with pytest.raises(UrlRefused):
        await store.write("https://files.example.org/a.csv", tmp_path / "source")
