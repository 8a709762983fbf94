"""Between planned and claimed: how much may be claimed for the server now. Its breaker, its pace, its connections.

Takes       what is planned and ready
Leaves      at most as many rows claimed as the server may get now; all others are not touched, however many wait
A crash here means the claim was not committed, or rows in `sending` that never left: rescue.py gives them back. The
tokens taken for them are lost, and the probe, if it was one, may be made again after breaker.PROBE_TIME.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from dripstone import clock
from dripstone.engine import plan, queries, record, send, wake
from dripstone.engine.plan import Claimed
from dripstone.engine.record import Tally
from dripstone.engine.render import Rendered
from dripstone.engine.send import Outcome
from dripstone.senders import breaker, pace, shares, urls
from dripstone.senders.base import Outgoing, Sender
from dripstone.senders.limits import NO_LIMIT, Limit, Wish
from dripstone.senders.models import Breaker
from dripstone.senders.smtp import SmtpSender
from dripstone.senders.urls import MailUrl

WORTHWHILE = timedelta(seconds=0.2)  # of a limit per second: batches smaller than that cost more than they give
HELD_UP = timedelta(seconds=0.05)  # from the claim to the hand-over: a new email is compiled, the machine is busy


@dataclass(frozen=True, slots=True)
class Batch:
    rows: list[Claimed]
    server: MailUrl
    claimed_at: datetime  # and tokens of the server taken
    is_probe: bool = False


def server() -> MailUrl:
    return urls.parse(settings.DRIPSTONE_MAIL_URL)


def claim(holder: str, sender: Sender, now: datetime) -> Batch:
    """As much as may go now. Committed when this returns, unless the caller is in a transaction.

    holder  "worker/batch number" (process.batch)
    """
    mail = server()
    if not _may_connect(mail, holder.partition("/")[0], sender, now):
        return Batch([], mail, now)
    if rows := _claim(mail, holder, now, wake.BATCH, mail.server):
        return Batch(rows, mail, now)
    return Batch(_claim_probe(mail, holder, now), mail, now, is_probe=True)


def _claim(mail: MailUrl, worker: str, now: datetime, most: int, unless_open: str) -> list[Claimed]:
    if mail.limit.is_none:
        return plan.claim(worker, now, most, unless_open)
    with pace.server_gauge(mail.server, mail.limit) as gauge:
        rows = plan.claim(worker, now, min(gauge.room(now), most), unless_open)
        gauge.take(now, len(rows))
        return rows


def _claim_probe(mail: MailUrl, worker: str, now: datetime) -> list[Claimed]:
    """Half-open. The probe is taken only together with something to send."""
    with transaction.atomic():
        is_ours = breaker.take_probe(mail.server, now)
        rows = _claim(mail, worker, now, breaker.PROBE, unless_open="") if is_ours else []
        if not rows:
            transaction.set_rollback(True)
        return rows


def _may_connect(mail: MailUrl, worker: str, sender: Sender, now: datetime) -> bool:
    """Where the workers share their connections: take our part. The virtual clock has one worker at a time."""
    if mail.connections_in_all is None or clock.is_virtual() or not isinstance(sender, SmtpSender):
        return True
    n_mine = shares.renew(mail.server, worker, mail.connections_in_all, mail.connections, now)
    if n_mine:
        sender.limit_connections(n_mine)
    return n_mine > 0


def give_up(worker: str, now: datetime) -> Tally:
    """After a probe that found a server gone for three days: what has waited for it that long has failed."""
    long_ago, with_the_probe = now - send.GIVE_UP_AFTER, now + send.UNREACHED_RETRY
    gone = Breaker.objects.filter(server=server().server, retry_at__isnull=False, opened_at__lte=long_ago).first()
    tally = Tally()
    while gone is not None and (rows := plan.claim(worker, now, planned_until=long_ago, ready_until=with_the_probe)):
        reason = f"gave up after 3 days: {gone.reason}"
        tally += record.outcomes([Outcome(row.delivery_id, row.attempt, "failed", reason) for row in rows], now)
    return tally


def is_paced(batch: Batch, rendered: Rendered) -> bool:
    return bool(not batch.server.limit.is_none or settings.DRIPSTONE_DOMAIN_LIMITS or rendered.limits)


def within_limits(batch: Batch, rendered: Rendered, now: datetime) -> tuple[list[Outgoing], list[Outcome]]:
    """The messages that may go, and the others: back to planned, each until its place in the queue has come. Tokens of
    the server that were taken for what stays go back too."""
    later: dict[int, datetime] = {}
    if rendered.limits or settings.DRIPSTONE_DOMAIN_LIMITS:
        later |= _put_off(batch, rendered, now)
    if not batch.server.limit.is_none:
        going = [message.delivery_id for message in rendered.messages if message.delivery_id not in later]
        later |= _too_late(batch, going, now)
    put_off = [
        Outcome(row.delivery_id, row.attempt, "planned", retry_in=later[row.delivery_id] - now, untried=True)
        for row in batch.rows
        if row.delivery_id in later
    ]
    return [message for message in rendered.messages if message.delivery_id not in later], put_off


def _too_late(batch: Batch, going: list[int], now: datetime) -> dict[int, datetime]:
    """Give back what is not used of the server's tokens. A batch that was held up asks again for the rest: others may
    have had the room meanwhile."""
    n_over, is_held_up = len(batch.rows) - len(going), now - batch.claimed_at > HELD_UP
    if not n_over and not is_held_up:
        return {}
    with pace.server_gauge(batch.server.server, batch.server.limit) as gauge:
        gauge.give_back(n_over, batch.claimed_at, now)
        n_now = gauge.renew(len(going), batch.claimed_at, now) if is_held_up else len(going)
        return dict.fromkeys(going[n_now:], gauge.next_room(now))


def _put_off(batch: Batch, rendered: Rendered, now: datetime) -> dict[int, datetime]:
    have_waited = {row.delivery_id for row in batch.rows if row.untried}
    limits: dict[str, Limit] = {}
    wishes: list[Wish] = []
    for message in sorted(rendered.messages):  # by id: the same on every machine
        domain = message.rcpt_to.rpartition("@")[2].lower()
        account = rendered.limits.get(message.account_id, NO_LIMIT)
        own = pace.limits_of(batch.server.server, message.account_id, account, domain)
        limits |= own
        wishes.append(Wish(message.delivery_id, tuple(own), message.delivery_id in have_waited))
    return pace.put_off(wishes, limits, now) if limits else {}


# --- When it opens ----------------------------------------------------------------------------------------------


def opens_at(now: datetime) -> datetime | None:
    """The earliest instant of the next claim; None: at any time."""
    mail = server()
    probe = Breaker.objects.filter(server=mail.server).values_list("retry_at", flat=True).first()
    if mail.limit.is_none:
        return probe
    n_worthwhile = max(1, int((mail.limit.per_second or 0) * WORTHWHILE.total_seconds()))
    room = pace.peek(mail.server, mail.limit).next_room(now, n_worthwhile)
    return max(room, probe or room)


def next_ready(now: datetime) -> datetime | None:
    """When the next claim finds something; None: nothing is planned."""
    with connection.cursor() as cursor:
        cursor.execute(queries.NEXT_READY)
        row = cursor.fetchone()
    return max(row[0], opens_at(now) or row[0]) if row else None


def pause(ready: datetime, began: datetime, now: datetime) -> timedelta:
    """From `now` to the next batch of a worker whose last one began at `began`: no sooner than something is ready, and
    no more batches a second than are worthwhile. Never longer than a tick, though the clock was set back meanwhile."""
    return min(max(ready, began + WORTHWHILE, now) - now, wake.TICK)


def jobs_worth_waking(now: datetime, most: int) -> int:
    """Send jobs that will find the gate open before the next tick: no more are queued."""
    opens = opens_at(now)
    if opens is None:
        return most
    if opens > now + wake.TICK:
        return 0
    limit = server().limit
    return most if limit.is_none else min(most, 1 + (limit.per_second or 0) * wake.TICK.seconds // wake.BATCH)
