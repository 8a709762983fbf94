"""Fixtures for driving the engine. Models are imported inside: pytest may load this file before Django is set up."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dripstone.accounts.models import Account
    from tests.conftest import VirtualClock
    from tests.engine.driving import Engine


@pytest.fixture
def engine(clock: "VirtualClock", settings: Any) -> "Iterator[Engine]":
    from dripstone.engine import process
    from dripstone.senders.memory import MemorySender, accept
    from tests.engine.driving import Engine

    settings.DRIPSTONE_MAIL_URL = "memory://engine"
    process.close()
    process.current()  # its sender stays, whatever the URL says later (limit)
    mail = MemorySender.named("engine")
    mail.messages.clear()
    mail.answer, mail.eight_bit = accept, False
    yield Engine(clock, mail)
    process.close()


@pytest.fixture
def limit(settings: Any) -> Callable[[str], None]:
    """What the mail URL says of its server, as in "per_second=50". Mail goes to the sender there is already."""

    def set_limit(options: str) -> None:
        settings.DRIPSTONE_MAIL_URL = f"smtp://h?{options}"

    return set_limit


@pytest.fixture
def alice(db: None) -> "Account":
    from tests.factories import make_account

    return make_account("Alice")
