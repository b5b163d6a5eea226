"""Runs the demo and shows it; only `uploads demo` calls this module."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import typer
from rich.console import Console

from service.demo import keep as keep_running
from service.demo import report
from service.demo.parts import Parts, start_parts
from service.demo.server import StartFailed, Unavailable
from service.demo.story import Story, StoryBroken, open_story
from service.demo.summary import as_json as story_as_json

RunSteps = Callable[[Story, Console], Awaitable[None]]
"""Runs all steps of a story, and shows them on a console."""


def run_demo(*, as_json: bool, keep: bool, svg: Path | None) -> int:
    """Start the parts, run the story and remove everything; return the exit code.

    With `as_json` the result goes to stdout as JSON, and the progress to stderr. With `keep` the
    parts run until Ctrl-C. `svg` is a file to write a picture of the first step and the end to.

    Exit codes: 0 all checks hold, 1 one does not or a part failed, 2 a program is missing.
    """
    screen = report.console(stderr=as_json)
    run_steps = _run_silently if as_json else _run_and_report
    screen.print(report.opening())
    try:
        with start_parts(partial(report.show_progress, screen)) as parts:
            story, seconds = asyncio.run(_run_story(parts, run_steps, screen))
            if as_json:
                typer.echo(story_as_json(story, seconds))
            else:
                screen.print(report.closing(story, seconds))
            if svg:
                first_step = report.step_report(story.results[0], ())
                svg.write_text(report.as_svg(first_step, report.closing(story, seconds)))
            if keep:
                _stay(parts, screen)
    except Unavailable as error:
        return _print_error(error, 2)
    except (StartFailed, StoryBroken) as error:
        return _print_error(error, 1)
    return 0 if story.passed else 1


async def _run_story(parts: Parts, run_steps: RunSteps, screen: Console) -> tuple[Story, float]:
    """Run the story; return it with the seconds that it took."""
    async with open_story(parts) as story:
        started = perf_counter()
        await run_steps(story, screen)
        return story, perf_counter() - started


async def _run_and_report(story: Story, screen: Console) -> None:
    screen.print(report.university_summary(story))
    for step in story.steps:
        with screen.status(f"{step.title} …"):
            result = await story.run_step(step)
        screen.print(report.step_report(result, story.results[:-1]))


async def _run_silently(story: Story, screen: Console) -> None:
    for step in story.steps:
        with report.show_progress(screen, step.title):
            await story.run_step(step)


def _stay(parts: Parts, screen: Console) -> None:
    screen.print(report.remark("It keeps running. In another terminal:"))
    screen.print(keep_running.example_commands(parts), soft_wrap=True, markup=False)
    screen.print(report.remark("Ctrl-C ends it, and removes everything."))
    keep_running.wait_for_ctrl_c(parts)


def _print_error(error: Exception, exit_code: int) -> int:
    typer.secho(str(error), err=True, fg=typer.colors.RED)
    return exit_code
