"""The file store: decides which URLs a job may name, and reads and writes files."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import quote

from service.domain.errors import StoreAway, UrlRefused
from service.files.backends import READ_BYTES, BucketBackend, DirectoryBackend, StorageBackend
from service.files.https import HttpsHosts
from service.files.urls import Location, UrlParts
from service.settings import StorageSettings

T = TypeVar("T")


class FileStore:
    """The files below the storage root, and the files of the https hosts in the settings.

    `resolve` checks every URL of a message. `read`, `size` and `write` only take a location that
    has passed this check. `timeout` is in seconds, for each chunk of 1 MiB.
    """

    def __init__(
        self, root: str, backend: StorageBackend, hosts: HttpsHosts, *, timeout: float
    ) -> None:
        self._root_url = root.rstrip("/")
        self._root = UrlParts.parse(self._root_url)
        self._backend = backend
        self._hosts = hosts
        self._timeout = timeout

    @classmethod
    def of(cls, settings: StorageSettings) -> Self:
        """The store that the settings describe. It opens no file and no connection yet."""
        root = UrlParts.parse(settings.root)

        backend: StorageBackend
        if root.scheme == "file":
            backend = DirectoryBackend(Path("/", *root.segments))
        else:
            backend = BucketBackend.of(settings)

        hosts = HttpsHosts(settings.https_hosts, timeout=settings.timeout)
        return cls(settings.root, backend, hosts, timeout=settings.timeout)

    def resolve(self, url: str) -> Location:
        """The location of a URL, if this service may read it.

        Raises `UrlRefused` if the URL is neither below the root nor on a known https host, if it
        has credentials, a query or `..` in any encoding, or if a symbolic link leads out of the
        root.
        """
        parts = UrlParts.parse(url)
        if parts.scheme == "https":
            self._hosts.check(parts.host)
            return Location(url, "/".join(parts.segments), parts.host)
        path = self._path_below_root(parts)
        location = Location(self.url_under_root(path), path)
        self._backend.check(location)
        return location

    def is_in_root_store(self, url: str) -> bool:
        """Return True if a URL that passed `resolve` is below the root, where files are written.

        `resolve` accepts only URLs below the root and URLs of https hosts, and no root is on an
        https host. So the scheme alone tells the two apart.
        """
        return UrlParts.parse(url).scheme == self._root.scheme

    def url_under_root(self, relative: str) -> str:
        """The URL, percent-encoded, of a path that is relative to the root and not encoded."""
        return f"{self._root_url}/{quote(relative)}"

    def sibling_url(self, location: Location, suffix: str) -> str:
        """The URL of a file in the same folder: the name of this one, followed by `suffix`."""
        return self.url_under_root(location.path + suffix)

    async def read(self, location: Location) -> AsyncGenerator[bytes, None]:
        """Read the bytes as stored, in chunks of about 1 MiB.

        Raises `FileGone`, `UrlRefused` (if it is not a file, or the host redirects), `StoreAway`
        (also if a chunk takes longer than the timeout) and `StoreRefuses`.
        """
        if location.host is None:
            stream = self._backend.read(location)
        else:
            stream = self._hosts.read(location)

        async with aclosing(stream) as chunks:
            while (chunk := await self._within_timeout(anext(chunks, None), location)) is not None:
                yield chunk

    async def size(self, location: Location) -> int | None:
        """The size of a file as stored, in bytes, without reading the file.

        None if the file is on an https host that does not announce the size. Raises the same errors
        as `read`.
        """
        if location.host is None:
            return await self._within_timeout(self._backend.size(location), location)
        return await self._within_timeout(self._hosts.size(location), location)

    async def write(self, to: str | Location, local_file: Path) -> None:
        """Store a local file at `to`, and replace a file that is there.

        The file is stored as a whole or not at all. Raises `UrlRefused` outside the root,
        `StoreAway`, `StoreRefuses` and `DiskFull`.
        """
        location = to if isinstance(to, Location) else self.resolve(to)
        if location.host is not None:
            raise UrlRefused("write_elsewhere")

        size = (await asyncio.to_thread(local_file.stat)).st_size
        written = self._backend.write(location, local_file)
        await self._within_timeout(written, location, chunks=1 + size // READ_BYTES)

    async def _within_timeout(
        self, answer: Awaitable[T], location: Location, *, chunks: int = 1
    ) -> T:
        """Wait for an answer; raise `StoreAway` if it takes longer than the timeout per chunk."""
        try:
            async with asyncio.timeout(self._timeout * chunks):
                return await answer
        except TimeoutError:
            raise StoreAway("slow", url=location.url, seconds=self._timeout) from None

    def _path_below_root(self, parts: UrlParts) -> str:
        """The decoded path relative to the root; raises `UrlRefused` outside the root."""
        depth = len(self._root.segments)
        above = UrlParts(parts.scheme, parts.host, parts.segments[:depth])
        if above != self._root or len(parts.segments) == depth:
            raise UrlRefused("not_below_root", root=self._root_url)
        return "/".join(parts.segments[depth:])
