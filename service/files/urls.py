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
            raise UrlRefused("It has a query or a fragment; where `?` or `#` belong to the name, percent-encode them.")
        try:
            split = urlsplit(url)
            path = unquote(split.path, errors="strict")
        except ValueError:
            raise UrlRefused("It cannot be read as a percent-encoded URL in UTF-8.") from None
        if "@" in split.netloc:
            raise UrlRefused("It carries a user or a password; the service has credentials of its own.")
        return cls(split.scheme, _host(split.scheme, split.netloc), _segments(url, path))


def _host(scheme: str, netloc: str) -> str:
    if scheme == "https":
        return netloc.lower().removesuffix(":443")
    return "" if scheme == "file" and netloc == "localhost" else netloc


def _segments(url: str, path: str) -> tuple[str, ...]:
    if url != url.strip() or _UNWANTED.search(url + path):
        raise UrlRefused("It has blanks around it, or a backslash or control characters in it.")
    head, *segments = path.split("/")
    if head or not _STEPS.isdisjoint(segments):
        raise UrlRefused("Its path is relative, or has an empty, `.` or `..` part.")
    return tuple(segments)
