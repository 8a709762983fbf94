"""Bulk jobs beside a virtual clock (engine/virtual.py: Beside): what was asked for is done before the clock moves."""

from collections.abc import Callable
from datetime import datetime

from dripstone.bulk import operations, runner


def until_idle(now: Callable[[], datetime]) -> None:
    while (account_id := runner.take_turn()) is not None:
        runner.finish(operations.ALL, account_id, now)


def next_instant(after: datetime) -> None:
    """None: they wait for no instant."""
