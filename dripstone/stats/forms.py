"""How many people are on forms, and where they came from. What grows is kept, or looked at as far as a bound."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from dripstone.subscribers.models import State
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind

WEEK = timedelta(days=7)
MOST_IN_WEEK = 1_000  # beyond, it is "1,000 or more"
NEWEST = 10_000  # people of a form whose origin is counted
MOST_SOURCES = 12  # of a kind; a robot may invent any number

# Purpose: how many came by each of these forms since some day, as far as anybody counts. From form_subscription_by_time
# alone, at most 1,001 entries of it per form: 0.1 ms each.
_SINCE = """
SELECT f.id, (SELECT count(*) FROM (SELECT 1 FROM subscribers_formsubscription s
                                    WHERE s.form_id = f.id AND s.added_at > %(since)s LIMIT %(most)s) newest)
FROM unnest(%(forms)s::bigint[]) f (id)
"""

# Purpose: where the newest people of a form came from: by the site of the page, by utm_source, by utm_campaign. By
# form_subscription_by_time, newest first; 10,000 rows in 40 ms, so it comes after the page.
_SOURCES = """
WITH newest AS (
    SELECT substring(lower(referrer) from '^https?://(?:[^/?#@]*@)?([^/:?#]+)') AS site, utm_source, utm_campaign
    FROM subscribers_formsubscription WHERE form_id = %(form)s ORDER BY added_at DESC LIMIT %(newest)s),
counted AS (
    SELECT kind, name, count(*) AS n
    FROM newest CROSS JOIN LATERAL (VALUES ('site', site), ('utm_source', utm_source),
                                           ('utm_campaign', utm_campaign)) told (kind, name)
    GROUP BY kind, name)
SELECT kind, name, n FROM (
    SELECT *, row_number() OVER (PARTITION BY kind ORDER BY n DESC, name) AS place FROM counted) ranked
WHERE place <= %(most)s ORDER BY kind, place
"""


@dataclass(frozen=True, slots=True)
class People:
    """active       on the form, and mailed
    unconfirmed  on the form, and not confirmed
    this_week    came in the last seven days, whatever became of them; MOST_IN_WEEK + 1 for more than that
    """

    active: int
    unconfirmed: int
    this_week: int

    @property
    def week_in_words(self) -> str:
        return f"{MOST_IN_WEEK:,}+" if self.this_week > MOST_IN_WEEK else f"{self.this_week:,}"


def people(form_ids: Collection[int], now: datetime) -> dict[int, People]:
    """By form: two queries, whatever there are."""
    counts = tallies.of(Kind.ON_FORM, form_ids)
    with connection.cursor() as cursor:
        cursor.execute(_SINCE, {"forms": list(form_ids), "since": now - WEEK, "most": MOST_IN_WEEK + 1})
        weeks: Mapping[int, int] = dict(cursor.fetchall())
    return {pk: People(counts[pk, State.ACTIVE], counts[pk, State.INACTIVE], weeks.get(pk, 0)) for pk in form_ids}


@dataclass(frozen=True, slots=True)
class Source:
    """name: None for those who did not say"""

    name: str | None
    n: int


def sources(form_id: int) -> dict[str, list[Source]]:
    """`site`, `utm_source`, `utm_campaign` → the most frequent of the newest people."""
    found: dict[str, list[Source]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_SOURCES, {"form": form_id, "newest": NEWEST, "most": MOST_SOURCES})
        for kind, name, n in cursor.fetchall():
            found.setdefault(kind, []).append(Source(name, n))
    return found
