"""`uploads serve` and `uploads migrate`: what a deployment runs."""

import asyncio
import gc
import os
import signal
import threading

import structlog
import typer
import uvloop

from service import crash
from service.app import WorkerGaveUp, build_app
from service.db.migrate import upgrade
from service.domain.errors import stack_frames
from service.jobs.failures import classify_failure
from service.logs import configure_logs
from service.settings import DatabaseOnly, InvalidSettings, Settings

log = structlog.get_logger(__name__)

FAILED = 1
"""The exit code of a worker that ended by itself. Its log has one line that says why."""

FORCED_EXIT = 75
"""The exit code when the grace is over and something still hangs."""

LAST_MARGIN = 1.5
"""Seconds beyond the grace that closing connections may take."""


def register(cli: typer.Typer) -> None:
    """Add both subcommands."""
    cli.command()(serve)
    cli.command()(migrate)


def serve() -> None:
    """Consume upload jobs until told to stop.

    Waits for PostgreSQL and Kafka to come up, creates missing topics, and answers `/health/live`
    and `/health/ready` on the HTTP port. SIGTERM lets the job in flight end within
    `UPLOADS_SHUTDOWN_GRACE`.

    Example: `UPLOADS_DATABASE__URL=postgresql://… UPLOADS_KAFKA__BOOTSTRAP_SERVERS=kafka:9092
    UPLOADS_STORAGE__ROOT=file:///srv/uploads uploads serve`
    """
    settings = Settings.read()
    configure_logs(settings.log)
    crash.arm(os.environ.get("UPLOADS_CRASH_AT"))
    try:
        uvloop.run(_serve(settings))
    except WorkerGaveUp:
        raise typer.Exit(FAILED) from None
    except InvalidSettings:
        raise
    except Exception as error:  # noqa: BLE001 - the process ends, and its log must say why
        _log_failure(error)
        raise typer.Exit(FAILED) from None


def _log_failure(error: Exception) -> None:
    """Log in one line why the worker failed, without a message that may quote a row's values."""
    reason = None
    known = classify_failure(error)
    if known is not None:
        reason = known.message
    elif isinstance(error, RuntimeError):
        reason = str(error)
    log.critical(
        "worker_failed",
        exception=type(error).__name__,
        reason=reason,
        stack=stack_frames(error),
    )


async def _serve(settings: Settings) -> None:
    app = build_app(settings)
    # Everything built so far stays for good. Frozen, it is not looked through by each garbage
    # collection, during which the event loop would wait.
    gc.collect()
    gc.freeze()
    loop = asyncio.get_running_loop()

    def stop_in_time() -> None:
        app.stop()
        _exit_at_the_latest(settings.shutdown_grace + LAST_MARGIN)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_in_time)
    await app.run()


def _exit_at_the_latest(seconds: float) -> None:
    """End the process after so many seconds, even if a connection never closes.

    The job in flight is then rolled back, and its record comes again.
    """
    timer = threading.Timer(seconds, os._exit, (FORCED_EXIT,))
    timer.daemon = True
    timer.start()


def migrate() -> None:
    """Bring the database's schema to what this version needs.

    Needs `UPLOADS_DATABASE__URL` alone. Any number of replicas may run it at once: one migrates,
    the others wait for it. The application's tables are never rewritten; its rows stay as they
    are.

    Example: `UPLOADS_DATABASE__URL=postgresql://… uploads migrate`
    """
    url = DatabaseOnly.read().database.url.get_secret_value()
    asyncio.run(upgrade(url, report=typer.echo))
    typer.echo("The schema is up to date.")
