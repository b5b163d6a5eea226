"""Work that a test lets go on and end when it likes."""

import asyncio


class Work:
    """Something to do that takes until it may end."""

    def __init__(self) -> None:
        self.began, self.may_end, self.ended = asyncio.Event(), asyncio.Event(), False

    async def do(self) -> None:
        self.began.set()
        await self.may_end.wait()
        self.ended = True
