"""Why is this sequence not sending? Answers with findings: a sentence each, and the call that mends it.

Takes       sequences, and two instants: the engine's and the machine's (heartbeats are about processes)
Leaves      nothing: it only reads, with a fixed number of queries for any number of sequences and people
            (a few more for each sequence that excludes somebody, and for each published email with a filter)
health_content.py looks at what the emails say.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Series
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from dripstone import words
from dripstone.accounts.models import SendingAddress
from dripstone.conditions import words as condition_words
from dripstone.content import subjects
from dripstone.engine import audience, claim, pulse, reasons
from dripstone.engine.acts import overdue
from dripstone.engine.models import Enrollment
from dripstone.engine.pulse import ENGINE_SILENT_SECONDS, last_heartbeat
from dripstone.explain import health_content
from dripstone.explain.findings import ERROR, NOTICE, WARNING, Finding, Mend
from dripstone.senders import breaker
from dripstone.sequences.models import Sequence, SequenceEdit, SequenceEmail

BEHIND = timedelta(minutes=10)  # longer than any tick, retry of a job, or re-evaluation of a large sequence
FOLLOWED_IN = timedelta(minutes=1)  # how long a working engine may need to follow an edit
RECENT = timedelta(hours=24)
LAST_DELIVERIES = 500
SOME = 100  # people asked whether they are excluded, before all are
FAILING_SHARE, BROKEN_SHARE = 0.05, 0.5  # of the recent deliveries

# Findings an owner may well want: they answer "why does it not send?", but are no reason to wake an operator.
CHOSEN = frozenset(
    {"inactive", "no_emails", "all_drafts", "draft_in_the_middle", "nobody_inside", "everybody_completed",
     "everybody_unconfirmed", "everybody_paused", "everybody_at_the_end", "waiting_for_a_draft", "email_on_hold",
     "following_edits"}
)  # fmt: skip

# The people inside and what they wait for: one parallel scan of the people of these sequences. The last column counts
# people who have no date because of what they wait for. Grouping by three keys and counting columns costs a fifth less
# than grouping by six.
_PEOPLE = """
SELECT sequence_id, status, next_email_id, count(*), count(paused_at), count(due_at),
       count(*) FILTER (WHERE in_flight), count(*) FILTER (WHERE due_at IS NULL AND paused_at IS NULL AND NOT in_flight)
FROM engine_enrollment WHERE sequence_id = ANY(%(sequences)s) AND status <> 'removed' GROUP BY 1, 2, 3
"""

# The first date of each sequence, for how many people, and how many are late. Index enrollment_due.
_NEXT = """
SELECT s.id, first.next_email_id, first.due_at,
       (SELECT count(*) FROM engine_enrollment e WHERE e.sequence_id = s.id AND e.due_at = first.due_at
                                                   AND e.next_email_id = first.next_email_id),
       (SELECT count(*) FROM engine_enrollment e WHERE e.sequence_id = s.id AND e.due_at <= %(late)s)
FROM sequences_sequence s
CROSS JOIN LATERAL (SELECT e.next_email_id, e.due_at FROM engine_enrollment e
                    WHERE e.sequence_id = s.id AND e.due_at IS NOT NULL ORDER BY e.due_at LIMIT 1) first
WHERE s.id = ANY(%(sequences)s)
"""

# The outcomes of the last deliveries of each sequence, found among the last of each of its emails. Index
# delivery_by_email, a few hundred entries an email, and as many rows a sequence.
_RECENT = """
SELECT s.id, count(d.id), count(d.id) FILTER (WHERE d.failed), count(d.id) FILTER (WHERE d.retried),
       count(d.id) FILTER (WHERE d.status = 'planned' AND NOT d.retried AND d.ready_at <= %(late)s),
       (array_agg(d.reason ORDER BY d.id DESC) FILTER (WHERE d.failed OR d.retried))[1],
       (array_agg(d.reply ORDER BY d.id DESC) FILTER (WHERE d.failed OR d.retried))[1],
       count(d.id) FILTER (WHERE d.over_budget),
       (array_agg(d.email_id ORDER BY d.id DESC) FILTER (WHERE d.over_budget))[1]
