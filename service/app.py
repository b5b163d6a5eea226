"""The worker: everything is built here, once, and started and stopped in order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from faststream.asgi import AsgiFastStream
from prometheus_client import CollectorRegistry, make_asgi_app
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from service import __version__
from service.contract.topics import Topics
from service.db.engine import create_engine
from service.dead_letters.guard import Guard
from service.domain.errors import Environment, Transient, stack_frames
from service.files.store import FileStore
from service.handlers import external, factors, per_year, unit_specific
from service.handlers.breaker import Breaker
from service.handlers.dispatch import Dispatcher
from service.handlers.faststream_overrides import consumer_broker
from service.handlers.stall_detector import StallDetector
from service.handlers.subscriptions import Subscriptions
from service.http.health import Health
from service.http.server import HttpServer
from service.http.status import Status
from service.jobs.failures import classify_failure
from service.jobs.outbox import announce_forgotten
from service.jobs.prepare import PrepareDependencies, clear_abandoned_spools
from service.jobs.processor import JobProcessor
from service.jobs.transaction import EventRoute
from service.kafka.producer import Producer
from service.kafka.topic_admin import wait_for_broker
from service.settings import Settings

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
        self.broker = consumer_broker(
            settings.kafka, registry, grace=settings.shutdown_grace, on_escape=self._give_up
        )
        self.escaped: BaseException | None = None
        self._stop = asyncio.Event()
        self.subscriptions = Subscriptions(
            self.broker, self._dispatcher(), self.topics, settings.kafka, settings.limits
        )
        for handlers in (per_year, unit_specific, external, factors):
            handlers.register(self.subscriptions)
        topic_consumers = {
            topic_consumer.topic: topic_consumer
            for topic_consumer in self.subscriptions.topic_consumers.values()
        }
        self.stall_detector = stall_detector = StallDetector(self.broker, topic_consumers)
        self.health = Health(
            self.engine,
            self.breaker,
            stall_detector.consuming,
            stall_detector.broker_answers,
            stall_detector.assigned,
        )
        status = Status(self.engine, self.breaker, topic_consumers, stall_detector)
        routes = [*self.health.routes(), *status.routes(), ("/metrics", make_asgi_app(registry))]
        self._http = HttpServer(
            AsgiFastStream(self.broker, asgi_routes=routes, logger=None), settings
        )

    def _dispatcher(self) -> Dispatcher:
        settings, topics = self.settings, self.topics
        processor = JobProcessor(
            engine=self.engine,
            dependencies=PrepareDependencies(
                self.engine, FileStore.of(settings.storage), settings.limits
            ),
            publish=self.producer.publish,
            outbox=EventRoute(topics.completed, settings.announce.event_source),
            progress_topic=topics.progress,
            progress_interval=settings.announce.progress_interval,
            job_timeout=settings.limits.job_seconds,
        )
        return Dispatcher(
            processor, topics, self.breaker, Guard(self.engine, settings.retry), settings.retry
        )

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
        log.critical("giving_up", exception=type(error).__name__, frames=stack_frames(error))
        self.escaped = error
        self.stop()

    async def run(self) -> None:
        """Work until told to stop. Raises `RuntimeError` where it gave up by itself: only a restart helps."""
        await self._work()
        if self.escaped is not None:
            raise RuntimeError(
                "the worker gave up; what it had in hand comes again after a restart"
            ) from self.escaped

    async def _work(self) -> None:
        stop = self._stop
        async with self._http.serving(), self._connected(stop):
            if stop.is_set():
                return
            patience = 2 * self.settings.kafka.session_timeout
            sweeper = asyncio.create_task(self._sweep_for_ever(), name="sweeper")
            watch = asyncio.create_task(
                self.stall_detector.watch(self._stalled, patience=patience), name="vigil"
            )
            log.info(
                "started", version=__version__, prefix=self.topics.prefix, http_port=self.http_port
            )
            await stop.wait()
            self.health.stopping = True
            sweeper.cancel()
            watch.cancel()
            for topic_consumer in self.subscriptions.topic_consumers.values():
                topic_consumer.stop_waiting()
            log.info("draining", grace_seconds=self.settings.shutdown_grace)

    @contextlib.asynccontextmanager
    async def _connected(self, stop: asyncio.Event) -> AsyncIterator[None]:
        try:
            await _unless(stop, self._start())
            yield
        finally:
            await self.subscriptions.wait_until_finished(LAST_COMMITS)
            await self.broker.stop()
            await self.producer.stop()
            await self.engine.dispose()
            log.info("stopped")

    async def _start(self) -> None:
        """Wait for PostgreSQL and for Kafka, then consume."""
        # twice the longest job: another worker on this machine may still be at work on a younger one
        abandoned = await asyncio.to_thread(
            clear_abandoned_spools, 2 * self.settings.limits.job_seconds
        )
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
                log.warning(
                    "waiting_for_postgresql", reason=type(error.__cause__ or error).__name__
                )
                await asyncio.sleep(START_PAUSE)
            else:
                return

    async def _sweep_for_ever(self) -> None:
        announce = self.settings.announce
        after = timedelta(seconds=announce.sweep_after)
        while True:
            await asyncio.sleep(announce.sweep_interval)
            try:
                swept = await announce_forgotten(
                    self.engine, self.producer.publish, topic=self.topics.completed, after=after
                )
            except (SQLAlchemyError, OSError, KafkaError, Transient, Environment) as error:
                known = classify_failure(error)
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
