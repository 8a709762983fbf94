"""Does the server run? For the page of the engine, in words that members of any account may read.

On a server with several accounts nothing here says what another one has or does: no totals, no time of the last mail,
no reply of a mail server (it may quote an address), no path. Whoever is alone on a server sees these too
(docs/decisions/engine-page.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.engine import claim, pulse, reasons
from dripstone.engine.acts import overdue
from dripstone.explain import disk, health
from dripstone.senders import breaker, hindrances, ways


@dataclass(frozen=True, slots=True)
class Fact:
    """level    "good", "warning" or "error"
    mend     what to do, and who; "" when there is nothing
    """

    level: str
    sentence: str
    mend: str = ""


def is_alone() -> bool:
    """Whether the server has one account."""
    return len(Account.objects.values_list("pk")[:2]) < 2


def of_server(now: datetime, machine_now: datetime, zone: str) -> list[Fact]:
    """The gravest first. `zone`: of the reader."""
    alone = is_alone()
    found = [
        *_halt(now, zone, alone),
        _workers(machine_now),
        _mail_server(now, zone, alone),
        *_limit(now, zone),
        *_disk(machine_now, alone),
    ]
    return sorted(found, key=lambda fact: ("error", "warning", "good").index(fact.level))


def _halt(now: datetime, zone: str, alone: bool) -> Iterator[Fact]:
    if why := overdue.why_halted(now, zone):
        mend = "Whoever runs this server decides what becomes of overdue mail: dripstone resume-sending."
        yield Fact("error", f"{why} {overdue.how_much(now)}" if alone else why, mend)


def _workers(machine_now: datetime) -> Fact:
    if silent := health.engine_findings(machine_now):
        return Fact("error", silent[0].sentence, silent[0].mend_by)
    if clock.is_virtual():
        return Fact("good", "A worker is running. The clock is virtual: mail falls due only when somebody moves it.")
    return Fact("good", "A worker is running, and looks every few seconds for what is due.")


def _mail_server(now: datetime, zone: str, alone: bool) -> Fact:
    mail = claim.server()
    row = next((row for row in breaker.open_ones() if row.server == mail.server), None)
    if row is not None and row.retry_at is not None and row.opened_at is not None:
        said = f"; {reasons.last_said(row.reason, row.reply)}" if alone else ""
        since, again = words.soon(row.opened_at, zone, now), words.soon(row.retry_at, zone, now)
        sentence = f"The mail server has accepted nothing since {since}, so everything waits{said}."
        mend = f"Nothing is lost: it is tried again {again}, and sending goes on by itself once it answers."
        operator = " If it stays so, whoever runs this server looks at dripstone doctor and DRIPSTONE_MAIL_URL."
        return Fact("error", sentence, mend + operator)
    if ways.is_local(settings.DRIPSTONE_MAIL_URL):
        return Fact("good", "Emails stop in the inbox of this server: no mail server is set.")
    last = pulse.read().sent_at if alone else None
    when = f" It took the last one {words.soon(last, zone, now)}." if last else ""
    return Fact("good", f"The mail server takes what is sent.{when}")


def _limit(now: datetime, zone: str) -> Iterator[Fact]:
    opens = claim.opens_at(now)
    if not breaker.open_ones() and opens is not None and (opens - now).total_seconds() > 60:
        sentence = f"A limit of the mail server is used up: sending goes on {words.soon(opens, zone, now)}."
        yield Fact("warning", sentence, "Whoever runs this server sets the limits in DRIPSTONE_MAIL_URL.")


def _disk(machine_now: datetime, alone: bool) -> Iterator[Fact]:
    mend = "Whoever runs this server makes room on its disk."
    for sentence in hindrances.current(machine_now):
        yield Fact("error", sentence if alone else "A worker cannot write to its disk, so it sends nothing.", mend)
    if full := disk.problem():
        yield Fact("error", full if alone else "The disk of this server is nearly full.", mend)
