"""The HTTP port of a worker: uvicorn inside the worker's own event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from faststream.asgi import AsgiFastStream

from service.settings import HttpSettings

STARTED_POLL = 0.01


class HttpServer(uvicorn.Server):
    """Uvicorn as a part of the worker, which handles signals itself."""

    def __init__(self, app: AsgiFastStream, http: HttpSettings) -> None:
        config = uvicorn.Config(
            app,
            host=http.host,
            port=http.port,
            # The worker starts and stops the broker itself, in its own order.
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        super().__init__(config)

    @property
    def port(self) -> int:
        """The port that is open, also if the setting is 0."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: uvicorn would end the process in the middle of a job."""
        yield

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer requests while the context lasts.

        Raises `RuntimeError` if the port cannot be opened.
        """
        serving = asyncio.create_task(self.serve(sockets=[self._listen()]), name="http")
        try:
            # uvicorn has no event for it, only a flag
            while not self.started and not serving.done():  # noqa: ASYNC110
                await asyncio.sleep(STARTED_POLL)
            if serving.done():
                raise RuntimeError("the HTTP server has ended before it started")
            yield
        finally:
            self.should_exit = True
            await asyncio.wait({serving})

    def _listen(self) -> socket.socket:
        """Open the port. Uvicorn would end the process by itself where that fails."""
        host, port = self.config.host, self.config.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, port), family=family, backlog=self.config.backlog)
        except OSError as error:
            raise RuntimeError(
                f"the HTTP port {port} could not be opened ({error.strerror})"
            ) from None
