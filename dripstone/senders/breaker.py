"""A breaker per destination server: while a server is down no mail goes to it, but a small probe now and then.

    closed ──3 fruitless hand-overs in a row──▶ open ──retry_at──▶ half-open ──one probe──▶ closed (it worked)
       ▲ any answer about a message                ▲                    │
       └──────────────────────────────             └── fruitless: 30 s, 1, 2, 4 … 15 minutes

  closed     no row, or retry_at is null: everything may go
  open       retry_at lies ahead: nothing is claimed for that server; what waits is not touched
  half-open  retry_at has come: the worker that moves it on (take_probe) may send one small batch, all others wait

A hand-over is fruitless when no answer was about a message and at least one was about the server (senders/base.py).
All workers share the row, so all know what one has learned.
A crash here means: a prober's probe is lost, and another may go after PROBE_TIME; otherwise one failure or success was
not counted, and the next one is.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import blake2s

import structlog
from django.db import transaction
from django.db.models import Q

from dripstone.senders.base import Answer
from dripstone.senders.models import Breaker

log = structlog.get_logger(__name__)

FRUITLESS_IN_A_ROW = 3  # hand-overs, by any workers
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=15)
PROBE = 10  # messages
PROBE_TIME = timedelta(minutes=2)  # how long the others wait for what a prober finds out


class Evidence:
    """What the answers of one hand-over say about the server."""

    def __init__(self) -> None:
        self.worked = False
        self.trouble: Answer | None = None  # the last of those about the server

    def add(self, answer: Answer) -> None:
        match answer.about:
            case "message":
                self.worked = True
            case "server" | "connection":
                self.trouble = answer


def waits(n_openings: int, server: str) -> timedelta:
    """30 s, 1, 2, 4 … up to 15 minutes, each shortened by up to a quarter. How much is a hash: it is the same at each
    call (for the virtual clock), and several installations do not come back at once."""
    exact = min(FIRST_WAIT * (1 << min(n_openings - 1, 16)), LONGEST_WAIT)
    digest = blake2s(f"{server}:{n_openings}".encode(), digest_size=2).digest()
    return exact * (1 - int.from_bytes(digest) / 65536 / 4)


def take_probe(server: str, now: datetime) -> bool:
    """Half-open: may this process send the probe? Only one of several gets it."""
    due = Breaker.objects.filter(server=server, retry_at__lte=now)
    return due.update(retry_at=now + PROBE_TIME) == 1


def release_probe(server: str, now: datetime) -> None:
    """Nothing of the probe was sent, so it says nothing about the server: the next one may go."""
    Breaker.objects.filter(server=server, retry_at__isnull=False).update(retry_at=now)


def learn(server: str, evidence: Evidence, now: datetime, *, is_probe: bool) -> None:
    """After a hand-over."""
    if evidence.worked:
        # One statement per batch, by primary key, that finds nothing as long as all is well: 0.1 ms.
        unwell = Q(n_failures__gt=0) | Q(retry_at__isnull=False)
        if Breaker.objects.filter(unwell, server=server).update(
            n_failures=0, n_openings=0, retry_at=None, opened_at=None, reason="", reply=""
        ):
            log.info("server_works", server=server)
    elif evidence.trouble is not None:
        _failed(server, evidence.trouble, now, is_probe=is_probe)
    elif is_probe:
        release_probe(server, now)


@transaction.atomic
def _failed(server: str, trouble: Answer, now: datetime, *, is_probe: bool) -> None:
    Breaker.objects.bulk_create([Breaker(server=server)], ignore_conflicts=True)
    row = Breaker.objects.select_for_update(no_key=True).get(pk=server)
    row.n_failures += 1
    row.reason, row.reply = trouble.reason, trouble.reply
    # Batches claimed before the breaker opened fail after it: that is nothing new, and must not lengthen the wait.
    if is_probe or (row.retry_at is None and row.n_failures >= FRUITLESS_IN_A_ROW):
        row.n_openings += 1
        row.retry_at = now + waits(row.n_openings, server)
        row.opened_at = row.opened_at or now
        until = row.retry_at.isoformat()
        log.warning("server_left_alone", server=server, reason=row.reason, reply=row.reply, until=until)
    row.save()


def open_ones() -> Iterable[Breaker]:
    """The breakers that are open or half-open."""
    return Breaker.objects.filter(retry_at__isnull=False).order_by("server")
