"""A real web server on 127.0.0.1; a test chooses its answers: files, redirects, silence, no end."""

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
    """Answers each path as its `HttpSource` says, and any other path with 404."""

    source: "HttpSource"

    def do_GET(self) -> None:
        self.source.requests.append(self.path)
        answer = self.source.answers.get(self.path.partition("?")[0], status(404))
        with suppress(ConnectionError, ssl.SSLError):
            answer(self)

    def do_POST(self) -> None:
        self.do_GET()

    def start(self, code: int, **headers: str) -> None:
        """Send the status line and the headers; `Content_Length` means `Content-Length`."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing: tests read `requests`."""


class HttpSource:
    """A running server: `answers` by path, and in `requests` the paths that were asked for."""

    def __init__(self, scheme: str, port: int) -> None:
        self.host = f"localhost:{port}"
        self.base = f"{scheme}://{self.host}"
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.closing = Event()

    def add(self, path: str, answer: Answer) -> str:
        """Set the answer of `path`; return its URL."""
        self.answers[path] = answer
        return self.base + path


def serves(data: bytes) -> Answer:
    """The whole file."""

    def answer(request: Handler) -> None:
        request.start(200, Content_Length=str(len(data)))
        request.wfile.write(data)

    return answer


def status(code: int, **headers: str) -> Answer:
    """This status and no body."""
    return lambda request: request.start(code, Content_Length="0", **headers)


def stalls(data: bytes) -> Answer:
    """Half of the file, then silence until the server closes."""

    def answer(request: Handler) -> None:
        request.start(200, Content_Length=str(len(data)))
        request.wfile.write(data[: len(data) // 2])
        request.wfile.flush()
        request.source.closing.wait()

    return answer


def trickles(request: Handler) -> None:
    """A byte every 50 ms, until the server closes."""
    request.start(200)
    while not request.source.closing.wait(0.05):
        request.wfile.write(b",")


def breaks_off(data: bytes) -> Answer:
    """Half of the file, then the connection is closed."""

    def answer(request: Handler) -> None:
        request.start(200, Content_Length=str(len(data)))
        request.wfile.write(data[: len(data) // 2])
        request.wfile.flush()
        request.connection.shutdown(socket.SHUT_RDWR)

    return answer


def never_ends(request: Handler) -> None:
    """Bytes for as long as the client reads them."""
    request.start(200)
    while not request.source.closing.is_set():
        request.wfile.write(bytes(2**16))


@contextmanager
def http_source(tls: ssl.SSLContext | None = None) -> Iterator[HttpSource]:
    """A running server, with TLS if a context is given."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {}))
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    source = HttpSource("http" if tls is None else "https", server.server_port)
    server.RequestHandlerClass.source = source  # type: ignore[attr-defined] # a Handler
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # no output
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
    options = (
        "-x509",
        "-nodes",
        "-days",
        "2",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
    )
    names = (
        "-subj",
        f"/CN={name}",
        "-addext",
        f"subjectAltName=DNS:{name}",
        "-keyout",
        str(key),
        "-out",
        str(pem),
    )
    subprocess.run(("openssl", "req", *options, *names), check=True, capture_output=True)
    pem.write_text(pem.read_text() + key.read_text())
    return pem


def serving(pem: Path) -> ssl.SSLContext:
    """The TLS context of a server with this certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context
