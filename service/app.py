"""The worker: everything is built here, once, and started and stopped in order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from datetime import timedelta
from typing import Any

import structlog
import uvicorn
from aiokafka.errors import KafkaError
from faststream.asgi import AsgiFastStream
from prometheus_client import CollectorRegistry, make_asgi_app
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from service import __version__
from service.announce import sweep
from service.apply import Outbox
from service.broker import Producer, consumer_broker, wait_for_broker
from service.db.engine import create_engine
from service.dead_letters.guard import Guard
from service.errors import Environment, Transient, frames
from service.handlers import external, factors, per_year, unit_specific
from service.handlers.breaker import Breaker
from service.handlers.desk import Desk
from service.handlers.settle import Settler
from service.health import Health
from service.prepare.prepare import Workshop, clear_abandoned
from service.prepare.store import Store
from service.retry import classify
from service.settings import Settings
from service.status import Status
from service.topics import Topics
from service.vigil import Vigil
from service.way import Way

log = structlog.get_logger(__name__)

START_PAUSE = 2.0
"""Seconds between two tries to reach PostgreSQL or Kafka at start."""

LAST_COMMITS = 1.0
"""Seconds that commits of offsets under way have at the end; without, an event would be published once more."""


def build_app(settings: Settings) -> "App":
    """Build a worker from its settings; nothing connects before `run`."""
    return App(settings)


def engine_of(settings: Settings) -> AsyncEngine:
    """The engine of a worker: a lock is waited for within its bound, an abandoned transaction ends."""
    database = settings.database
    return create_engine(
        database.url.get_secret_value(),
        pool_size=database.pool_size,
        pool_timeout=database.connect_timeout,
        connect_timeout=database.connect_timeout,
        lock_timeout=database.lock_timeout,
        idle_in_transaction_timeout=settings.limits.job_seconds,
    )


class App:
    """One worker: consumers, producer, sweeper and the HTTP port."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics = Topics(settings.kafka.topic_prefix)
        self.engine = engine_of(settings)
        self.producer = Producer(settings.kafka)
        self.breaker = Breaker(settings.retry.probe_pause)
        registry = CollectorRegistry()
        self.broker = consumer_broker(settings.kafka, registry, grace=settings.shutdown_grace, on_escape=self._give_up)
        self.escaped: BaseException | None = None
        self._stop = asyncio.Event()
        self.desk = Desk(self.broker, self._settler(), self.topics, settings.kafka, settings.limits)
        for handlers in (per_year, unit_specific, external, factors):
            handlers.register(self.desk)
        lanes = {lane.topic: lane for lane in self.desk.lanes.values()}
        self.vigil = vigil = Vigil(self.broker, lanes)
        self.health = Health(self.engine, self.breaker, vigil.consuming, vigil.broker_answers, vigil.assigned)
        status = Status(self.engine, self.breaker, lanes, vigil)
        routes = [*self.health.routes(), *status.routes(), ("/metrics", make_asgi_app(registry))]
        self._http = _HttpServer(AsgiFastStream(self.broker, asgi_routes=routes, logger=None), settings)

    def _settler(self) -> Settler:
        settings, topics = self.settings, self.topics
        way = Way(
            engine=self.engine,
            workshop=Workshop(self.engine, Store.of(settings.storage), settings.limits),
            publish=self.producer.publish,
            outbox=Outbox(topics.completed, settings.announce.event_source),
            progress_topic=topics.progress,
            progress_interval=settings.announce.progress_interval,
            longest=settings.limits.job_seconds,
        )
        return Settler(way, topics, self.breaker, Guard(self.engine, settings.retry), settings.retry)

    @property
    def http_port(self) -> int:
        """The port that the probes are answered on, once the worker runs."""
        return self._http.port

    def stop(self) -> None:
        """Let the job in hand end within the grace, then let `run` return."""
        self._stop.set()

    def _stalled(self, topic: str) -> None:
        self._give_up(RuntimeError(f"the consumer of {topic} has stopped for good"))

    def _give_up(self, error: BaseException) -> None:
        log.critical("giving_up", exception=type(error).__name__, frames=frames(error))
        self.escaped = error
        self.stop()

    async def run(self) -> None:
        """Work until told to stop. Raises `RuntimeError` where it gave up by itself: only a restart helps."""
        await self._work()
        if self.escaped is not None:
            raise RuntimeError("the worker gave up; what it had in hand comes again after a restart") from self.escaped

    async def _work(self) -> None:
        stop = self._stop
        async with self._http.serving(), self._connected(stop):
            if stop.is_set():
                return
            patience = 2 * self.settings.kafka.session_timeout
            sweeper = asyncio.create_task(self._sweep_for_ever(), name="sweeper")
            watch = asyncio.create_task(self.vigil.watch(self._stalled, patience=patience), name="vigil")
            log.info("started", version=__version__, prefix=self.topics.prefix, http_port=self.http_port)
            await stop.wait()
            self.health.stopping = True
            sweeper.cancel()
            watch.cancel()
            for lane in self.desk.lanes.values():
                lane.leave()
            log.info("draining", grace_seconds=self.settings.shutdown_grace)

    @contextlib.asynccontextmanager
    async def _connected(self, stop: asyncio.Event) -> AsyncIterator[None]:
        try:
            await _unless(stop, self._start())
            yield
        finally:
            await self.desk.rest(LAST_COMMITS)
            await self.broker.stop()
            await self.producer.stop()
            await self.engine.dispose()
            log.info("stopped")

    async def _start(self) -> None:
        """Wait for PostgreSQL and for Kafka, then consume."""
        # twice the longest job: another worker on this machine may still be at work on a younger one
        abandoned = await asyncio.to_thread(clear_abandoned, 2 * self.settings.limits.job_seconds)
        if abandoned:
            log.info("spools_cleared", folders=abandoned)
        await self._wait_for_database()
        await wait_for_broker(self.settings.kafka, self.topics, every=START_PAUSE)
        await self.producer.start()
        await self.broker.start()
        self.health.started = True

    async def _wait_for_database(self) -> None:
        while True:
            try:
                async with self.engine.connect() as conn:
                    await conn.execute(text("SELECT 1"))
            except (SQLAlchemyError, OSError) as error:
                log.warning("waiting_for_postgresql", reason=type(error.__cause__ or error).__name__)
                await asyncio.sleep(START_PAUSE)
            else:
                return

    async def _sweep_for_ever(self) -> None:
        announce = self.settings.announce
        after = timedelta(seconds=announce.sweep_after)
        while True:
            await asyncio.sleep(announce.sweep_interval)
            try:
                swept = await sweep(self.engine, self.producer.publish, topic=self.topics.completed, after=after)
            except (SQLAlchemyError, OSError, KafkaError, Transient, Environment) as error:
                known = classify(error)
                log.warning("sweep_failed", code=known and known.code, reason=type(error).__name__)
            else:
                if swept:
                    log.warning("swept", jobs=swept)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, or give it up when the process is told to stop first."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


class _HttpServer(uvicorn.Server):
    """Uvicorn inside our own loop; signals stay ours."""

    def __init__(self, app: AsgiFastStream, settings: Settings) -> None:
        http = settings.http
        config = uvicorn.Config(app, host=http.host, port=http.port, lifespan="off", log_config=None, access_log=False)
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