FROM sequences_sequence s
CROSS JOIN LATERAL (
    SELECT last.*, last.status = 'planned' AND last.attempt > 0 AND last.reason <> '' AS retried,
           last.status = 'failed' AND last.reason <> %(over_budget)s AS failed,
           last.status = 'failed' AND last.reason = %(over_budget)s AS over_budget
    FROM engine_delivery last
    WHERE last.id = ANY(ARRAY(
              SELECT of_email.id FROM sequences_sequenceemail m
              CROSS JOIN LATERAL (SELECT id FROM engine_delivery
                                  WHERE email_id = m.id ORDER BY id DESC LIMIT %(limit)s) of_email
              WHERE m.sequence_id = s.id ORDER BY of_email.id DESC LIMIT %(limit)s))
      AND (last.planned_at >= %(since)s OR last.status = 'planned')) d
WHERE s.id = ANY(%(sequences)s) GROUP BY s.id
"""


@dataclass(slots=True)
class People:
    """How many people of the sequence are where."""

    active: int = 0
    unconfirmed: int = 0
    completed: int = 0
    paused: int = 0
    with_a_date: int = 0
    in_flight: int = 0


class Counted(NamedTuple):
    """A row of _PEOPLE but for the sequence: people of one status who wait for one email, or at the end."""

    status: str
    email_id: int | None
    n_people: int
    n_paused: int
    n_dated: int
    n_in_flight: int
    n_waiting: int


class Next(NamedTuple):
    email_id: int
    at: datetime
    n_people: int
    n_late: int


class Recent(NamedTuple):
    n_deliveries: int
    n_failed: int  # for other reasons than their Liquid
    n_retried: int
    n_stuck: int
    reason: str | None  # of the last delivery that failed or is tried again
    reply: str | None
    n_over_budget: int
    over_budget_id: int | None  # of the email whose message was the last to go over


NO_MAIL = Recent(0, 0, 0, 0, None, None, 0, None)


@dataclass(frozen=True, slots=True)
class Health:
    sequence: Sequence
    findings: list[Finding]  # the gravest first
    people: People
    next: Next | None  # None when nothing has a date, or the sequence may not send
    sentence: str

    @property
    def is_healthy(self) -> bool:
        return all(one.severity == NOTICE for one in self.findings)

    @property
    def is_wrong(self) -> bool:
        """Something no owner is likely to want: for operators."""
        return any(one.severity != NOTICE and one.code not in CHOSEN for one in self.findings)


@dataclass(slots=True)
class Look:
    """One sequence, and all that was read about it."""

    sequence: Sequence
    now: datetime
    emails: list[SequenceEmail]  # not the deleted ones; in order
    edited_at: datetime | None  # the oldest edit not followed yet
    verified: list[str]  # the account's other addresses
    people: People = field(default_factory=People)
    waiting_for: dict[int, int] = field(default_factory=dict)  # email id → people who have no date for it
    at_the_end: int = 0  # active people for whom nothing comes next; paused or not
    paused_at_the_end: int = 0
    next: Next | None = None
    recent: Recent = field(default=NO_MAIL)
    has_room: bool = True  # neither a limit nor the breaker explains why mail stands ready

    @property
    def path(self) -> str:
        return f"/v4/sequences/{self.sequence.pk}"

    @property
    def live(self) -> list[SequenceEmail]:
        return [email for email in self.emails if email.published]

    @property
    def follows_edits(self) -> bool:
        return self.sequence.edits == self.sequence.edits_done


def of(sequences: Iterable[Sequence], now: datetime, machine_now: datetime) -> list[Health]:
    """The sequences come with account and sending_address."""
    looks = _looks(list(sequences), now)
    server = server_finding()
    engine = [*engine_findings(machine_now), *halt_findings(now), *([server] if server else [])]
    content = health_content.findings({look.sequence: look.live for look in looks})
    if any(look.recent.n_stuck for look in looks) and _waits_for_room(now):
        looks = [replace(look, has_room=False) for look in looks]
    return [_health(look, [*engine, *_findings(look), *content[look.sequence.pk]]) for look in looks]


def _health(look: Look, findings: list[Finding]) -> Health:
    gravity = {ERROR: 0, WARNING: 1, NOTICE: 2}
    findings = sorted(findings, key=lambda one: gravity[one.severity])
    may_send = look.sequence.active and look.follows_edits
    coming = look.next if may_send else None
    return Health(look.sequence, findings, look.people, coming, _sentence(look, findings, coming))


def _sentence(look: Look, findings: list[Finding], coming: Next | None) -> str:
    to_mend = [one for one in findings if one.severity != NOTICE]
    if to_mend and to_mend[0].severity == ERROR:
        more = f" And {words.count(len(to_mend) - 1, 'more thing')} to mend." if len(to_mend) > 1 else ""
        return f"Not sending as it should: {to_mend[0].sentence}{more}"
    if why := _why_nothing_comes(look):
        return f"{why} To mend: {words.count(len(to_mend), 'thing')}." if to_mend else why
    lead = f"It sends, with {words.count(len(to_mend), 'thing')} to mend." if to_mend else "All is well."
    inside = words.count(look.people.active, "person is", "people are")
    flying = f" {words.count(look.people.in_flight, 'email is', 'emails are')} on the way now." * (
        look.people.in_flight > 0
    )
    return f"{lead} {inside} inside.{flying}{_what_comes(look, coming)}"


def _why_nothing_comes(look: Look) -> str:
    """All people have had everything."""
    people = look.people
    if people.completed and not people.active and not people.unconfirmed:
        return "Nothing left to send: everyone who entered has completed the sequence."
    if _is_settled(look) and people.active and look.at_the_end == people.active:
        had = words.agree(people.active, "the one person inside has", f"all {people.active:,} people inside have")
        return f"Nothing left to send: {had} had every published email."
    return ""


def _what_comes(look: Look, coming: Next | None) -> str:
    if coming is None:
        return " Nothing has a date." if not look.people.in_flight else ""
    subject = next((email.subject for email in look.emails if email.pk == coming.email_id), "")
    moment = words.moment(coming.at, look.sequence.time_zone)
    what = subjects.title(subject) if subject else "a deleted email is passed by"
    return f" Next: {what}, for {words.count(coming.n_people, 'person', 'people')}, on {moment}."


# --- Reading ----------------------------------------------------------------------------------------------------


def _looks(sequences: Series[Sequence], now: datetime) -> list[Look]:
    ids = [sequence.pk for sequence in sequences]
    emails, edited, verified = _emails(ids), _edited(sequences), _verified(sequences)
    looks = {one.pk: Look(one, now, emails[one.pk], edited.get(one.pk), verified[one.account_id]) for one in sequences}
    late = now - BEHIND
    for sequence_id, *row in _rows(_PEOPLE, sequences=ids):
        _count(looks[sequence_id], Counted(*row))
    for sequence_id, *row in _rows(_NEXT, sequences=ids, late=late):
        looks[sequence_id].next = Next(*row)
    parameters = {"since": now - RECENT, "limit": LAST_DELIVERIES, "over_budget": reasons.LIQUID_OVER_BUDGET}
    for sequence_id, *row in _rows(_RECENT, sequences=ids, late=late, **parameters):
        looks[sequence_id].recent = Recent(*row)
    return list(looks.values())


def _rows(query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def _count(look: Look, counted: Counted) -> None:
    people = look.people
    match counted.status:
        case Enrollment.Status.UNCONFIRMED:
            people.unconfirmed += counted.n_people
        case Enrollment.Status.COMPLETED:
            people.completed += counted.n_people
        case _:
            people.active += counted.n_people
            people.paused += counted.n_paused
            people.with_a_date += counted.n_dated
            people.in_flight += counted.n_in_flight
            if counted.email_id is None:
                look.at_the_end += counted.n_people
                look.paused_at_the_end += counted.n_paused
            elif counted.n_waiting:
                look.waiting_for[counted.email_id] = counted.n_waiting


def _waits_for_room(now: datetime) -> bool:
    """Mail goes out, or the gate is shut for now: ready mail waits for its turn, not for a worker."""
    sent_at = pulse.read().sent_at
    return (sent_at is not None and sent_at > now - BEHIND) or (claim.opens_at(now) or now) > now


def _emails(ids: Series[int]) -> dict[int, list[SequenceEmail]]:
    found: dict[int, list[SequenceEmail]] = defaultdict(list)
    rows = SequenceEmail.objects.filter(sequence__in=ids, deleted_at=None).select_related("email_template")
    for email in rows.order_by("position"):
        found[email.sequence_id].append(email)
    return found


def _edited(sequences: Series[Sequence]) -> dict[int, datetime]:
    """Since when each sequence has an edit that was not followed."""
    done = {one.pk: one.edits_done for one in sequences if one.edits != one.edits_done}
    found: dict[int, datetime] = {}
    if not done:
        return found
    log = SequenceEdit.objects.filter(sequence__in=done, number__isnull=False).order_by("-number")
    for sequence_id, number, at in log.values_list("sequence_id", "number", "at"):
        if number is not None and number > done[sequence_id]:
            found[sequence_id] = at
    return found


def _verified(sequences: Series[Sequence]) -> dict[int, list[str]]:
    accounts = {one.account_id for one in sequences if not one.sending_address.is_verified}
    found: dict[int, list[str]] = defaultdict(list)
    rows = SendingAddress.objects.filter(account__in=accounts, is_verified=True).order_by("-is_default", "pk")
    for account_id, address in rows.values_list("account_id", "email_address") if accounts else ():
        found[account_id].append(address)
    return found


# --- Findings ---------------------------------------------------------------------------------------------------


def engine_findings(machine_now: datetime) -> list[Finding]:
    """About the installation: is a worker running?"""
    heard = last_heartbeat()
    if heard is not None and (machine_now - heard).total_seconds() <= ENGINE_SILENT_SECONDS:
        return []
    when = "No worker is running" if heard is None else f"No worker has shown itself since {heard:%Y-%m-%d %H:%M} UTC"
    start = "Start one with dripstone up, or dripstone worker."
    return [Finding("engine_silent", ERROR, f"{when}, so nothing is sent at all.", mend_by=start)]


def server_finding() -> Finding | None:
    """Does sending wait because the mail server accepts nothing? (senders/breaker.py)"""
    mail = claim.server()
    row = next((row for row in breaker.open_ones() if row.server == mail.server), None)
    if row is None or row.retry_at is None or row.opened_at is None:
        return None
    return Finding(
        "server_left_alone",
        ERROR,
        f"The mail server has accepted nothing since {row.opened_at:%Y-%m-%d %H:%M} UTC, so everything waits; "
        f"{reasons.last_said(row.reason, row.reply)}. The next try is at {row.retry_at:%H:%M:%S} UTC.",
        mend_by="Nothing is lost, and sending goes on by itself once it answers. If the reply speaks of sign-in, "
        "connection or certificate, correct DRIPSTONE_MAIL_URL and restart.",
    )


def halt_findings(now: datetime) -> list[Finding]:
    """About the installation: does it wait for its operator?"""
    halted = overdue.why_halted(now)
    mend = "Whoever runs this server decides what becomes of overdue mail: dripstone resume-sending."
    return [Finding("sending_halted", ERROR, halted, mend_by=mend)] if halted else []


def _findings(look: Look) -> Iterator[Finding]:
    yield from _about_edits(look)
    yield from _about_emails(look)
    yield from _about_people(look)
    yield from _about_the_sender(look)
    yield from _about_mail(look)


def _about_edits(look: Look) -> Iterator[Finding]:
    sequence = look.sequence
    if not sequence.active:
        yield Finding(
            "inactive",
            ERROR,
            "The sequence is paused (inactive): nothing is sent, and everybody keeps their place.",
            Mend("PUT", look.path, {"active": True}),
        )
    if look.follows_edits:
        return
    is_late = look.edited_at is None or look.now - look.edited_at > FOLLOWED_IN
    since = f" since {words.moment(look.edited_at, sequence.time_zone)}" if look.edited_at else ""
    sentence = (
        f"The last edit has not been carried over to the people inside{since}; nothing is sent until it is."
        if is_late
        else "An edit made a moment ago is being carried over to the people inside; sending goes on right after."
    )
    mend_by = "A running worker does it by itself, in seconds: start one with dripstone worker."
    if is_late:
        yield Finding("edits_not_followed", ERROR, sentence, mend_by=mend_by)
    else:
        yield Finding("following_edits", NOTICE, sentence)


def _about_emails(look: Look) -> Iterator[Finding]:
    emails, live = look.emails, look.live
    if not emails:
        yield Finding("no_emails", ERROR, "The sequence has no emails.", _new_email(look))
    elif not live:
        first = emails[0]
        drafts = "its only email is a draft" if len(emails) == 1 else f"all its {len(emails)} emails are drafts"
        yield Finding(
            "all_drafts", ERROR, f"Nothing is published: {drafts}.", _publish(look, first.pk), email_id=first.pk
        )
    for email in emails:
        if live and not email.published and email.position < live[-1].position and email.pk not in look.waiting_for:
            yield Finding(
                "draft_in_the_middle",
                NOTICE,
                f"{subjects.title(email.subject)} is a draft with published emails behind it: people pass over it. "
                "Publishing it sends it to those who have passed, most of them right away.",
                _publish(look, email.pk),
                email_id=email.pk,
            )
    yield from _about_waiting_for_drafts(look)
    yield from _about_holds(look)
    yield from _about_filters(look)


def _about_waiting_for_drafts(look: Look) -> Iterator[Finding]:
    """R8: an email was unpublished while people were waiting for it."""
    for email in look.emails:
        n_people = look.waiting_for.get(email.pk, 0)
        if email.published or not n_people:
            continue
        is_everybody = n_people == look.people.active
        yield Finding(
            "waiting_for_a_draft",
            ERROR if is_everybody else WARNING,
            f"{words.people(n_people, 'waits', 'wait')} for {subjects.title(email.subject)}, which was "
            "unpublished; they get nothing until it is published, moved or deleted.",
            _publish(look, email.pk),
            email_id=email.pk,
        )


def _about_holds(look: Look) -> Iterator[Finding]:
    """R22: nobody gets past an email on hold."""
    for email in look.live:
        if email.held_at is None:
            continue
        n_people = look.waiting_for.get(email.pk, 0)
        since = words.moment(email.held_at, look.sequence.time_zone)
        wait = f"{words.people(n_people, 'waits', 'wait')} at it" if n_people else "whoever comes to it waits at it"
        yield Finding(
            "email_on_hold",
            NOTICE if not n_people else ERROR if n_people == look.people.active else WARNING,
            f"{subjects.title(email.subject)} was put on hold on {since}, by {email.held_by}: nobody gets it, and "
            f"{wait} without a date until it is released or deleted.",
            Mend("POST", f"/ext/v1/sequences/{look.sequence.pk}/emails/{email.pk}/release"),
            email_id=email.pk,
        )


def _about_filters(look: Look) -> Iterator[Finding]:
    """R21: a filter that names what is gone, or asks for what is not recorded, is met by nobody."""
    for email in look.live:
        if email.filter is not None and (why := condition_words.problem(email.filter, email.account_id)):
            yield Finding(
                "filter_met_by_nobody",
                ERROR,
                f"Everybody skips {subjects.title(email.subject)}: it goes only to some people. {why}",
                Mend("PUT", f"/ext/v1/sequences/{look.sequence.pk}/emails/{email.pk}/filter", {"filter": None}),
                email_id=email.pk,
            )


def _about_people(look: Look) -> Iterator[Finding]:
    people = look.people
    if not people.active:
        yield _nobody(look)
    elif people.paused == people.active:
        yield _everybody_paused(look)
    elif look.at_the_end and look.at_the_end + _n_paused_before(look) == people.active and _is_settled(look):
        yield _everybody_at_the_end(look)
    if look.sequence.exclude_subscriber_sources and (gone := audience.gone(look.sequence)):
        yield _exclusion_gone(look, gone)
    elif people.active and look.sequence.exclude_subscriber_sources and _is_everybody_excluded(look):
        yield _everybody_excluded(look)


def _n_paused_before(look: Look) -> int:
    """Paused, with an email still to come."""
    return look.people.paused - look.paused_at_the_end


def _is_settled(look: Look) -> bool:
    return bool(look.live) and look.follows_edits


def _everybody_paused(look: Look) -> Finding:
    return Finding(
        "everybody_paused",
        ERROR,
        f"{words.everybody_inside(look.people.active, 'is paused', 'are paused, each on their own')}.",
        mend_by="Resume each person with POST /ext/v1/enrollments/{id}/resume.",
    )


def _everybody_at_the_end(look: Look) -> Finding:
    n_end, n_paused = look.at_the_end, _n_paused_before(look)
    who = f"{words.people(n_end)} inside" if n_paused else words.everybody_inside(n_end, "", "")
    hold = ", where hold keeps them" if look.sequence.hold else ""
    paused = f" {words.people(n_paused)} more {words.agree(n_paused, 'is', 'are')} paused." if n_paused else ""
    return Finding(
        "everybody_at_the_end",
        NOTICE if look.sequence.hold else ERROR,
        f"{who} {words.agree(n_end, 'has', 'have')} had every published email and "
        f"{words.agree(n_end, 'waits', 'wait')} at the end{hold}. "
        f"A new email reaches them when it is published.{paused}",
        _new_email(look),
    )


def _everybody_excluded(look: Look) -> Finding:
    return Finding(
        "everybody_excluded",
        ERROR,
        f"{words.everybody_inside(look.people.active, 'is', 'are')} excluded by the sequence's exclusions, "
        "so every email is skipped when its turn comes.",
        Mend("PUT", look.path, {"exclude_subscriber_sources": []}),
    )


def _exclusion_gone(look: Look, gone: Series[str]) -> Finding:
    names = audience.names_of(gone, look.sequence.account_id)
    because = reasons.because(gone[0], names)
    n_more = len(gone) - 1
    more = f" {words.count(n_more, 'more exclusion')} {words.agree(n_more, 'is', 'are')} gone too." if n_more else ""
    left = [
        {"type": source["type"], "ids": ids}
        for source in look.sequence.exclude_subscriber_sources
        if (ids := [pk for pk in source["ids"] if reasons.exclusion_gone(source["type"], pk) not in gone])
    ]
    return Finding(
        "exclusion_gone",
        ERROR,
        f"Every email is skipped when its turn comes: {because}.{more}",
        Mend("PUT", look.path, {"exclude_subscriber_sources": left}),
    )


def _nobody(look: Look) -> Finding:
    people = look.people
    if people.unconfirmed:
        return Finding(
            "everybody_unconfirmed",
            ERROR,
            f"{words.everybody_inside(people.unconfirmed, 'has', 'have')} yet to confirm "
            "their address; their first delay starts when they do.",
            mend_by="They confirm by the link sent to them; consent on record elsewhere: "
            "POST /ext/v1/subscribers/{id}/confirmation.",
        )
    add = Mend("POST", f"{look.path}/subscribers", {"email_address": "somebody@example.com"})
    if people.completed:
        sentence = f"Nobody is inside any more: {words.people(people.completed)} completed the sequence."
        return Finding("everybody_completed", NOTICE, sentence, add)
    return Finding("nobody_inside", ERROR, "Nobody is inside, so there is nobody to send to.", add)


def _is_everybody_excluded(look: Look) -> bool:
    """Checking the first few people nearly always gives a no. Only if all are excluded, look for the first who is
    not."""
    sequence, now = look.sequence, look.now
    inside = Enrollment.objects.filter(sequence=sequence, status=Enrollment.Status.ACTIVE)
    some = list(inside.values_list("subscriber_id", flat=True)[:SOME])
    if len(audience.excluded(sequence, some, now)) < len(some):
        return False
    return not inside.exclude(subscriber__in=audience.outsiders(sequence, now).values("pk")).exists()


def _about_the_sender(look: Look) -> Iterator[Finding]:
    sender, account = look.sequence.sending_address, look.sequence.account
    if not sender.is_verified:
        other = look.verified[0] if look.verified else None
        yield Finding(
            "sender_unverified",
            ERROR,
            f"The sending address {sender.email_address} is not verified, so mail servers may refuse what it sends.",
            Mend("PUT", look.path, {"email_address": other}) if other else None,
            "" if other else "Verify the address with whoever sends your mail, or add another sending address.",
        )
    if not account.postal_address.strip():
        yield Finding(
            "no_postal_address",
            WARNING,
            f"The account {words.title(account.name)} has no postal address. The law in most countries wants one in "
            "every email of this kind, and spam filters look for it.",
            mend_by=f'dripstone accounts update --account {account.pk} --postal-address "…" sets it.',
        )


def _about_mail(look: Look) -> Iterator[Finding]:
    recent = look.recent
    if recent.n_over_budget:
        yield _over_budget(look, recent.n_over_budget, recent.over_budget_id)
    n_failing = recent.n_failed + recent.n_retried
    if n_failing and n_failing >= recent.n_deliveries * FAILING_SHARE:
        last_said = reasons.last_said(recent.reason or "", recent.reply or "")
        yield Finding(
            "mail_failing",
            ERROR if n_failing >= recent.n_deliveries * BROKEN_SHARE else WARNING,
            f"Of the last {words.count(recent.n_deliveries, 'email')}, {recent.n_failed} could not be delivered and "
            f"{recent.n_retried} {words.agree(recent.n_retried, 'is', 'are')} being tried again; {last_said}.",
            mend_by="If the reply speaks of sign-in, connection or sender, correct DRIPSTONE_MAIL_URL and restart; "
            "dripstone doctor checks it. Single addresses that do not exist need nothing.",
        )
    may_send = look.sequence.active and look.follows_edits
    n_late = look.next.n_late if look.next is not None else 0
    if may_send and look.next is not None and n_late:
        yield Finding(
            "late",
            ERROR,
            f"{words.people(n_late)} should have been sent something by now, the first since "
            f"{words.moment(look.next.at, look.sequence.time_zone)}: the engine does not keep up, or stands still.",
            mend_by="Look at the worker's log, and start more with dripstone worker. What is too late goes right away "
            "or at the next allowed hour; nobody gets two at once.",
        )
    elif may_send and recent.n_stuck and look.has_room:
        yield Finding(
            "late",
            ERROR,
            f"{words.count(recent.n_stuck, 'email')} stood ready to be sent for more than ten minutes: no worker "
            "takes them.",
            mend_by="Look at the worker's log, and start more with dripstone worker.",
        )


def _over_budget(look: Look, n_messages: int, email_id: int | None) -> Finding:
    subject = next((email.subject for email in look.emails if email.pk == email_id), "")
    return Finding(
        "liquid_over_budget",
        ERROR,
        f"{subjects.title(subject) if subject else 'A deleted email'} did not go to {words.people(n_messages)} lately, "
        f"because {reasons.WORDS[reasons.LIQUID_OVER_BUDGET]}.",
        mend_by="Make its loops, lists and texts shorter, or those of its template and snippets. The worker's log "
        "names the tag that went over (message_over_budget).",
        email_id=email_id if subject else None,
    )


def _publish(look: Look, email_id: int) -> Mend:
    return Mend("PUT", f"{look.path}/emails/{email_id}", {"published": True})


def _new_email(look: Look) -> Mend:
    body = {"subject": "Your subject", "content": "<p>Your text</p>", "delay_value": 1, "delay_unit": "days"}
    return Mend("POST", f"{look.path}/emails", body | {"published": True})
