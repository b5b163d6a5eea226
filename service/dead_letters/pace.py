"""How carefully a replay sends letters: at a limited rate, and the first ones in waves.

The pace is the rate and the waves together. A wave is a number of letters that must end well before
any other letter is sent. A canary is a series of waves that grow, such as 1, 5 and 25: if the cause
of the failures is still there, it shows after a few letters, and the rest is not sent.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from service.db.dead_letters import states_of
from service.domain.errors import UploadError
from service.domain.model import LetterState

_POLL_SECONDS = 0.25


class CameBack(UploadError):
    """A letter of a wave came back as a new dead letter, so the rest was not sent."""

    code = "came_back"


class NotEnded(UploadError):
    """The letters of a wave have not ended in time, so the rest was not sent."""

    code = "not_ended"


@dataclass(frozen=True, slots=True)
class Pace:
    """How carefully letters are sent.

    `rate` is the most letters a second, None for no limit. `waves` are numbers of letters that are
    sent first, one wave after the other. All letters of a wave must have ended within `patience`
    seconds, and none may have come back, before anything else is sent.
    """

    rate: float | None = None
    waves: tuple[int, ...] = ()
    patience: float = 120.0


class PaceKeeper:
    """Makes one replay wait as its pace asks for."""

    def __init__(self, engine: AsyncEngine, pace: Pace) -> None:
        self._engine = engine
        self._pace = pace
        self._waves = deque(pace.waves)
        self._current_wave: list[UUID] = []

    async def wait_after(self, letter_id: UUID) -> None:
        """Wait after this letter was sent. Raises `CameBack` and `NotEnded`."""
        if self._waves:
            self._current_wave.append(letter_id)
            if len(self._current_wave) == self._waves[0]:
                await self._wait_for_wave()
                self._waves.popleft()
                return
        if self._pace.rate:
            await asyncio.sleep(1 / self._pace.rate)

    async def wait_for_last_wave(self) -> None:
        """Wait for the letters of the last wave, if there were too few letters to fill it.

        Raises `CameBack` and `NotEnded`.
        """
        await self._wait_for_wave()

    async def _wait_for_wave(self) -> None:
        deadline = monotonic() + self._pace.patience
        while not await self._has_wave_ended():
            if monotonic() > deadline:
                raise NotEnded("waited", seconds=self._pace.patience)
            await asyncio.sleep(_POLL_SECONDS)
        self._current_wave.clear()

    async def _has_wave_ended(self) -> bool:
        async with self._engine.connect() as conn:
            states = await states_of(conn, self._current_wave)
        came_back = [
            str(letter_id) for letter_id, state in states.items() if state is LetterState.FAILED
        ]
        if came_back:
            raise CameBack("letters", letters=came_back)
        return not {LetterState.CLAIMED, LetterState.SENT}.intersection(states.values())
