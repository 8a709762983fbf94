"""Mail to an account's owners: at most one for each place and minute, with how many it tells of."""

from collections.abc import Sequence
from datetime import datetime


def ask(account_id: int, place: str, texts: Sequence[tuple[int, str]], now: datetime) -> None:
    """To be told to the owners, in the caller's transaction.

    place   "rule 7 2"
    texts   by person
    """
    raise NotImplementedError


def send_due(now: datetime) -> int:
    """Queue the mails whose minute is over. Returns how many places spoke."""
    raise NotImplementedError


def next_instant(after: datetime) -> datetime | None:
    """When the next one may go, later than that."""
    raise NotImplementedError
