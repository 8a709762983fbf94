"""5  rendered → going, or back for later: applies the limits of domains and accounts, and of the server if the batch
was slow.

Takes       a claimed batch and its messages
Leaves      the messages that may go now, and an outcome for each of the others: planned again until there is room
A crash here means rows in `sending` that never left: rescue.py gives them back.
"""

from datetime import datetime, timedelta

import idna
from django.conf import settings

from dripstone.engine.attempts import Outcome
from dripstone.engine.claim import Batch
from dripstone.engine.render import Rendered
from dripstone.senders import pace
from dripstone.senders.base import Outgoing
from dripstone.senders.limits import NO_LIMIT, Limit, Wish

HELD_UP = timedelta(seconds=0.05)  # from claim to hand-over; a new email to compile or a busy machine makes it longer


def is_paced(batch: Batch, rendered: Rendered) -> bool:
    return bool(not batch.server.limit.is_none or settings.DRIPSTONE_DOMAIN_LIMITS or rendered.limits)


def sort(batch: Batch, rendered: Rendered, now: datetime) -> tuple[list[Outgoing], list[Outcome]]:
    """The messages that may go, and an outcome for each of the others: those withheld while rendering, and those that
    go back to planned until there is room. Unused tokens of the server go back too."""
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
    going_now = [message for message in rendered.messages if message.delivery_id not in later]
    return going_now, [*rendered.withheld, *put_off]


def _too_late(batch: Batch, going: list[int], now: datetime) -> dict[int, datetime]:
    """Give back unused tokens of the server. A batch that was held up asks again for the rest, since other workers may
    have taken the room meanwhile."""
    n_over, is_held_up = len(batch.rows) - len(going), now - batch.claimed_at > HELD_UP
    if not n_over and not is_held_up:
        return {}
    with pace.server_gauge(batch.server.server, batch.server.limit) as gauge:
        gauge.give_back(n_over, batch.claimed_at, now)
        n_now = gauge.renew(len(going), batch.claimed_at, now) if is_held_up else len(going)
        return dict.fromkeys(going[n_now:], gauge.next_room(now))


def _domain(address: str) -> str:
    """As DRIPSTONE_DOMAIN_LIMITS writes it."""
    domain = address.rpartition("@")[2].lower()
    try:
        return domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:  # the sender refuses it
        return domain


def _put_off(batch: Batch, rendered: Rendered, now: datetime) -> dict[int, datetime]:
    notices = {row.delivery_id for row in batch.rows if row.notice_id is not None}
    have_waited = {row.delivery_id for row in batch.rows if row.untried}
    limits: dict[str, Limit] = {}
    wishes: list[Wish] = []
    # Notices, then by id: the same on every machine.
    for message in sorted(rendered.messages, key=lambda message: (message.delivery_id not in notices, message)):
        domain = _domain(message.rcpt_to)
        account = rendered.limits.get(message.account_id, NO_LIMIT)
        own = pace.limits_of(batch.server.server, message.account_id, account, domain)
        limits |= own
        is_first = message.delivery_id in notices
        wishes.append(Wish(message.delivery_id, tuple(own), message.delivery_id in have_waited, is_first))
    return pace.put_off(wishes, limits, now) if limits else {}
