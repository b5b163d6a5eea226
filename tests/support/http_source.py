"""A small real web server on 127.0.0.1 whose answers a test chooses: files, redirects, silence, no end."""

import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from threading import Event, Thread

import pytest

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each path as its `HttpSource` says; paths that it does not know are 404."""

    source: "HttpSource"

    def do_GET(self) -> None:
        self.source.requests.append(self.path)
        answer = self.source.answers.get(self.path.partition("?")[0], status(404))
        with suppress(ConnectionError, ssl.SSLError):
            answer(self)

    def do_POST(self) -> None:
        self.do_GET()

    def start(self, code: int, **headers: str) -> None:
        """Send the status line and the headers; `Content_Length` stands for `Content-Length`."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Tests read `requests` instead."""


class HttpSource:
    """A server that is up: `answers` by path, and the paths that were asked for in `requests`."""

    def __init__(self, scheme: str, port: int) -> None:
        self.host = f"localhost:{port}"
        self.base = f"{scheme}://{self.host}"
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.closing = Event()

    def add(self, path: str, answer: Answer) -> str:
        """Answer `path` like this; its URL."""
        self.answers[path] = answer
        return self.base + path


def serves(data: bytes) -> Answer:
    """The file, whole."""

    def answer(to: Handler) -> None:
        to.start(200, Content_Length=str(len(data)))
        to.wfile.write(data)

    return answer


def status(code: int, **headers: str) -> Answer:
    """This status and no body."""
    return lambda to: to.start(code, Content_Length="0", **headers)


def stalls(data: bytes) -> Answer:
    """Half of the file, then silence until the server closes."""

    def answer(to: Handler) -> None:
        to.start(200, Content_Length=str(len(data)))
        to.wfile.write(data[: len(data) // 2])
        to.wfile.flush()
        to.source.closing.wait()

    return answer


def trickles(to: Handler) -> None:
    """A byte now and then, until the server closes."""
    to.start(200)
    while not to.source.closing.wait(0.05):
        to.wfile.write(b",")


def breaks_off(data: bytes) -> Answer:
    """Half of the file, then the connection is gone."""

    def answer(to: Handler) -> None:
        to.start(200, Content_Length=str(len(data)))
        to.wfile.write(data[: len(data) // 2])
        to.wfile.flush()
        to.connection.shutdown(socket.SHUT_RDWR)

    return answer


def never_ends(to: Handler) -> None:
    """Bytes for as long as anyone reads them."""
    to.start(200)
    while not to.source.closing.is_set():
        to.wfile.write(bytes(2**16))


@contextmanager
def http_source(tls: ssl.SSLContext | None = None) -> Iterator[HttpSource]:
    """A running server, with TLS where a context is given."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {}))
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    source = HttpSource("http" if tls is None else "https", server.server_port)
    server.RequestHandlerClass.source = source  # type: ignore[attr-defined]
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield source
    finally:
        source.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(directory: Path, name: str = "localhost") -> Path:
    """A self-signed certificate for `name`, with its key, in one PEM file."""
    if which("openssl") is None:
        pytest.skip("no `openssl` command to make a certificate with")
    pem, key = directory / f"{name}.pem", directory / f"{name}.key"
    kind = (
        "-x509",
        "-nodes",
        "-days",
        "2",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
    )
    named = (
        "-subj",
        f"/CN={name}",
        "-addext",
        f"subjectAltName=DNS:{name}",
        "-keyout",
        str(key),
        "-out",
        str(pem),
    )
    subprocess.run(("openssl", "req", *kind, *named), check=True, capture_output=True)
    pem.write_text(pem.read_text() + key.read_text())
    return pem


def serving(pem: Path) -> ssl.SSLContext:
    """The server's side of TLS with this certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context
