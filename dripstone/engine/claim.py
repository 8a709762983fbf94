"""3  planned → claimed: takes rows for this process, of all accounts in turn, as many as the mail server may get now.

Takes       deliveries that are planned and ready
Leaves      rows `sending`, each with a lease, committed before a socket is touched; the other rows stay untouched,
            however many wait
A crash here means the claim was not committed, or rows in `sending` that never left: rescue.py gives them back. The
tokens taken for them are lost, and if it was a probe, the next one may start after breaker.PROBE_TIME.
"""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Sequence as Series
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction

from dripstone import clock
from dripstone.engine import queries, wake
from dripstone.engine.models import Delivery
from dripstone.senders import breaker, pace, shares, ways
from dripstone.senders.base import Sender
from dripstone.senders.models import Breaker
from dripstone.senders.urls import MailUrl

LEASE = timedelta(minutes=15)  # longer than the 10 minutes RFC 5321 gives a server after the final dot
WORTHWHILE = timedelta(seconds=0.2)  # of a limit per second: smaller batches cost more than they bring


class Claimed(NamedTuple):
    """A row of queries.CLAIM: the email of a sequence, or (sequence_id and email_id None) a notice."""

    delivery_id: int
    attempt: int
    account_id: int
    sequence_id: int | None
    subscriber_id: int | None  # None: a notice to somebody who is not on file
    email_id: int | None
    notice_id: int | None
    untried: int  # earlier claims that were taken back


@dataclass(frozen=True, slots=True)
class Batch:
    rows: list[Claimed]
    server: MailUrl
    claimed_at: datetime  # and tokens of the server taken
    is_probe: bool = False


def batch(holder: str, sender: Sender, now: datetime) -> Batch:
    """Claims as much as may go now. Committed when this returns, unless the caller is in a transaction.

    holder  "worker/batch number" (process.batch)
    """
    mail = server()
    if not _may_connect(mail, holder.partition("/")[0], sender, now):
        return Batch([], mail, now)
    if rows := _within_pace(mail, holder, now, wake.CLAIM_BATCH, mail.server):
        return Batch(rows, mail, now)
    return Batch(_probe(mail, holder, now), mail, now, is_probe=True)


def _within_pace(mail: MailUrl, worker: str, now: datetime, most: int, unless_open: str) -> list[Claimed]:
    if mail.limit.is_none:
        return take(worker, now, most, unless_open)
    with pace.server_gauge(mail.server, mail.limit) as gauge:
        rows = take(worker, now, min(gauge.room(now), most), unless_open)
        gauge.take(now, len(rows))
        return rows


def _probe(mail: MailUrl, worker: str, now: datetime) -> list[Claimed]:
    """The breaker is half-open. Take the probe only if there is something to send."""
    with transaction.atomic():
        is_ours = breaker.take_probe(mail.server, now)
        rows = _within_pace(mail, worker, now, breaker.PROBE, unless_open="") if is_ours else []
        if not rows:
            transaction.set_rollback(True)
        return rows


def _may_connect(mail: MailUrl, worker: str, sender: Sender, now: datetime) -> bool:
    """Take our part of the connections if the workers share them. With the virtual clock only one worker runs."""
    if mail.connections_in_all is None or clock.is_virtual():
        return True
    n_mine = shares.renew(mail.server, worker, mail.connections_in_all, mail.connections, now)
    if n_mine:
        sender.limit_connections(n_mine)
    return n_mine > 0


