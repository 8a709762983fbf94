"""What stands beside the emails of a sequence: how it sends. Checks and the coming week come after the page."""

from dataclasses import dataclass
from typing import Any

from dripstone import clock, words
from dripstone.explain import door_words
from dripstone.sequences.models import Sequence
from dripstone.sequences.sequence_checks import SOURCES
from dripstone.stats import doors

NAMED = 5  # of each kind that is left out
DOORS = 5  # by which most came


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Whoever has one of these tags, is on one of these forms …"""

    kind: str
    names: str


def context(sequence: Sequence) -> dict[str, Any]:
    """For sequences/_beside.html. The sequence comes with its sending_address and email_template."""
    return {
        "sequence": sequence,
        "days": words.days(sequence.send_days),
        "sequence_zone": words.zone(sequence.time_zone),
        "left_out": left_out(sequence),
        "doors": door_words.told(doors.of_sequence(sequence.pk, clock.now()).rows[:DOORS], sequence.account_id),
    }


def left_out(sequence: Sequence) -> list[LeftOut]:
    """A query for each kind that is used."""
    account = sequence.account_id
    return [_named(account, source["type"], source["ids"]) for source in sequence.exclude_subscriber_sources]


def _named(account_id: int, kind: str, ids: list[int]) -> LeftOut:
    rows = SOURCES[kind]._default_manager.filter(account=account_id, pk__in=ids)
    names = list(rows.order_by("pk").values_list("name", flat=True)[:NAMED])
    more = len(ids) - len(names)
    plural = kind if len(ids) == 1 else f"{kind}s"
    return LeftOut(plural, words.listed([*names, f"{more:,} more"] if more > 0 else names))
