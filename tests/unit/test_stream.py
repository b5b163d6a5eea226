"""The stream of rows: sorted in windows, joined to pieces, and made in a thread ahead of COPY."""

import asyncio
import threading
from contextlib import aclosing
from itertools import chain, groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rows import copy_stream
from service.rows.copy_stream import (
    PIECE_BYTES,
    PIECES_AHEAD,
    join_into_pieces,
    run_ahead_in_thread,
    run_in_this_thread,
    sort_in_windows,
)
from tests.support.until import until

Rows = list[tuple[int, int]]


def module(row: tuple[int, int]) -> int:
    return row[0]


def numbered(modules: list[int]) -> Rows:
    return [(module, number) for number, module in enumerate(modules)]


def chunked(rows: Rows, size: int) -> list[Rows]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 7), st.integers(1, 10))
def test_every_row_comes_once_and_each_modules_in_the_order_of_the_file(
    modules: list[int], size: int, window: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copy_stream, "FIRST_WINDOW", window)
        patch.setattr(copy_stream, "LARGEST_WINDOW", 2 * window)
        rows = numbered(modules)
        chunks = list(sort_in_windows(iter(chunked(rows, size)), module, size))
    found = list(chain.from_iterable(chunks))
    assert sorted(found) == sorted(rows)
    assert all(len(chunk) <= size for chunk in chunks)
    for number in set(modules):
        own = [row for row in found if row[0] == number]
        assert own == sorted(own)


def test_the_rows_of_a_window_lie_together_by_module() -> None:
    rows = numbered([1, 2, 3, 1, 2, 3])
    found = list(chain.from_iterable(sort_in_windows(iter(chunked(rows, 2)), module, 2)))
    assert [number for number, _ in groupby(found, key=module)] == [1, 2, 3]


def test_sending_begins_long_before_all_is_read() -> None:
    taken = 0

    def chunks():
        nonlocal taken
        for chunk in chunked(numbered([3, 1, 2] * 20_000), 250):
            taken += len(chunk)
            yield chunk

    next(filter(None, sort_in_windows(chunks(), module, 250)))
    assert taken <= 2 * copy_stream.FIRST_WINDOW


@given(st.lists(st.binary(max_size=40_000), max_size=8))
def test_pieces_are_the_same_bytes_and_none_is_small_but_the_last(chunks: list[bytes]) -> None:
    *pieces, last = join_into_pieces(iter(chunks))
    assert b"".join([*pieces, last]) == b"".join(chunks)
    assert all(len(piece) >= PIECE_BYTES for piece in pieces)
    assert len(last) < PIECE_BYTES


@pytest.mark.parametrize("make", [run_ahead_in_thread, run_in_this_thread])
async def test_pieces_come_in_their_order_without_the_empty_ones(make) -> None:
    async with aclosing(make(iter([b"a", b"", b"b", b"c"]))) as pieces:
        assert [piece async for piece in pieces] == [b"a", b"b", b"c"]


@pytest.mark.parametrize("make", [run_ahead_in_thread, run_in_this_thread])
async def test_an_error_reaches_the_consumer_after_what_came_before_it(make) -> None:
    def pieces():
        yield b"a"
        raise RuntimeError("a bad file")

    found = []
    with pytest.raises(RuntimeError, match="a bad file"):
        async for piece in make(pieces()):
            found.append(piece)  # noqa: PERF401 - what came before the error counts
    assert found == [b"a"]


async def test_the_thread_is_only_a_few_pieces_ahead() -> None:
    made = []

    def pieces():
        for number in range(100):
            made.append(number)
            yield b"x"

    async with aclosing(run_ahead_in_thread(pieces())) as found:
        await anext(found)
        await until(
            lambda: len(made) >= PIECES_AHEAD, within=5, what="the thread has made what it may"
        )
        await asyncio.sleep(0)
        assert len(made) <= PIECES_AHEAD + 2


async def test_a_consumer_that_stops_early_waits_for_the_thread_to_end() -> None:
    ended = threading.Event()

    def pieces():
        try:
            for _ in range(1000):
                yield b"x"
        finally:
            ended.set()

    source = pieces()
    async with aclosing(run_ahead_in_thread(source)) as found:
        await anext(found)
    source.close()  # raises where the thread still runs it
    assert ended.is_set()
