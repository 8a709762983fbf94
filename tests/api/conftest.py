"""A caller with Alice's key, one with Mallory's, and the clock standing still.

Imports stay inside: this file is read before Django knows its settings.
"""

from typing import Any

import pytest


@pytest.fixture
def alice(clock: Any) -> Any:
    return _caller("Alice", "America/New_York")


@pytest.fixture
def mallory(clock: Any) -> Any:
    return _caller("Mallory", "UTC")


@pytest.fixture(scope="module")
def settled_alice(made_once: None) -> Any:
    return _settled("Alice")


@pytest.fixture(scope="module")
def settled_mallory(made_once: None) -> Any:
    return _settled("Mallory")


@pytest.fixture
def unlimited(settings: Any) -> None:
    """As many requests as one likes: --deep makes thousands."""
    settings.DRIPSTONE_RATE_LIMITS = None


def _caller(name: str, time_zone: str) -> Any:
    from tests import factories
    from tests.api.caller import Caller

    account = factories.make_account(name, time_zone=time_zone)
    return Caller(account, factories.make_key(account)[1])


def _settled(name: str) -> Any:
    """Made once for all tests of a module: it takes longer than what most of them ask."""
    from tests import owned
    from tests.api.caller import Settled

    caller = _caller(name, "UTC")
    return Settled(caller.account, caller.key, owned.one_of_each(caller.account))
