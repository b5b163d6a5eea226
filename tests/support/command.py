"""The `uploads` command with its own environment, run in this process or as another process."""

import asyncio
import io
import os
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.__main__ import main


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it wrote."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


def run(*arguments: str | Path, **settings: str) -> Ran:
    """Run `uploads` with these arguments and only these settings (`UPLOADS_DATABASE__URL="…"`)."""
    out, err = _stream(), _stream()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(tempfile.gettempdir())  # away from a developer's .env file
        for name in [name for name in os.environ if name.startswith("UPLOADS_")]:
            patch.delenv(name)
        for name, value in settings.items():
            patch.setenv(name, value)
        exit_code = _exit_code([str(argument) for argument in arguments])
    return Ran(exit_code, _written(out), _written(err))


async def uploads(*arguments: str | Path, **settings: str) -> Ran:
    """Do the same in a thread, for tests with a running event loop.

    The standard streams are redirected meanwhile, so nothing else may write to them.
    """
    return await asyncio.to_thread(run, *arguments, **settings)


async def start(*arguments: str | Path, **settings: str) -> asyncio.subprocess.Process:
    """Start `uploads` as a process; its standard streams are pipes."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("UPLOADS_")
    }
    piped = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    command = (sys.executable, "-m", "service", *map(str, arguments))
    return await asyncio.create_subprocess_exec(*command, env=inherited | settings, **piped)


async def finished(*arguments: str | Path, **settings: str) -> Ran:
    """Run `uploads` as a process, to its end."""
    process = await start(*arguments, **settings)
    out, err = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), err.decode())


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)


def _written(stream: io.TextIOWrapper) -> str:
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined] # the buffer is a BytesIO


def _exit_code(arguments: list[str]) -> int:
    try:
        main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
