"""After the story: everything stays up for whoever wants to play with it."""

import shlex
import sys
import time
from pathlib import Path
from random import Random

from service.demo import files
from service.demo.stage import Stage
from service.demo.story import StoryBroken
from service.demo.university import CLOSED, TYPE, YEAR


def invitation(stage: Stage) -> str:
    """Shell commands to submit to what is running, with an example file to begin with."""
    example = _example(stage)
    uploads = shlex.quote(str(Path(sys.executable).with_name("uploads")))
    module = next(iter(stage.university.modules.values()))
    common = f"--type {TYPE.name} --year {YEAR} --wait"
    lines = [f"export {name}={shlex.quote(value)}" for name, value in stage.worker.settings.items()]
    lines += [
        "",
        f"{uploads} submit {example} {common}",
        f"{uploads} submit {example} {common} --module {module}",
    ]
    return "\n".join([*lines, f"{uploads} watch --from-beginning"])


def _example(stage: Stage) -> str:
    random = Random(YEAR)
    rows = files.purchases(random, 200, list(stage.university.modules))
    files.spoil(rows, CLOSED)
    path = stage.worker.home / "example.csv"
    path.write_bytes(files.as_csv(rows))
    return shlex.quote(str(path))


def wait_for_the_end(stage: Stage) -> None:
    """Return when Ctrl-C is pressed. Raises `StoryBroken` where the worker ends by itself."""
    try:
        while stage.worker.is_running:
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
    raise StoryBroken(stage.worker.last_words)
