"""How far rules are behind, all accounts together: for metrics and `doctor`."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from dripstone.events import reading
from dripstone.rules.models import Rule
from dripstone.triggers.turn import READER

# By primary keys, but for the rules that are on, of which there are few (rule_on).
_STANDING = """
WITH cursor AS (SELECT number FROM events_reader WHERE name = %(reader)s)
SELECT (SELECT count(*) FROM rules_rule WHERE is_on),
       COALESCE((SELECT last FROM events_numbering) - (SELECT number FROM cursor), 0),
       (SELECT e.occurred_at FROM events_number n JOIN events_event e ON e.id = n.event_id
        WHERE n.id > (SELECT number FROM cursor) ORDER BY n.id LIMIT 1)
"""


@dataclass(frozen=True, slots=True)
class Standing:
    n_on: int  # rules
    n_events: int  # that wait to be read, of all accounts; 0 while nothing listens
    oldest: datetime | None  # of these


def now(*, others_listen: bool = False) -> Standing:
    """Numbers what is visible first: else, without a worker, nothing would be said to wait.

    others_listen   automations read through the same cursor, whether a rule is on or not
    """
    if not others_listen and not Rule.objects.filter(is_on=True).exists():
        return Standing(0, 0, None)
    reading.number_visible()
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, {"reader": READER})
        return Standing(*cursor.fetchone())