def take(
    worker: str,
    now: datetime,
    limit: int = wake.CLAIM_BATCH,
    server: str = "",
    *,
    planned_until: datetime | None = None,
    ready_until: datetime | None = None,
) -> list[Claimed]:
    """Take up to `limit` planned deliveries for this worker: marked `sending`, with a lease, before anything is sent.

    Accounts with something ready share the batch evenly; what one of them leaves, the others get. Where there is no
    room for all, the next claim of this process begins with those that got nothing (docs/decisions/fair-claims.md).

    server         nothing is taken while its breaker is open; "": whatever the breaker says
    planned_until  only what was planned at this instant or before
    ready_until    also what becomes ready by then; by default, what is ready now
    The claim must be committed before the socket is touched: `batch`, which adds breaker and pace, does that.
    """
    values = {
        "worker": worker,
        "lease_until": now + LEASE,
        "server": server,
        "planned_until": planned_until or now,
        "ready_until": ready_until or now,
    }
    claimed: list[Claimed] = []
    in_vain: set[int] = set()  # asked since something was taken: their rows are in other workers' hands
    while (room := limit - len(claimed)) > 0:
        accounts = _accounts_in_turn(room, ready_until or now)
        share = room // max(1, len(accounts))
        rows = _take_of_each(accounts, values | {"share": share, "limit": room})
        claimed += rows
        if len(accounts) < room and not _has_a_full_share(rows, share):
            break  # these were all accounts with something ready, and none has more
        if not rows and in_vain.issuperset(accounts):
            break
        in_vain = set() if rows else in_vain.union(accounts)
    return claimed


@dataclass(slots=True)
class _Turn:
    """Whose turn it is: accounts with a higher id than `after`. Per process; losing it costs nothing."""

    after: int = queries.BEFORE_ALL


_turn = _Turn()


def _accounts_in_turn(most: int, ready_until: datetime) -> list[int]:
    """Up to `most` accounts with something ready, those whose turn it is first. If there are more, the turn goes on."""
    accounts = _accounts_ready(_turn.after, most, ready_until)
    if _turn.after > queries.BEFORE_ALL and len(accounts) < most:
        begun_again = _accounts_ready(queries.BEFORE_ALL, most - len(accounts), ready_until)
        accounts += [account_id for account_id in begun_again if account_id <= _turn.after]
    _turn.after = accounts[-1] if len(accounts) == most else queries.BEFORE_ALL
    return accounts


def _accounts_ready(after: int, most: int, ready_until: datetime) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(queries.ACCOUNTS_READY, {"after": after, "limit": most, "ready_until": ready_until})
        return [account_id for (account_id,) in cursor.fetchall()]


def _take_of_each(accounts: Series[int], values: dict[str, Any]) -> list[Claimed]:
    if not accounts:
        return []
    with connection.cursor() as cursor:
        cursor.execute(queries.CLAIM, values | {"accounts": queries.ids(accounts)})
        return [Claimed._make(row) for row in cursor.fetchall()]


def _has_a_full_share(rows: Iterable[Claimed], share: int) -> bool:
    """Whether an account had at least its share, and may have more."""
    return any(n >= share for n in Counter(row.account_id for row in rows).values())


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
    """When the next claim will find something; None if nothing is planned."""
    with connection.cursor() as cursor:
        cursor.execute(queries.NEXT_READY, {"after": queries.BEFORE_ALL, "parked": Delivery.PARKED})
        ready: datetime | None = cursor.fetchone()[0]
    return max(ready, opens_at(now) or ready) if ready else None


def pause(ready: datetime, began: datetime, now: datetime) -> timedelta:
    """From `now` to the next batch of a worker whose last one began at `began`: no sooner than something is ready, and
    no more batches a second than are worthwhile. Never longer than a tick, though the clock was set back meanwhile."""
    return min(max(ready, began + WORTHWHILE, now) - now, wake.TICK)


def jobs_worth_waking(now: datetime, most: int) -> int:
    """How many send jobs will find the gate open before the next tick. No more than that are queued."""
    opens = opens_at(now)
    if opens is None:
        return most
    if opens > now + wake.TICK:
        return 0
    limit = server().limit
    return most if limit.is_none else min(most, 1 + (limit.per_second or 0) * wake.TICK.seconds // wake.CLAIM_BATCH)


def server() -> MailUrl:
    return ways.parse(settings.DRIPSTONE_MAIL_URL)
