"""Where uploaded files lie: which URLs a job may name, and how their bytes are read and written."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import quote

from service.domain.errors import StoreAway, UrlRefused
from service.files.backends import CHUNK, BucketBackend, DirectoryBackend, StorageBackend
from service.files.https import HttpsHosts
from service.files.urls import Location, UrlParts
from service.settings import StorageSettings

T = TypeVar("T")


class FileStore:
    """The files below the storage root, and those of a few https hosts.

    Every URL that comes from outside passes `resolve`; whatever is read or written has been there.
    """

    def __init__(
        self, root: str, place: StorageBackend, hosts: HttpsHosts, *, timeout: float
    ) -> None:
        self._root_url = root.rstrip("/")
        self._root = UrlParts.parse(self._root_url)
        self._place = place
        self._hosts = hosts
        self._timeout = timeout

    @classmethod
    def of(cls, settings: StorageSettings) -> Self:
        """The store that the settings describe; nothing is opened or connected to yet."""
        root = UrlParts.parse(settings.root)
        place = (
            DirectoryBackend(Path("/", *root.segments))
            if root.scheme == "file"
            else BucketBackend.of(settings)
        )
        hosts = HttpsHosts(settings.https_hosts, timeout=settings.timeout)
        return cls(settings.root, place, hosts, timeout=settings.timeout)

    def resolve(self, url: str) -> Location:
        """The place that a URL names, where this service may read it.

        Raises `UrlRefused`: it lies outside the root and is of no known https host, it carries
        credentials or a query, it has `..` in any encoding, a symbolic link leads out of the root.
        """
        parts = UrlParts.parse(url)
        if parts.scheme == "https":
            self._hosts.check(parts.host)
            return Location(url, "/".join(parts.segments), parts.host)
        path = self._path_below_root(parts)
        location = Location(self.url_under_root(path), path)
        self._place.check(location)
        return location

    def is_under_root(self, url: str) -> bool:
        """Whether a URL that `resolve` takes lies below the root, where files may be written."""
        return UrlParts.parse(url).scheme == self._root.scheme

    def url_under_root(self, relative: str) -> str:
        """The URL of a path below the root, percent-encoded."""
        return f"{self._root_url}/{quote(relative)}"

    def sibling_url(self, location: Location, suffix: str) -> str:
        """The URL of a file in the same folder of the root, named like this one with `suffix` behind."""
        return self.url_under_root(location.path + suffix)

    async def read(self, location: Location) -> AsyncGenerator[bytes, None]:
        """The bytes as stored, in chunks of about 1 MiB.

        Raises `FileGone`, `UrlRefused` (it is no file, or it redirects), `StoreAway` (also where less
        than a chunk comes within the timeout) and `StoreRefuses`.
        """
        source = self._place.read(location) if location.host is None else self._hosts.read(location)
        async with aclosing(source) as chunks:
            while (chunk := await self._in_time(anext(chunks, None), location)) is not None:
                yield chunk

    async def size(self, location: Location) -> int | None:
        """How many bytes a file has as stored, without reading it; None where its https host does not say.

        Raises what `read` raises.
        """
        asked = self._place.size(location) if location.host is None else self._hosts.size(location)
        return await self._in_time(asked, location)

    async def write(self, to: str | Location, source: Path) -> None:
        """Store a local file, whole or not at all; one that is there is replaced.

        Raises `UrlRefused` outside the root, `StoreAway`, `StoreRefuses` and `DiskFull`.
        """
        location = to if isinstance(to, Location) else self.resolve(to)
        if location.host is not None:
            raise UrlRefused("write_elsewhere")
        size = (await asyncio.to_thread(source.stat)).st_size
        await self._in_time(self._place.write(location, source), location, chunks=1 + size // CHUNK)

    async def _in_time(self, answer: Awaitable[T], location: Location, *, chunks: int = 1) -> T:
        try:
            async with asyncio.timeout(self._timeout * chunks):
                return await answer
        except TimeoutError:
            raise StoreAway("slow", url=location.url, seconds=self._timeout) from None

    def _path_below_root(self, parts: UrlParts) -> str:
        depth = len(self._root.segments)
        above = UrlParts(parts.scheme, parts.host, parts.segments[:depth])
        if above != self._root or len(parts.segments) == depth:
            raise UrlRefused("not_below_root", root=self._root_url)
        return "/".join(parts.segments[depth:])
