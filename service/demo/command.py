"""Runs the demo and shows it; `uploads demo` is its only caller."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import typer
from rich.console import Console

from service.demo import keep as kept
from service.demo import report
from service.demo.server import StartFailed, Unavailable
from service.demo.stage import Stage, set_up
from service.demo.story import Story, StoryBroken, opened
from service.demo.summary import as_json as summary

Play = Callable[[Story, Console], Awaitable[None]]
"""Plays all scenes of a story, and shows them."""


def run_demo(*, as_json: bool, keep: bool, svg: Path | None) -> int:
    """Set the stage, tell the story and clear everything away; the exit code."""
    screen = report.console(stderr=as_json)
    screen.print(report.opening())
    try:
        with set_up(partial(report.working, screen)) as stage:
            story, seconds = asyncio.run(_tell(stage, _quietly if as_json else _aloud, screen))
            if as_json:
                typer.echo(summary(story, seconds))
            else:
                screen.print(report.closing(story, seconds))
            if svg:
                scene = report.scene(story.played[0], ())
                svg.write_text(report.picture(scene, report.closing(story, seconds)))
            if keep:
                _stay(stage, screen)
    except Unavailable as error:
        return _failed(error, 2)
    except (StartFailed, StoryBroken) as error:
        return _failed(error, 1)
    return 0 if story.passed else 1


async def _tell(stage: Stage, play: Play, screen: Console) -> tuple[Story, float]:
    """Play the story; with it, how many seconds it took."""
    async with opened(stage) as story:
        started = perf_counter()
        await play(story, screen)
        return story, perf_counter() - started


async def _aloud(story: Story, screen: Console) -> None:
    screen.print(report.cast(story))
    for scene in story.scenes:
        with screen.status(f"{scene.title} …"):
            played = await story.play(scene)
        screen.print(report.scene(played, story.played[:-1]))


async def _quietly(story: Story, screen: Console) -> None:
    for scene in story.scenes:
        with report.working(screen, scene.title):
            await story.play(scene)


def _stay(stage: Stage, screen: Console) -> None:
    screen.print(report.stage_direction("It keeps running. In another terminal:"))
    screen.print(kept.invitation(stage), soft_wrap=True, markup=False)
    screen.print(report.stage_direction("Ctrl-C ends it, and removes everything."))
    kept.wait_for_the_end(stage)


def _failed(error: Exception, exit_code: int) -> int:
    typer.secho(str(error), err=True, fg=typer.colors.RED)
    return exit_code
