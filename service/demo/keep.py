"""After the story: with `--keep`, everything keeps running for people who want to try it."""

import shlex
import sys
import time
from pathlib import Path
from random import Random

from service.demo import files
from service.demo.parts import Parts
from service.demo.story import StoryBroken
from service.demo.university import TYPE, UNIT_WITHOUT_REPORT, YEAR


def example_commands(parts: Parts) -> str:
    """Return shell commands that submit an example file to the running worker."""
    example = _write_example_file(parts)
    uploads = shlex.quote(str(Path(sys.executable).with_name("uploads")))
    module = next(iter(parts.university.modules.values()))
    common = f"--type {TYPE.name} --year {YEAR} --wait"

    lines = [f"export {name}={shlex.quote(value)}" for name, value in parts.worker.settings.items()]
    lines += [
        "",
        f"{uploads} submit {example} {common}",
        f"{uploads} submit {example} {common} --module {module}",
        f"{uploads} watch --from-beginning",
    ]
    return "\n".join(lines)


def _write_example_file(parts: Parts) -> str:
    """Write 200 purchases, eight of them wrong; return the path, quoted for a shell."""
    rows = files.purchases(Random(YEAR), 200, list(parts.university.modules))
    files.spoil_eight_rows(rows, UNIT_WITHOUT_REPORT)
    path = parts.worker.home / "example.csv"
    path.write_bytes(files.as_csv(rows))
    return shlex.quote(str(path))


def wait_for_ctrl_c(parts: Parts) -> None:
    """Return when Ctrl-C is pressed. Raises `StoryBroken` when the worker ends by itself."""
    try:
        while parts.worker.is_running:
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
    raise StoryBroken(parts.worker.state_and_log)
