"""The HTTP port of a worker: uvicorn inside our own event loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import uvicorn
from faststream.asgi import AsgiFastStream

from service.settings import Settings


class HttpServer(uvicorn.Server):
    """Uvicorn inside our own loop; signals stay ours."""

    def __init__(self, app: AsgiFastStream, settings: Settings) -> None:
        http = settings.http
        config = uvicorn.Config(
            app, host=http.host, port=http.port, lifespan="off", log_config=None, access_log=False
        )
        super().__init__(config)

    @property
    def port(self) -> int:
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        serving = asyncio.create_task(self.serve(), name="http")
        try:
            while not self.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells it in no other way
                await asyncio.sleep(0.01)
            if serving.done():
                raise RuntimeError(f"the HTTP port {self.config.port} could not be opened")
            yield
        finally:
            self.should_exit = True
            await asyncio.wait({serving})
