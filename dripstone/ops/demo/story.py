"""The story of the demo: a writer with a course, a welcome and the letters after a workshop, an automation from one to
the other, and forty people in them.

Their past is made by the engine itself, minute by minute, with an answer of "sent" instead of a message. So every due
date lies ahead, and the first start sends no overdue mail.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dripstone.accounts.models import Account
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.engine import claim, enroll, plan, record, transitions
from dripstone.engine import letters as engine_letters
from dripstone.engine.attempts import Outcome
from dripstone.engine.claim import Claimed
from dripstone.engine.letters import Letter
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.ops.demo import letters, path, people, shop
from dripstone.ops.demo.letters import COURSE, WELCOME, WORKSHOP, Series
from dripstone.ops.demo.people import PEOPLE, Person
from dripstone.sequences import drafts
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers import fields, subscribe, tags
from dripstone.subscribers.forms import update as update_form
from dripstone.subscribers.models import Form, FormSubscription, Segment, Subscriber, Tag

TIME_ZONE = "America/New_York"
SENDER = "Robin Vale"
USER_EMAIL = "demo@dripstone.example"
POSTAL_ADDRESS = "The Plain Letter\n12 Limestone Lane\nSpringfield, NY 13333"
REFERRER = "https://plain-letter.example/course?utm_source=newsletter&utm_medium=email&utm_campaign=autumn"
NEWCOMER = "bob.hart@example.org"  # he enters the course at the very first start

FORMS = {
    COURSE.name: ("Free course: write better emails", "c0ffee5a1d"),
    WELCOME.name: ("The Plain Letter", "1e77e2b0a7"),
}


@dataclass(frozen=True, slots=True)
class _Cast:
    """Everybody and everything that `load` has made, by name."""

    sequences: Mapping[str, Sequence]
    tags: Mapping[str, Tag]
    forms: Mapping[str, Form]


def load(account: Account, now: datetime) -> tuple[Sequence, Subscriber]:
    """All of it. Returns the course, and somebody who enters it at `now`."""
    began = now - timedelta(days=40)
    _furnish(account, began)
    labels = {
        name: tags.create(account.pk, {"name": name}, began, cause=causes.OWNER)[0]
        for name in (people.GUEST, people.SHOP, people.TEAM, people.WRITER)
    }
    forms = {
        series: Form.objects.create(account=account, name=name, format="inline", uid=uid, created_at=began)
        for series, (name, uid) in FORMS.items()
    }
    sequences = {series.name: _sequence(account, series, labels[people.TEAM], began) for series in letters.ALL}
    for series, form in forms.items():
        _what_it_adds(form, sequences[series], labels[people.WRITER])
    cast = _Cast(sequences, labels, forms)
    Segment.objects.create(account=account, name="Writers in the course", created_at=began, filter=_writers(cast))
    subscribers = {person.email_address: _subscriber(account, person, cast, now) for person in PEOPLE}
    _live_through(cast, subscribers, now)
    _leave_a_draft(account, cast, now)
    shop.load(account, subscribers, now)
    return sequences[COURSE.name], subscribers[NEWCOMER]


def _what_it_adds(form: Form, sequence: Sequence, writer: Tag) -> None:
    """Whoever signs up for the course is asked by mail; the letter takes people in at once."""
    is_course = sequence.name == COURSE.name
    given = {
        "opt_in": Form.OptIn.DOUBLE if is_course else Form.OptIn.SINGLE,
        "heading": form.name,
        "description": "Five short letters on writing better emails, ten minutes a day." if is_course else "",
        "button": "Send me the course" if is_course else "",
        "tag_ids": [writer.pk] if is_course else [],
        "sequence_ids": [sequence.pk],
    }
    update_form(form, given, sequence_ids={sequence.pk})


def _furnish(account: Account, began: datetime) -> None:
    """What every letter is made of."""
    stamps = {"account": account, "created_at": began, "updated_at": began}
    for label in ("Newsletter", "Goal"):
        fields.create(account.pk, {"label": label}, began, cause=causes.OWNER)
    greeting = 'Hello {{ subscriber.first_name | strip | default: "there" }},'
    inline, block = Snippet.Type.INLINE, Snippet.Type.BLOCK
    Snippet.objects.create(name="Greeting", key="greeting", snippet_type=inline, content=greeting, **stamps)
    sign_off = letters.html("sign-off")
    Snippet.objects.create(name="Sign-off", key="sign-off", snippet_type=block, value_html=sign_off, **stamps)
    html = letters.html("template")
    EmailTemplate.objects.create(name="The Plain Letter", html=html, is_default=True, **stamps)


def _sequence(account: Account, series: Series, excluded: Tag, began: datetime) -> Sequence:
    sequence = Sequence.objects.create(
        account=account,
        name=series.name,
        sending_address=account.sending_addresses.get(is_default=True),
        email_template=EmailTemplate.objects.get(account=account, is_default=True),
        send_days=list(series.send_days),
        send_hour=account.send_hour if series.send_hour is None else series.send_hour,
        time_zone=account.time_zone,
        hold=series.hold,
        exclude_subscriber_sources=[{"type": "tag", "ids": [excluded.pk]}],
        created_at=began,
        updated_at=began,
    )
    SequenceEmail.objects.bulk_create(_emails(sequence, series, {"created_at": began, "updated_at": began}))
    return sequence


def _emails(sequence: Sequence, series: Series, stamps: dict[str, Any]) -> Iterator[SequenceEmail]:
    for position, letter in enumerate(series.letters):
        yield SequenceEmail(
            account_id=sequence.account_id,
            sequence=sequence,
            subject=letter.subject,
            preview_text=letter.preview_text,
            content=letters.html(letter.file),
            position=position,
            delay_value=letter.delay_value,
            delay_unit=letter.delay_unit,
            send_days=letter.send_days,
            published=letter.published,
            **stamps,
        )


def _writers(cast: _Cast) -> dict[str, Any]:
    conditions = [
        {"type": "sequence", "operator": "in", "ids": [cast.sequences[COURSE.name].pk]},
        {"type": "tag", "operator": "in", "ids": [cast.tags[people.WRITER].pk]},
    ]
    return {"match": "all", "conditions": conditions}


def _subscriber(account: Account, person: Person, cast: _Cast, now: datetime) -> Subscriber:
    came = now - person.came
    members = ("email_address", "first_name", "state", "fields")
    given = {name: getattr(person, name) for name in members}
    subscriber = subscribe.upsert(account.pk, given, came, cause=causes.API).subscriber
    for name in person.tags:
        tags.add(cast.tags[name], subscriber, came, cause=causes.API)
    for series, entered in person.entered if person.source == "form" else ():
        FormSubscription.objects.create(
            form=cast.forms[series.name], subscriber=subscriber, referrer=REFERRER, added_at=now - entered
        )
    return subscriber


def _live_through(cast: _Cast, subscribers: dict[str, Subscriber], now: datetime) -> None:
    """People enter at their own instants and get what was due since, each email at its own instant and in order."""
    acts: list[tuple[datetime, str, Person]] = []
    for person in PEOPLE:
        acts += [(now - ago, series.name, person) for series, ago in person.entered]
        acts += [(now - person.cancelled, "", person)] if person.cancelled is not None else []
    refusals = {subscribers[one.email_address].pk: one.refused for one in PEOPLE if one.refused}
    ids = [sequence.pk for sequence in cast.sequences.values()]
    acts.append((now - path.RUNS_FOR, path.NAME, PEOPLE[0]))
    for at, name, person in sorted(acts, key=lambda act: act[:2]):
        _live_until(ids, refusals, at)
        subscriber = subscribers[person.email_address]
        if name == path.NAME:
            path.make(subscriber.account, cast.sequences, cast.forms[COURSE.name], at)
        elif name:
            enroll.add(cast.sequences[name], [subscriber.pk], person.source, at)
        else:
            transitions.cancel(subscriber.pk, at, cause=causes.SUBSCRIBER)
        if name != WORKSHOP.name:  # that concerns nobody there
            path.follow(at)
    _live_until(ids, refusals, now)
    path.follow(now)


def _live_until(sequence_ids: list[int], refusals: dict[int, str], instant: datetime) -> None:
    """What was due before `instant`, each at the second it was due: waits of the automation, then emails, which were
    planned, claimed and recorded."""
    waiting = Enrollment.objects.filter(sequence__in=sequence_ids, due_at__lt=instant).order_by("due_at")
    while True:
        email_at, walk_at = waiting.values_list("due_at", flat=True).first(), path.next_instant()
        due = min((at for at in (email_at, walk_at) if at is not None), default=None)
        if due is None or due >= instant:
            return
        n_before = Event.objects.count()
        if due == email_at:
            _send(sequence_ids, refusals, due)
        if due == walk_at or Event.objects.count() > n_before:  # an email alone concerns nobody there
            path.follow(due)


def _send(sequence_ids: list[int], refusals: dict[int, str], due: datetime) -> None:
    plan.batch(sequence_ids, due)
    claimed = claim.take("demo", due)
    written = engine_letters.of(claimed, due).emails
    record.outcomes([_outcome(row, written, refusals.get(row.subscriber_id or 0, "")) for row in claimed], due)


def _outcome(row: Claimed, written: Mapping[int, Letter | None], refusal: str) -> Outcome:
    letter = written[row.email_id] if row.email_id is not None else None
    edition_id = letter.edition_id if letter else None
    sent = Outcome(row.delivery_id, row.attempt, "sent", reply="250 OK", edition_id=edition_id)
    return sent._replace(status="failed", hard_bounce=True, reply=refusal) if refusal else sent


def _leave_a_draft(account: Account, cast: _Cast, now: datetime) -> None:
    """A letter that was changed yesterday, and not published yet."""
    letter, subject = letters.CHANGED
    sequence = cast.sequences[WORKSHOP.name]
    email = sequence.emails.get(position=WORKSHOP.letters.index(letter))
    revision = drafts.of(email).revision
    drafts.save(account, sequence.pk, email.pk, {"subject": subject}, revision, now - timedelta(days=1), USER_EMAIL)
