"""How far automations are behind, all accounts together: for metrics and `doctor`."""

from dataclasses import dataclass
from datetime import datetime

from dripstone.automations.book import listening
from dripstone.automations.steps import fetch

# By walk_due, of the automations that are active, of which there are few. Counting stops at a number that says it all.
_STANDING = """
SELECT (SELECT count(*) FROM automations_automation WHERE status = 'active'), count(due.due_at), min(due.due_at)
FROM automations_automation a
CROSS JOIN LATERAL (SELECT w.due_at FROM automations_walk w
                    WHERE w.automation_id = a.id AND w.left_at IS NULL AND w.due_at <= %(now)s
                    ORDER BY w.due_at LIMIT %(most)s) due
WHERE a.status = 'active'
"""
MOST = 100_000  # counted of each automation


@dataclass(frozen=True, slots=True)
class Standing:
    n_active: int  # automations
    n_due: int  # people whose wait is over and who have not been moved on
    oldest: datetime | None  # since when the first of them


def are_listening() -> bool:
    """Whether any of them hears of events."""
    return listening().exists()


def now(at: datetime) -> Standing:
    [row] = fetch(_STANDING, now=at, most=MOST)
    return Standing(*row)
