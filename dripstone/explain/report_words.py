"""What a report counts, in words: why people left, why an email was skipped."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from dripstone.engine import audience, reasons
from dripstone.stats.report import COMPLETED, Reasons, Report

# How people left, in the order in which it is told. What is not here is OTHERWISE: complaints, too, since it is not
# known how many there are.
OTHERWISE: Final = "left_otherwise"
LEFT: Final[Mapping[str, str]] = {
    COMPLETED: "completed the sequence",
    reasons.SUBSCRIBER_CANCELLED: "unsubscribed",
    reasons.SUBSCRIBER_BOUNCED: "refused at delivery",
    reasons.REMOVED_BY_OWNER: "taken out",
    OTHERWISE: "left otherwise",
}
CODES: Final[Mapping[str, str]] = {
    COMPLETED: "completed",
    reasons.SUBSCRIBER_CANCELLED: "unsubscribed",
    reasons.SUBSCRIBER_BOUNCED: "refused_at_delivery",
    reasons.REMOVED_BY_OWNER: "taken_out",
    OTHERWISE: "left_otherwise",
}


class Counted(NamedTuple):
    n: int
    reason: str
    words: str


def left(counts: Reasons) -> list[Counted]:
    """How many left, and how; those ways that anybody did."""
    ways = ways_of(counts)
    return [Counted(ways[way], CODES[way], said) for way, said in LEFT.items() if ways[way]]


def ways_of(counts: Reasons) -> Reasons:
    """By the keys of LEFT."""
    ways: Reasons = Counter()
    for reason, n in counts.items():
        way = _TAKEN_OUT.get(reason, reason)
        ways[way if way in LEFT else OTHERWISE] += n
    return ways


# By whomever: it is the owner's rule.
_TAKEN_OUT = dict.fromkeys((reasons.REMOVED_BY_RULE, reasons.REMOVED_BY_AUTOMATION), reasons.REMOVED_BY_OWNER)


def skipped(counts: Reasons, names: reasons.Named) -> list[Counted]:
    """The most frequent reason first. `names`: of what excludes people (names_in)."""
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Counted(n, reason, reasons.because(reason, names)) for reason, n in most_first]


def names_in(report: Report) -> reasons.Named:
    return audience.names_of(_reasons(report), report.sequence.account_id)


def _reasons(report: Report) -> Iterable[str]:
    return {reason for row in report.rows for reason in row.skipped}
