"""URLs that a job names, taken apart and checked before anything is opened."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

from service.domain.errors import UrlRefused

_UNWANTED = re.compile(r"[\x00-\x1f\x7f\\]")
_STEPS = {"", ".", ".."}


@dataclass(frozen=True, slots=True)
class Location:
    """A place that this service may read, as `Store.resolve` returns it.

    `url` is free of credentials and queries. `path` is decoded: below the storage root or, where
    `host` is set, at that https host.
    """

    url: str
    path: str
    host: str | None = None


@dataclass(frozen=True, slots=True)
class UrlParts:
    """A URL's scheme, its host (the bucket, for an object store), and its path as decoded segments."""

    scheme: str
    host: str
    segments: tuple[str, ...]

    @classmethod
    def parse(cls, url: str) -> Self:
        """The parts of a URL, percent-decoded once.

        Raises `UrlRefused`, which never quotes the URL: what is refused here may hold a password.
        """
        if "?" in url or "#" in url:
            raise UrlRefused("query")
        try:
            split = urlsplit(url)
            path = unquote(split.path, errors="strict")
        except ValueError:
            raise UrlRefused("not_percent_encoded") from None
        if "@" in split.netloc:
            raise UrlRefused("credentials")
        return cls(split.scheme, _host(split.scheme, split.netloc), _segments(url, path))


def _host(scheme: str, netloc: str) -> str:
    if scheme == "https":
        return netloc.lower().removesuffix(":443")
    return "" if scheme == "file" and netloc == "localhost" else netloc


def _segments(url: str, path: str) -> tuple[str, ...]:
    if url != url.strip() or _UNWANTED.search(url + path):
        raise UrlRefused("unwanted_characters")
    head, *segments = path.split("/")
    if head or not _STEPS.isdisjoint(segments):
        raise UrlRefused("relative_path")
    return tuple(segments)
