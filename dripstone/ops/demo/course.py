"""The course of the demo: five emails, a dozen people, most of them under way.

Their past is made by the engine itself, minute by minute, with an answer of "sent" instead of a message. So every due
date lies ahead, and the first start sends no overdue mail.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dripstone.accounts.models import Account
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.engine import claim, enroll, plan, record, transitions
from dripstone.engine.attempts import Outcome
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers import fields, subscribe, tags
from dripstone.subscribers.models import Form, FormSubscription, Segment, State, Subscriber, Tag

TIME_ZONE = "America/New_York"
POSTAL_ADDRESS = "The Plain Letter\n12 Limestone Lane\nSpringfield, NY 13333"
REFERRER = "https://plain-letter.example/course?utm_source=newsletter&utm_medium=email&utm_campaign=autumn"

_HTML = Path(__file__).parent / "content"


@dataclass(frozen=True, slots=True)
class Letter:
    """One email of the course; `send_days` as in the model: 0 = Monday, None = the sequence's."""

    file: str
    subject: str
    preview_text: str
    delay_value: int
    delay_unit: str
    send_days: list[int] | None = None


LETTERS = [
    Letter(
        "1-one-reader",
        "{% if subscriber.first_name != blank %}{{ subscriber.first_name }}, write{% else %}Write{% endif %}"
        " to one person",
        "The first of five short letters on writing better emails",
        0,
        "days",
    ),
    Letter("2-exercise", "A two-minute exercise", "Where does your last email really begin?", 2, "hours"),
    Letter("3-subject-lines", "Say what is inside", "Subject lines are labels, not riddles", 1, "days"),
    Letter("4-one-request", "Ask for one thing", "Why seven links get you no answer", 1, "days", [0, 1, 2, 3, 4]),
    Letter("5-keep-going", "Choose a day and keep it", "The last letter, on the habit that stays", 1, "days", [1]),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody in the demo. `entered` is how long ago they came into the course; None: on file only."""

    first_name: str | None
    email_address: str
    entered: timedelta | None
    source: enroll.Source = "form"
    state: str = State.ACTIVE
    tags: tuple[str, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)
    cancelled: timedelta | None = None  # how long ago they unsubscribed


NOW = timedelta(0)

GUESTS = [
    Guest("Hana", "hana.mori@example.org", timedelta(days=24, hours=5), tags=("Writes a newsletter",),
          fields={"newsletter": "Slow Kitchen", "goal": "a thousand readers by spring"}),
    Guest("Tomasz", "tomasz.wolny@example.com", timedelta(days=21, hours=2), tags=("Runs a shop",)),
    Guest("Priya", "priya.nair@example.org", timedelta(days=17, hours=9), tags=("Writes a newsletter",),
          fields={"newsletter": "Monsoon Notes"}),
    Guest("Oluwaseun", "seun.adeyemi@example.com", timedelta(days=12, hours=7), tags=("Runs a shop",),
          fields={"goal": "fewer abandoned carts"}, cancelled=timedelta(days=11)),
    Guest("Ingrid", "ingrid.solberg@example.org", timedelta(days=5, hours=4), tags=("Writes a newsletter",),
          fields={"newsletter": "Fjordbrev", "goal": "to publish every week"}),
    Guest("Mateo", "mateo.rios@example.com", timedelta(days=3, hours=8), source="api", tags=("Runs a shop",)),
    Guest(None, "reader.seven@example.org", timedelta(days=2, hours=5)),
    Guest("Ayşe", "ayse.demir@example.com", timedelta(days=1, hours=6), source="import", tags=("Team",)),
    Guest("Zoë", "zoe.laurent@example.org", timedelta(hours=20), tags=("Writes a newsletter",),
          fields={"newsletter": "Petit Matin"}),
    Guest("Linus", "linus.berg@example.com", timedelta(hours=1), source="api", tags=("Runs a shop",)),
    Guest("Nkechi", "nkechi.obi@example.org", timedelta(hours=3), state=State.INACTIVE),
    Guest("Greta", "greta.weiss@example.com", None, tags=("Writes a newsletter",)),
    Guest("Bob", "bob.hart@example.org", NOW, source="import", tags=("Writes a newsletter",),
          fields={"newsletter": "Two Wheels Only", "goal": "to sound less like a brochure"}),
    Guest("Mei", "mei.tanaka@example.com", NOW, source="import", tags=("Runs a shop",),
          fields={"newsletter": "Tea by Post"}),
]  # fmt: skip


def load(account: Account, now: datetime) -> tuple[Sequence, Subscriber]:
    """The course with everything around it. The subscriber is one who enters at `now`."""
    began = now - timedelta(days=30)
    for label in ("Newsletter", "Goal"):
        fields.create(account.pk, {"label": label}, began, cause=causes.OWNER)
    names = ("Runs a shop", "Team", "Writes a newsletter")
    labels = {name: tags.create(account.pk, {"name": name}, began, cause=causes.OWNER)[0] for name in names}
    form = Form.objects.create(
        account=account, name="Free course: write better emails", format="inline", uid="c0ffee5a1d", created_at=began
    )
    sequence = _course(account, labels["Team"], began)
    Segment.objects.create(account=account, name="Writers in the course", created_at=began,
                           filter=_writers_in(sequence, labels["Writes a newsletter"]))  # fmt: skip
    people = {guest.email_address: _person(account, guest, labels, form, now) for guest in GUESTS}
    _live_through(sequence, people, now)
    return sequence, people["bob.hart@example.org"]


def _course(account: Account, excluded: Tag, began: datetime) -> Sequence:
    stamps = {"created_at": began, "updated_at": began}
    Snippet.objects.create(
        account=account, name="Greeting", key="greeting", snippet_type=Snippet.Type.INLINE,
        content='Hello {{ subscriber.first_name | strip | default: "there" }},', **stamps,
    )  # fmt: skip
    Snippet.objects.create(
        account=account, name="Sign-off", key="sign-off", snippet_type=Snippet.Type.BLOCK, value_html=_html("sign-off"),
        **stamps,
    )  # fmt: skip
    sequence = Sequence.objects.create(
        account=account,
        name="Write better emails",
        sending_address=account.sending_addresses.get(is_default=True),
        email_template=EmailTemplate.objects.create(
            account=account, name="The Plain Letter", html=_html("template"), is_default=True, **stamps
        ),
        send_hour=account.send_hour,
        time_zone=account.time_zone,
        exclude_subscriber_sources=[{"type": "tag", "ids": [excluded.pk]}],
        **stamps,
    )
    SequenceEmail.objects.bulk_create(_letters(sequence, stamps))
    return sequence


def _letters(sequence: Sequence, stamps: dict[str, Any]) -> Iterator[SequenceEmail]:
    for position, letter in enumerate(LETTERS):
        yield SequenceEmail(
            account_id=sequence.account_id,
            sequence=sequence,
            subject=letter.subject,
            preview_text=letter.preview_text,
            content=_html(letter.file),
            position=position,
            delay_value=letter.delay_value,
            delay_unit=letter.delay_unit,
            send_days=letter.send_days,
            published=True,
            **stamps,
        )


def _html(name: str) -> str:
    return (_HTML / f"{name}.html").read_text(encoding="utf-8")


def _writers_in(sequence: Sequence, tag: Tag) -> dict[str, Any]:
    conditions = [
        {"type": "sequence", "operator": "in", "ids": [sequence.pk]},
        {"type": "tag", "operator": "in", "ids": [tag.pk]},
    ]
    return {"match": "all", "conditions": conditions}


def _person(account: Account, guest: Guest, labels: dict[str, Tag], form: Form, now: datetime) -> Subscriber:
    came = now - (timedelta(days=2) if guest.entered is None else guest.entered)
    members = ("email_address", "first_name", "state", "fields")
    person = subscribe.upsert(
        account.pk, {name: getattr(guest, name) for name in members}, came, cause=causes.API
    ).subscriber
    for name in guest.tags:
        tags.add(labels[name], person, came, cause=causes.API)
    if guest.source == "form":
        FormSubscription.objects.create(form=form, subscriber=person, referrer=REFERRER, added_at=came)
    return person


def _live_through(sequence: Sequence, people: dict[str, Subscriber], now: datetime) -> None:
    """People enter at their own instants and get what was due since, each email at its own instant and in order."""
    acts = [(now - guest.entered, "enter", guest) for guest in GUESTS if guest.entered is not None]
    acts += [(now - guest.cancelled, "cancel", guest) for guest in GUESTS if guest.cancelled is not None]
    for at, act, guest in sorted(acts, key=lambda one: (one[0], one[1])):
        _send_until(sequence, at)
        person = people[guest.email_address]
        if act == "enter":
            enroll.add(sequence, [person.pk], guest.source, at)
        else:
            transitions.cancel(person.pk, at, cause=causes.SUBSCRIBER)


def _send_until(sequence: Sequence, instant: datetime) -> None:
    """What was due before `instant` was planned, claimed and recorded as sent, at the second it was due."""
    waiting = Enrollment.objects.filter(sequence=sequence, due_at__lt=instant).order_by("due_at")
    while (due := waiting.values_list("due_at", flat=True).first()) is not None:
        plan.batch([sequence.pk], due)
        claimed = claim.take("demo", due)
        record.outcomes([Outcome(row.delivery_id, row.attempt, "sent", "250 OK") for row in claimed], due)
