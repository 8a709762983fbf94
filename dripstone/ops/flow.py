"""Does mail flow? Not whether the parts are there (readiness.py), but whether mail moves: for /healthz and `doctor`.

Paused people, paused sequences and retries whose time has not come are no stop. With the virtual clock nothing is one:
it stands still until it is moved.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from dripstone import clock, words
from dripstone.engine import claim, pulse
from dripstone.engine.acts import overdue
from dripstone.engine.models import Delivery
from dripstone.engine.pulse import Overdue
from dripstone.ops import past
from dripstone.senders import breaker

REFUSED_AT_LEAST = 5  # one person's mail server that says "later" for a day is not a stop

# Counts those that were refused before and still wait, of the next hundred and of the next hundred notices. Reads all
# that is planned by the partial indexes delivery_ready_of_account and delivery_notice_of_account; asked only while
# nothing is ready and nothing goes.
_REFUSED = """
SELECT count(*), min(planned_at) FROM (
    (SELECT planned_at, attempt, reason FROM engine_delivery
     WHERE status = 'planned' AND ready_at < %(parked)s ORDER BY ready_at LIMIT 100)
    UNION ALL
    (SELECT planned_at, attempt, reason FROM engine_delivery
     WHERE notice_ready_at IS NOT NULL ORDER BY notice_ready_at LIMIT 100)) next
WHERE attempt > 0 AND reason <> '' AND planned_at <= %(cutoff)s
"""


def stopped(now: datetime) -> str:
    """Why no mail flows, and what to do about it; empty when it does, or when there is none to send."""
    if clock.is_virtual():
        return ""
    if halted := overdue.why_halted(now):
        return f"{halted} To decide: {past.COMMAND}"
    cutoff = now - timedelta(minutes=settings.DRIPSTONE_STUCK_AFTER_MINUTES)
    beats = pulse.read()
    has_just_started = beats.running_since is None or beats.running_since > cutoff
    has_just_sent = beats.sent_at is not None and beats.sent_at > cutoff
    return "" if has_just_started or has_just_sent else _what_waits(now, cutoff)


def _what_waits(now: datetime, cutoff: datetime) -> str:
    found, minutes = pulse.overdue(now), settings.DRIPSTONE_STUCK_AFTER_MINUTES
    if found.oldest is not None and found.oldest <= cutoff:
        return _at_the_gate(now, found, minutes)
    with connection.cursor() as cursor:
        cursor.execute(_REFUSED, {"parked": Delivery.PARKED, "cutoff": cutoff})
        n_refused, since = cursor.fetchone()
    if n_refused < REFUSED_AT_LEAST:
        return ""
    return (
        f"The mail server has taken nothing for {minutes} minutes, and refuses "
        f"mail planned at {since:%Y-%m-%d %H:%M} UTC: look at the workers' log, and check DRIPSTONE_MAIL_URL."
    )


def _at_the_gate(now: datetime, found: Overdue, minutes: int) -> str:
    """Something waits: because the breaker is open, because a limit is used up (no finding), or because it is stuck."""
    mail = claim.server()
    if left_alone := next((row for row in breaker.open_ones() if row.server == mail.server), None):
        return (
            f"The mail server has accepted nothing since {left_alone.opened_at:%Y-%m-%d %H:%M} UTC, and everything "
            "waits: dripstone doctor says what it answered."
        )
    if (claim.opens_at(now) or now) > now:
        return ""
    return (
        f"{words.count(found.n, 'email')} should have gone, the oldest at {found.oldest:%Y-%m-%d %H:%M} UTC, and "
        f"nothing was sent for {minutes} minutes: look at the workers' log, and restart them."
    )


def in_words(found: Overdue, now: datetime) -> str:
    """How much is on its way, for `doctor`."""
    if found.oldest is None:
        return "Nothing is overdue."
    waits = (now - found.oldest).total_seconds()
    return f"{found.n_people:,} people due and {found.n_deliveries:,} emails ready, the longest for {waits:.0f} s."
