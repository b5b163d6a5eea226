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
from service.files.spools import clear_abandoned_spools
from service.files.store import FileStore
from service.handlers import external, factors, per_year, unit_specific
from service.handlers.breaker import Breaker
from service.handlers.dispatch import Dispatcher
from service.handlers.failure_handler import FailureHandler
from service.handlers.faststream_overrides import consumer_broker
from service.handlers.stall_detector import StallDetector
from service.handlers.subscriptions import Subscriptions
from service.http.health import Health
from service.http.server import HttpServer
from service.http.status import Status
from service.jobs.failures import classify_failure
from service.jobs.outbox import announce_forgotten
from service.jobs.prepare import PrepareDependencies
from service.jobs.processor import JobProcessor
from service.jobs.transaction import EventRoute
from service.kafka.producer import Producer
from service.kafka.topic_admin import wait_for_topics
from service.settings import Settings

log = structlog.get_logger(__name__)

HANDLERS = (per_year, unit_specific, external, factors)
"""The modules that subscribe to job topics."""

START_PAUSE = 2.0
"""Seconds between two tries to reach PostgreSQL or Kafka at start."""

LAST_COMMITS = 1.0
"""Seconds for the pending commits of offsets at the end. Without them, an event is sent again."""


class WorkerGaveUp(RuntimeError):
    """The worker ended by itself, and its log says why. Its records come again after a restart."""


def build_app(settings: Settings) -> "App":
    """Build a worker from its settings. Nothing connects before `run`."""
    return App(settings)


