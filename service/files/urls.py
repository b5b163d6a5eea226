"""URLs in job messages: they are split and checked here before any file is opened."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

from service.domain.errors import UrlRefused

FORBIDDEN_CHARACTERS = re.compile(r"[\x00-\x1f\x7f\\]")
"""A character that no URL may have, neither as it is nor percent-encoded."""

_FORBIDDEN_SEGMENTS = {"", ".", ".."}


@dataclass(frozen=True, slots=True)
class Location:
    """A file that this service may read; `FileStore.resolve` makes it from a URL.

    `url` has no credentials and no query. `path` is percent-decoded. It is relative to the storage
    root, or to the https host if `host` is set.
    """

    url: str
    path: str
    host: str | None = None


@dataclass(frozen=True, slots=True)
class UrlParts:
    """The parts of a URL. `segments` is its path, percent-decoded and split at each slash.

    For an object store, `host` is the name of the bucket.
    """

    scheme: str
    host: str
    segments: tuple[str, ...]

    @classmethod
    def parse(cls, url: str) -> Self:
        """Split a URL; its path is percent-decoded once.

        Raises `UrlRefused` if the URL is malformed, or has credentials, a query or a path with an
        empty, `.` or `..` part. The error never quotes the URL, because it may hold a password.
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
        return cls(split.scheme, _normal_host(split.scheme, split.netloc), _segments(url, path))


def normal_https_host(host: str) -> str:
    """The host in lower case, without the default port: two spellings of one host become equal."""
    return host.lower().removesuffix(":443")


def _normal_host(scheme: str, netloc: str) -> str:
    if scheme == "https":
        return normal_https_host(netloc)
    if scheme == "file" and netloc == "localhost":
        return ""
    return netloc


def _segments(url: str, path: str) -> tuple[str, ...]:
    # Both forms are searched: a forbidden character may be in the URL itself or percent-encoded.
    if url != url.strip() or FORBIDDEN_CHARACTERS.search(url + path):
        raise UrlRefused("unwanted_characters")

    # An absolute path begins with a slash, so the text before the first slash must be empty.
    before_slash, *segments = path.split("/")
    if before_slash or not _FORBIDDEN_SEGMENTS.isdisjoint(segments):
        raise UrlRefused("relative_path")
    return tuple(segments)
