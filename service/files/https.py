"""Files on https hosts. Redirects are not followed, and private addresses are not connected to.

These two rules protect the service's own network: a job names the URL, and must not be able to make
the service read from an internal server.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from ipaddress import ip_address

import httpx

from service.domain.errors import FileGone, StoreAway, UrlRefused
from service.files.backends import READ_BYTES
from service.files.urls import Location, normal_https_host


class HttpsHosts:
    """The hosts that files may come from, each as `host` or `host:port`.

    The name of a host must lead to public addresses only. Otherwise the owner of its DNS could make
    this service read from its own network. Hosts in `private` are exempt from this rule; only tests
    use it. `timeout` is in seconds, for each step of a request.
    """

    def __init__(
        self, hosts: Collection[str], private: Collection[str] = (), *, timeout: float
    ) -> None:
        self._private = {normal_https_host(host) for host in private}
        self._hosts = {normal_https_host(host) for host in hosts} | self._private
        self._timeout = timeout

    def check(self, host: str) -> None:
        """Raise `UrlRefused` unless files may come from this host."""
        if host not in self._hosts:
            raise UrlRefused("unknown_host")

    async def read(self, location: Location) -> AsyncGenerator[bytes, None]:
        """Read the file's bytes as stored, in chunks of about `READ_BYTES` bytes."""
        async with self._send_request(location) as response:
            async for chunk in response.aiter_raw(READ_BYTES):
                yield chunk

    async def size(self, location: Location) -> int | None:
        """The size in bytes that the host announces; None if it announces none.

        This sends a GET and reads no body: some hosts refuse HEAD.
        """
        async with self._send_request(location) as response:
            announced = response.headers.get("content-length", "")
            if not announced.isdecimal():
                return None
            return int(announced)

    @asynccontextmanager
    async def _send_request(self, location: Location) -> AsyncGenerator[httpx.Response, None]:
        """The response to a GET; its body is not read yet. Raises the errors of the store."""
        request = await self._build_request(location)

        # Loading the certificates blocks for some milliseconds. `trust_env=False` ignores proxies
        # of the environment: with a proxy, the checked address would not be the one connected to.
        tls = await asyncio.to_thread(ssl.create_default_context)
        client = httpx.AsyncClient(verify=tls, trust_env=False, timeout=self._timeout)

        with _translate_http_errors(location):
            async with client:
                response = await client.send(request, stream=True, follow_redirects=False)
                async with aclosing(response):
                    _check_status(response.status_code, location)
                    yield response

    async def _build_request(self, location: Location) -> httpx.Request:
        """A request to the address that was checked.

        The URL has the address instead of the host's name. If the name were resolved a second time,
        it could lead to another address than the checked one. The `Host` header and SNI keep the
        name.
        """
        url = httpx.URL(location.url)
        return httpx.Request(
            "GET",
            url.copy_with(host=await self._resolve_address(location)),
            headers={"Host": url.netloc.decode(), "Accept-Encoding": "identity"},
            extensions={"sni_hostname": url.host},
        )

    async def _resolve_address(self, location: Location) -> str:
        """The first address of the host, if all of its addresses are allowed."""
        url = httpx.URL(location.url)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
        except OSError:
            raise StoreAway("unresolved_host", url=location.url) from None

        addresses = [str(sockaddr[0]) for *_, sockaddr in found]
        are_public = all(ip_address(address).is_global for address in addresses)
        if not are_public and location.host not in self._private:
            raise UrlRefused("private_address", host=url.host)
        return addresses[0]


def _check_status(status: int, location: Location) -> None:
    """Raise the error of a response that is not 200.

    A job names the host, so no response may raise an `Environment` error: that would stop the
    service for all jobs.
    """
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
def _translate_http_errors(location: Location) -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        reason = f"{type(error).__name__} {str(error)[:200]}".rstrip()
        raise StoreAway("reason", url=location.url, reason=reason) from None
