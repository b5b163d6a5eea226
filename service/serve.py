"""`uploads serve` and `uploads migrate`: what a deployment runs."""

import asyncio
import gc
import os
import signal
import threading

import typer
import uvloop

from service import crash
from service.app import build_app
from service.db.migrate import upgrade
from service.logs import configure_logs
from service.settings import DatabaseOnly, Settings

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

    Waits for PostgreSQL and Kafka to come up, creates missing topics, and answers `/health/live` and
    `/health/ready` on the HTTP port. SIGTERM lets the job in hand end within `UPLOADS_SHUTDOWN_GRACE`.

    Example: `UPLOADS_DATABASE__URL=postgresql://… UPLOADS_KAFKA__BOOTSTRAP_SERVERS=kafka:9092
    UPLOADS_STORAGE__ROOT=file:///srv/uploads uploads serve`
    """
    settings = Settings.read()
    configure_logs(settings.log)
    crash.arm(os.environ.get("UPLOADS_CRASH_AT"))
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    app = build_app(settings)
    gc.collect()
    gc.freeze()  # what is here to stay need not be looked through again and again, while the event loop waits
    loop = asyncio.get_running_loop()

    def told_to_stop() -> None:
        app.stop()
        _exit_at_the_latest(settings.shutdown_grace + LAST_MARGIN)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop)
    await app.run()


def _exit_at_the_latest(seconds: float) -> None:
    """End the process even if a connection never closes: whatever was in hand is rolled back and comes again."""
    timer = threading.Timer(seconds, os._exit, (FORCED_EXIT,))
    timer.daemon = True
    timer.start()


def migrate() -> None:
    """Bring the database's schema to what this version needs.

    Needs `UPLOADS_DATABASE__URL` alone. Any number of replicas may run it at once: one migrates, the
    others wait for it. The application's tables are never rewritten; its rows stay as they are.

    Example: `UPLOADS_DATABASE__URL=postgresql://… uploads migrate`
    """
    url = DatabaseOnly.read().database.url.get_secret_value()
    asyncio.run(upgrade(url, report=typer.echo))
    typer.echo("The schema is up to date.")
