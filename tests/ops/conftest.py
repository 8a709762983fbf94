from collections.abc import Iterator

import pytest

from tests.senders.scripted import SILENCE, Script, ScriptedServer, scripted


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """It does not answer a body before it is told to. Without PIPELINING, so that nothing is behind one."""

    def reply(number: int, verb: str, argument: str) -> bytes | None:
        return SILENCE if verb == "BODY" else None

    with scripted(Script(reply=reply, extensions=("8BITMIME",))) as server:
        yield server
