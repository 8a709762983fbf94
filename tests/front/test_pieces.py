"""A long body in pieces: their sizes, and how long somebody may take to send it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.errors import BadRequest, TooSlow
from dripstone.front import bodies, pieces
from tests.racing import run_apart


def client(packets: Iterable[bytes], *, ends: bool = True, pause: float = 0.0) -> bodies.Receive:
    """Who sends these, and then nothing more or, unless it `ends`, nothing at all."""
    left = list(packets)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.sleep(60)
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or not ends}

    return receive


async def all_of(found: AsyncIterator[bytes]) -> list[bytes]:
    return [one async for one in found]


def cut(receive: bodies.Receive, length: int | None = None) -> list[bytes]:
    return run_apart(all_of(pieces.cut(pieces.coming(receive, length))))


@given(st.lists(st.integers(0, 700), min_size=1, max_size=12), st.integers(1, 300))
def test_pieces_have_one_size_and_are_the_whole(sizes: list[int], piece: int) -> None:
    whole = bytes(number % 251 for number in range(sum(sizes)))
    packets = [whole[sum(sizes[:n]) : sum(sizes[: n + 1])] for n in range(len(sizes))]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pieces, "PIECE", piece)
        found = cut(client(packets))
    assert b"".join(found) == whole
    assert {len(one) for one in found[:-1]} <= {piece}
    assert not found or 1 <= len(found[-1]) <= piece


def test_a_length_that_was_told_ends_it() -> None:
    assert cut(client([b"abc", b"def"], ends=False), 6) == [b"abcdef"]
    assert cut(client([], ends=False), 0) == []


def test_who_stops_sending_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PAUSE_SECONDS", 0.05)
    with pytest.raises(TooSlow):
        cut(client([b"abc"], ends=False))


def test_who_sends_a_byte_now_and_then_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "GRACE_SECONDS", 0.1)
    with pytest.raises(TooSlow):
        cut(client([b"x"] * 100, pause=0.02))


def test_the_time_that_we_take_is_not_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "GRACE_SECONDS", 0.1)

    async def slowly() -> int:
        n_bytes = 0
        async for packet in pieces.coming(client([b"x"] * 10), None):
            await asyncio.sleep(0.03)
            n_bytes += len(packet)
        return n_bytes

    assert run_apart(slowly()) == 10


def test_a_file_in_single_bytes_is_refused() -> None:
    with pytest.raises(BadRequest):
        cut(client([b"x"] * 2_000))


def test_who_goes_away_is_gone() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(bodies.Gone):
        cut(receive)
