"""Files from https hosts: no redirect is followed, and no private address connected to."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from ipaddress import ip_address

import httpx

from service.domain.errors import FileGone, StoreAway, UrlRefused
from service.files.backends import CHUNK
from service.files.urls import Location


class HttpsHosts:
    """The hosts that files may come from, `host` or `host:port`; nothing else is connected to.

    A host's name must lead to public addresses only, unless it is one of `private`: otherwise whoever
    runs its DNS could have this service read from within its own network.
    """

    def __init__(
        self, hosts: Collection[str], private: Collection[str] = (), *, timeout: float
    ) -> None:
        self._private = {_named(host) for host in private}
        self._hosts = {_named(host) for host in hosts} | self._private
        self._timeout = timeout

    def check(self, host: str) -> None:
        """Raise `UrlRefused` unless files may come from there."""
        if host not in self._hosts:
            raise UrlRefused("unknown_host")

    async def read(self, location: Location) -> AsyncGenerator[bytes, None]:
        """The file's bytes as stored, in chunks of about `CHUNK`."""
        async with self._answer(location) as response:
            async for chunk in response.aiter_raw(CHUNK):
                yield chunk

    async def size(self, location: Location) -> int | None:
        """How many bytes the host announces; not by HEAD, which some hosts refuse."""
        async with self._answer(location) as response:
            announced = response.headers.get("content-length", "")
            return int(announced) if announced.isdecimal() else None

    @asynccontextmanager
    async def _answer(self, location: Location) -> AsyncGenerator[httpx.Response, None]:
        request = await self._request(location)
        tls = await asyncio.to_thread(ssl.create_default_context)
        client = httpx.AsyncClient(verify=tls, trust_env=False, timeout=self._timeout)
        with _telling(location):
            async with (
                client,
                aclosing(
                    await client.send(request, stream=True, follow_redirects=False)
                ) as response,
            ):
                _check_status(response.status_code, location)
                yield response

    async def _request(self, location: Location) -> httpx.Request:
        """Addressed to what was checked: the host's name is not resolved a second time."""
        url = httpx.URL(location.url)
        return httpx.Request(
            "GET",
            url.copy_with(host=await self._address(location)),
            headers={"Host": url.netloc.decode(), "Accept-Encoding": "identity"},
            extensions={"sni_hostname": url.host},
        )

    async def _address(self, location: Location) -> str:
        url = httpx.URL(location.url)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
        except OSError:
            raise StoreAway("unresolved_host", url=location.url) from None
        addresses = [str(sockaddr[0]) for *_, sockaddr in found]
        if location.host not in self._private and not all(
            ip_address(address).is_global for address in addresses
        ):
            raise UrlRefused("private_address", host=url.host)
        return addresses[0]


def _named(host: str) -> str:
    return host.lower().removesuffix(":443")


def _check_status(status: int, location: Location) -> None:
    """One host's answers concern one job; none of them may stop the service for all."""
    if status == httpx.codes.OK:
        return
    if status in {404, 410}:
        raise FileGone("at", url=location.url)
    if status in {408, 425, 429} or status >= 500:
        raise StoreAway("host_answered", url=location.url, status=status)
    if 300 <= status < 400:
        raise UrlRefused("redirects", url=location.url)
    raise UrlRefused("host_answered", url=location.url, status=status)


@contextmanager
def _telling(location: Location) -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        reason = f"{type(error).__name__} {str(error)[:200]}".rstrip()
        raise StoreAway("reason", url=location.url, reason=reason) from None
