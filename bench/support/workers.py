"""The workers under measurement, as processes, and the memory and processor time they use."""

import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from bench.support.servers import Servers
from service.demo.processes import children
from service.settings import Settings
from tests.support.worker import Process, process

TICKS = os.sysconf("SC_CLK_TCK")


def settings_of(servers: Servers, database: str, **more: Any) -> Settings:
    """The default settings of a worker, with the servers' addresses and its own topics."""
    root = servers.home / "root"
    root.mkdir(exist_ok=True)
    kafka = {
        "bootstrap_servers": servers.kafka.bootstrap_servers,
        "topic_prefix": f"bench{secrets.token_hex(3)}",
    }
    return Settings(
        database={"url": database},
        kafka=kafka,
        storage={"root": root.as_uri()},
        http={"host": "127.0.0.1", "port": 0},
        _env_file=None,
        **more,
    )


@asynccontextmanager
async def workers(settings: Settings, home: Path, count: int = 1) -> AsyncIterator[list[Process]]:
    """Run `count` workers of one group, once they are ready to work."""
    async with AsyncExitStack() as stack:
        log = home / f"{settings.kafka.topic_prefix}.log"
        started = [stack.enter_context(process(settings, log)) for _ in range(count)]
        for worker in started:
            await worker.ready(within=90)
        yield started


def memory(worker: Process) -> float:
    """The memory that a worker uses now, in MB."""
    return _read_status(worker, "VmRSS")


def peak_memory(worker: Process) -> float:
    """The most memory that a worker has used since `forget_peak`, in MB."""
    return _read_status(worker, "VmHWM")


def forget_peak(worker: Process) -> None:
    """Reset the peak of a worker's memory."""
    _proc(worker, "clear_refs").write_text("5")


def cpu_seconds(pid: int) -> float:
    """Processor seconds that a process and its children have used, ended children included."""
    used = 0.0
    for each in (*children(pid), pid):
        with suppress(OSError):  # it has just ended
            used += time.clock_gettime((~each << 3) | 2)  # Linux: the clock of that process
    ended = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[13:15]
    return used + sum(map(int, ended)) / TICKS


def _read_status(worker: Process, name: str) -> float:
    lines = _proc(worker, "status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def _proc(worker: Process, name: str) -> Path:
    assert worker.process is not None
    return Path(f"/proc/{worker.process.pid}/{name}")
