"""Is the engine running, since when, and may it send? One row for all workers (models.Pulse).

Each tick writes a beat. A process that finds the last beat long past looks for overdue mail before anything is sent:
after a restored backup, a long outage or with a clock set wrong, the engine must not decide by itself to mail the past
(docs/decisions/late-mail.md). None of this applies to the virtual clock, which is made to be moved by months.
A crash here means nothing was written; the next process looks again.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import connection, transaction

from dripstone import clock
from dripstone.engine.models import Pulse

log = structlog.get_logger(__name__)

BEAT_EVERY = timedelta(seconds=10)  # ticks come every 5 seconds, from every worker; one write in ten is enough
ENGINE_SILENT_SECONDS = 60  # a worker process writes a heartbeat every 10 s
GAP = timedelta(minutes=2)  # no tick waits that long for a free thread
AHEAD = timedelta(hours=1)  # a beat further in the future than this means that the clock was set back

# The first beats of a database make the row; beats never go backwards. running_since moves on after a gap.
_BEAT = """
INSERT INTO engine_pulse (id, beat_at, running_since) VALUES (1, %(now)s, %(now)s)
ON CONFLICT (id) DO UPDATE SET beat_at = %(now)s,
    running_since = CASE WHEN engine_pulse.beat_at >= %(gap)s THEN engine_pulse.running_since ELSE %(now)s END
WHERE engine_pulse.beat_at IS NULL OR engine_pulse.beat_at <= %(stale)s
"""

_SENT = """
INSERT INTO engine_pulse (id, sent_at) VALUES (1, %(now)s)
ON CONFLICT (id) DO UPDATE SET sent_at = %(now)s WHERE engine_pulse.sent_at IS NULL OR engine_pulse.sent_at < %(now)s
"""

# procrastinate_workers holds only a row per worker process, so no index is needed.
_LAST_HEARTBEAT = "SELECT max(last_heartbeat) FROM procrastinate_workers"

# People due in sequences that may send. One range of the index enrollment_due per active sequence: it costs what is
# due, whatever waits. What is ready of the planned, whatever its origin: indexes delivery_ready_of_account and
# delivery_notice_of_account, at the cost of what is planned.
_OVERDUE = """
SELECT due.n, due.oldest, ready.n, ready.oldest FROM
    (SELECT coalesce(sum(one.n), 0)::bigint AS n, min(one.oldest) AS oldest FROM sequences_sequence s
     CROSS JOIN LATERAL (SELECT count(*) AS n, min(e.due_at) AS oldest FROM engine_enrollment e
                         WHERE e.sequence_id = s.id AND e.due_at <= %(now)s) one
     WHERE s.active AND s.deleted_at IS NULL) due,
    (SELECT count(*) AS n, min(one.at) AS oldest FROM
        (SELECT d.ready_at AS at FROM engine_delivery d LEFT JOIN sequences_sequence s ON s.id = d.sequence_id
         WHERE d.status = 'planned' AND d.ready_at <= %(now)s
           AND (d.sequence_id IS NULL OR s.active AND s.deleted_at IS NULL)
         UNION ALL
         SELECT d.notice_ready_at FROM engine_delivery d WHERE d.notice_ready_at <= %(now)s) one) ready
"""


class Overdue(NamedTuple):
    """What would go at once if sending went on."""

    n_people: int  # due, and not planned yet
    due_since: datetime | None  # the longest waiting of them
    n_deliveries: int  # planned, and ready to be sent
    ready_since: datetime | None

    @property
    def n(self) -> int:
        return self.n_people + self.n_deliveries

    @property
    def oldest(self) -> datetime | None:
        return min((at for at in (self.due_since, self.ready_since) if at is not None), default=None)


def beat(now: datetime) -> bool:
    """A tick has begun. Returns False if sending is halted: then nothing may be planned or sent."""
    if clock.is_virtual():
        return True
    may = may_send(now)
    with connection.cursor() as cursor:
        cursor.execute(_BEAT, {"now": now, "gap": now - GAP, "stale": now - BEAT_EVERY})
    return may


def sent(now: datetime) -> None:
    """A mail server took something."""
    if not clock.is_virtual():
        with connection.cursor() as cursor:
            cursor.execute(_SENT, {"now": now})


def read() -> Pulse:
    """The row, or an empty one when the engine has never run."""
    return Pulse.objects.filter(pk=1).first() or Pulse()


def may_send(now: datetime) -> bool:
    """Whether sending may go on. Checked before every tick and every batch, by one read of one row.

    The first process to check after a long silence looks for overdue mail, and halts all sending if there is any.
    """
    if clock.is_virtual():
        return True
    pulse = read()
    if is_halted(pulse, now):
        return False
    return not _was_silent(pulse, now) or not _halt_if_overdue(now)


def is_halted(pulse: Pulse, now: datetime) -> bool:
    return not clock.is_virtual() and (pulse.halted_at is not None or is_ahead(pulse, now))


def is_ahead(pulse: Pulse, now: datetime) -> bool:
    """The last beat lies in the future: the machine's clock is wrong now, or was then."""
    return settings.DRIPSTONE_ASK_AFTER_HOURS > 0 and pulse.beat_at is not None and pulse.beat_at - now > AHEAD


def overdue(now: datetime) -> Overdue:
    with connection.cursor() as cursor:
        cursor.execute(_OVERDUE, {"now": now})
        return Overdue(*cursor.fetchone())


def resume(now: datetime) -> None:
    """Let sending go on, and forget the silence before."""
    Pulse.objects.update_or_create(
        pk=1, defaults={"beat_at": now, "running_since": now, "halted_at": None, "halted_after": None}
    )


def _was_silent(pulse: Pulse, now: datetime) -> bool:
    longest = timedelta(hours=settings.DRIPSTONE_ASK_AFTER_HOURS)
    return bool(longest) and pulse.beat_at is not None and now - pulse.beat_at > longest


@transaction.atomic
def _halt_if_overdue(now: datetime) -> bool:
    """One process looks, the others wait for its answer."""
    pulse = Pulse.objects.select_for_update().get(pk=1)
    if pulse.halted_at is not None or not _was_silent(pulse, now):
        return pulse.halted_at is not None
    found = overdue(now)
    if found.n:
        pulse.halted_at, pulse.halted_after = now, pulse.beat_at
        log.warning(
            "sending_halted", people=found.n_people, deliveries=found.n_deliveries, mend="dripstone resume-sending"
        )
    pulse.beat_at = pulse.running_since = now
    pulse.save()
    return bool(found.n)


def last_heartbeat() -> datetime | None:
    """When a worker last reported that it lives, by the machine's clock; None if none runs."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST_HEARTBEAT)
        instant: datetime | None = cursor.fetchone()[0]
    return instant
