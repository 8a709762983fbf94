"""A mail server that says what it is told to, and where a worker that is going to die finds everything."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.senders.scripted import ScriptedServer, scripted

if TYPE_CHECKING:
    from tests.crash.doomed import Place


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted() as server:
        yield server


@pytest.fixture
def place(server: ScriptedServer, tmp_path: Path, settings: Any) -> "Iterator[Place]":
    """This process looks at the same flight logs and the same server as the worker."""
    from django.db import connection  # not before pytest-django has read the settings

    from dripstone.engine import process
    from tests.crash.doomed import Place

    place = Place(connection.settings_dict["NAME"], tmp_path, f"{server.url}&connections=1")
    settings.DRIPSTONE_DATA, settings.DRIPSTONE_MAIL_URL = place.data, place.mail_url
    process.close()
    yield place
    process.close()