def engine_of(settings: Settings) -> AsyncEngine:
    """Create the engine. It bounds the wait for a lock, and ends an abandoned transaction."""
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
    """One worker: its consumers, its producer, its sweeper and its HTTP port."""

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
        self.subscriptions = self._subscribe()
        topic_consumers = {one.topic: one for one in self.subscriptions.topic_consumers.values()}
        self.stall_detector = StallDetector(self.broker, topic_consumers)
        self.health = Health(self.engine, self.breaker, self.stall_detector)
        status = Status(self.engine, self.breaker, topic_consumers, self.stall_detector)
        routes = [*self.health.routes(), *status.routes(), ("/metrics", make_asgi_app(registry))]
        asgi = AsgiFastStream(self.broker, asgi_routes=routes, logger=None)
        self._http = HttpServer(asgi, settings.http)
        self._stop = asyncio.Event()
        self._gave_up_for: BaseException | None = None

    def _subscribe(self) -> Subscriptions:
        subscriptions = Subscriptions(
            self.broker,
            self._dispatcher(),
            self.topics,
            self.settings.kafka,
            self.settings.limits,
        )
        for module in HANDLERS:
            module.register(subscriptions)
        subscriptions.require_all()
        return subscriptions

    def _dispatcher(self) -> Dispatcher:
        settings, topics = self.settings, self.topics
        store = FileStore.of(settings.storage)
        processor = JobProcessor(
            engine=self.engine,
            dependencies=PrepareDependencies(self.engine, store, settings.limits),
            publish=self.producer.publish,
            event_route=EventRoute(topics.completed, settings.announce.event_source),
            progress_topic=topics.progress,
            progress_interval=settings.announce.progress_interval,
            job_timeout=settings.limits.job_seconds,
        )
        guard = Guard(self.engine, settings.retry)
        failures = FailureHandler(processor, topics, self.breaker, guard, settings.retry)
        return Dispatcher(processor, self.breaker, guard, failures)

    @property
    def http_port(self) -> int:
        """The port of the probes, once the worker runs."""
        return self._http.port

    def stop(self) -> None:
        """Let the jobs in flight end within the grace, then let `run` return."""
        self._stop.set()

    async def run(self) -> None:
        """Work until told to stop. Raises `WorkerGaveUp` if the worker ended by itself."""
        log.info("starting", version=__version__, prefix=self.topics.prefix)
        await self._work_until_stopped()
        if self._gave_up_for is not None:
            raise WorkerGaveUp from self._gave_up_for

    def _give_up(self, error: BaseException) -> None:
        """Stop because of an error that only a restart can mend. Its stack is logged here, once."""
        log.critical(
            "giving_up",
            exception=type(error).__name__,
            reason=str(error) if isinstance(error, WorkerGaveUp) else None,
            stack=stack_frames(error),
        )
        self._gave_up_for = error
        self.stop()

    def _give_up_on_stall(self, topic: str) -> None:
        self._give_up(WorkerGaveUp(f"the consumer of {topic} has stopped for good"))

    async def _work_until_stopped(self) -> None:
        async with self._http.serving(), self._connected():
            if self._stop.is_set():
                return
            # A rebalance ends within a session time-out: a consumer that stands still for two has
            # stalled.
            patience = 2 * self.settings.kafka.session_timeout
            watch = self.stall_detector.watch(self._give_up_on_stall, patience=patience)
            background = [
                asyncio.create_task(self._sweep_forever(), name="sweeper"),
                asyncio.create_task(watch, name="stall detector"),
            ]
            log.info("started", http_port=self.http_port)
            await self._stop.wait()
            self._drain(background)

    def _drain(self, background: list[asyncio.Task[None]]) -> None:
        """Turn unready, end what runs beside the jobs, and let no job wait for its next try."""
        self.health.stopping = True
        for task in background:
            task.cancel()
        self.subscriptions.stop_waiting()
        records = [one.in_flight for one in self.subscriptions.topic_consumers.values()]
        job_ids = [record.context.job_id for record in records if record is not None]
        log.info(
            "draining",
            grace_seconds=self.settings.shutdown_grace,
            job_ids=[job_id for job_id in job_ids if job_id is not None],
        )

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        try:
            await _run_unless(self._stop, self._connect())
            yield
        finally:
            # First, for a consumer that is closed can commit no more.
            await self.subscriptions.wait_until_finished(LAST_COMMITS)
            await self.broker.stop()
            await self.producer.stop()
            await self.engine.dispose()
            log.info("stopped")

    async def _connect(self) -> None:
        """Wait for PostgreSQL and for Kafka, then begin to consume."""
        # Another worker on this machine may be at work on a spool. After twice the longest job it
        # is not.
        abandoned_after = 2 * self.settings.limits.job_seconds
        cleared = await asyncio.to_thread(clear_abandoned_spools, abandoned_after)
        if cleared:
            log.info("spools_cleared", folders=cleared)
        await self._wait_for_database()
        await wait_for_topics(self.settings.kafka, self.topics, every=START_PAUSE)
        await self.producer.start()
        await self.broker.start()
        self.health.started = True

    async def _wait_for_database(self) -> None:
        while True:
            try:
                async with self.engine.connect() as conn:
                    await conn.execute(text("SELECT 1"))
            except (SQLAlchemyError, OSError) as error:
                reason = type(error.__cause__ or error).__name__
                log.warning("waiting_for_postgresql", reason=reason)
                await asyncio.sleep(START_PAUSE)
            else:
                return

    async def _sweep_forever(self) -> None:
        """Announce, now and then, the jobs whose worker died before it could."""
        announce = self.settings.announce
        after = timedelta(seconds=announce.sweep_after)
        publish, topic = self.producer.publish, self.topics.completed
        while True:
            await asyncio.sleep(announce.sweep_interval)
            try:
                swept = await announce_forgotten(self.engine, publish, topic=topic, after=after)
            except (SQLAlchemyError, OSError, KafkaError, Transient, Environment) as error:
                known = classify_failure(error)
                code = None if known is None else known.code
                log.warning("sweep_failed", code=code, reason=type(error).__name__)
            else:
                if swept:
                    log.warning("swept", jobs=swept)


async def _run_unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end, or cancel it when `stop` is set first. Raises what the work raises."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
