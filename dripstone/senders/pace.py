"""Limits shared by all workers: of the server, of each recipient domain, of each account. limits.py does the counting.

Takes       messages that are already claimed, so no token is spent on a message that another worker sends
Leaves      tokens taken for what may go, and an instant for everything else; one row per limited thing (models.Meter)
A crash here means nothing was taken, or some tokens were taken and not used: a little less goes for a moment.
Rows are locked in the order of their keys, in a transaction of their own. Without limits there is no query.
"""

import json
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Series
from contextlib import contextmanager
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from dripstone.senders.limits import DAY, HOUR, Gauge, Limit, Wish, share_out
from dripstone.senders.models import Meter

# Locks the meters of a batch, made where they are missing. Primary key; a batch has a handful.
_ADD = "INSERT INTO senders_meter (key, hours) SELECT unnest(%s::text[]), '{}' ON CONFLICT DO NOTHING"
_LOCK = """
SELECT key, full_at, hours::text, used_at, queue_until FROM senders_meter
WHERE key = ANY(%s) ORDER BY key FOR NO KEY UPDATE
"""
_WRITE = """
UPDATE senders_meter m SET full_at = u.full_at, hours = u.hours, used_at = u.used_at, queue_until = u.queue_until
FROM unnest(%s::text[], %s::timestamptz[], %s::jsonb[], %s::timestamptz[], %s::timestamptz[])
     AS u (key, full_at, hours, used_at, queue_until)
WHERE m.key = u.key
"""

# Deletes rows that say no more than a missing row: nothing in the last day, no debt, no queue. The whole table, once a
# night. It skips locked rows, so it cannot deadlock with workers that are about to use a row that looks unused.
_FORGET = """
DELETE FROM senders_meter WHERE key IN (
    SELECT key FROM senders_meter
    WHERE COALESCE(used_at, '-infinity') < %(unused_since)s AND COALESCE(full_at, '-infinity') <= %(now)s
      AND COALESCE(queue_until, '-infinity') <= %(now)s
    ORDER BY key LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""
_FORGET_AT_ONCE = 5000
_UNUSED = DAY + HOUR  # an hour counts until all of it is a day old


def limits_of(server: str, account_id: int, account: Limit, domain: str) -> dict[str, Limit]:
    """What limits one message beside its server, by the key of its meter."""
    found = {}
    if not account.is_none:
        found[f"account {account_id}"] = account
    domains = settings.DRIPSTONE_DOMAIN_LIMITS
    if domains and (limit := domains.get(domain) or domains.get("*")):
        found[f"domain {domain} at {server}"] = Limit(*limit)
    return found


def put_off(wishes: Series[Wish], limits: Mapping[str, Limit], now: datetime) -> dict[int, datetime]:
    """Take tokens for as many as there is room for. Returns the others, with when each is to ask again."""
    with _locked(limits) as gauges:
        return share_out(wishes, gauges, now)


@contextmanager
def server_gauge(server: str, limit: Limit) -> Iterator[Gauge]:
    """The server's own gauge, locked until the block ends: claim what there is room for, and take tokens for it."""
    with _locked({server: limit}) as gauges:
        yield gauges[server]


def peek(server: str, limit: Limit) -> Gauge:
    """The same, only read: without a lock."""
    meter = Meter.objects.filter(key=server).first()
    return Gauge(limit, meter.full_at, meter.hours, meter.used_at) if meter else Gauge(limit)


def forget_unused(now: datetime) -> int:
    """Delete meters that are no longer needed: with a limit for every domain there is one per recipient domain."""
    n_gone, n_last = 0, _FORGET_AT_ONCE
    while n_last == _FORGET_AT_ONCE:
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, {"unused_since": now - _UNUSED, "now": now, "limit": _FORGET_AT_ONCE})
            n_last = cursor.rowcount
        n_gone += n_last
    return n_gone


@contextmanager
def _locked(limits: Mapping[str, Limit]) -> Iterator[dict[str, Gauge]]:
    keys = sorted(limits)
    with transaction.atomic(), connection.cursor() as cursor:
        gauges: dict[str, Gauge] = {}
        while len(gauges) < len(keys):  # again when one was deleted in between
            cursor.execute(_ADD, [keys])
            cursor.execute(_LOCK, [keys])
            gauges = {key: Gauge(limits[key], full, json.loads(hours), *more) for key, full, hours, *more in cursor}
        yield gauges
        cursor.execute(
            _WRITE,
            [
                list(gauges),
                [gauge.full_at for gauge in gauges.values()],
                [json.dumps(gauge.hours) for gauge in gauges.values()],
                [gauge.used_at for gauge in gauges.values()],
                [gauge.queue_until for gauge in gauges.values()],
            ],
        )
