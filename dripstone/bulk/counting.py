"""What a bulk action would do, counted before it is begun: whom it is about, and what each action would change.

Takes       whom it is about, and actions
Leaves      nothing: it only reads
A crash here means there is no answer.

Each action is counted as things stand now: what an action before it would change is not taken into account. A count is
about the people there are; whoever comes later is not meant, so its token stays good while others come.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, Func, OuterRef, Q, QuerySet, TextField, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact

from dripstone import conditions
from dripstone.accounts.models import Account
from dripstone.automations.models import Automation, Walk
from dripstone.conditions.people import expanded
from dripstone.conditions.words import why_nobody
from dripstone.content import texts
from dripstone.engine.models import Enrollment
from dripstone.foresight import timetable
from dripstone.sequences.models import Sequence as EmailSequence
from dripstone.sequences.models import SequenceEmail
from dripstone.subscribers.models import CustomField, Form, FormSubscription, State, Subscriber, Tag, Tagging
from dripstone.triggers import what
from dripstone.triggers.what import Action

Whom = Mapping[str, Any]
"""{"filter": condition} or {"ids": [3, 7]}, in order and each once."""

MAILABLE = (State.ACTIVE, State.INACTIVE)


@dataclass(frozen=True, slots=True)
class Entering:
    """Of those who would enter a sequence.

    n_unconfirmed   of them, who wait until they have confirmed their address
    first           the email that the others get first, and when; None: nothing is published, it is paused or on hold
    """

    sequence: EmailSequence
    n_unconfirmed: int
    first: tuple[SequenceEmail, datetime] | None


@dataclass(frozen=True, slots=True)
class Effect:
    """Of one action.

    n_changed    people for whom it would change something
    n_asked      people whom it would ask to confirm first; these are not among the others
    is_at_most   its text has Liquid, so that for some of them nothing may change
    is_gone      what it names was deleted
    """

    action: Action
    n_changed: int = 0
    n_asked: int = 0
    is_at_most: bool = False
    is_gone: bool = False
    entering: Entering | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """n_people       whom it is about
    n_unmailable   of them, who may not be mailed: who unsubscribed, bounced or complained
    n_unknown      ids that are nobody's of this account
    why_nobody     what is wrong with the filter, so that nobody meets it; "" for nothing
    token          what to bring back to begin just this
    """

    n_people: int
    n_unmailable: int
    n_unknown: int
    why_nobody: str
    effects: list[Effect]
    token: str


@dataclass(frozen=True, slots=True)
class _Question:
    """Which of the people an action would change, and which it would ask; as conditions on a row of theirs."""

    changed: Q
    asked: Q | None = None
    is_at_most: bool = False
    is_gone: bool = False
    sequence: EmailSequence | None = None


def count(
    account: Account, whom: Whom, actions: Sequence[Action], now: datetime, *, last_id: int | None = None
) -> Counted:
    """One query for all, and some for what the actions name.

    last_id   nobody who came after this one is meant; None: everybody there is now
    """
    last_id = newest(account) if last_id is None else last_id
    questions = [_QUESTIONS[action["kind"]](account, action) for action in actions]
    counts = _counts(people(account, whom, now).filter(pk__lte=last_id), questions)
    effects = [
        _effect(number, action, question, counts, now)
        for number, (action, question) in enumerate(zip(actions, questions, strict=True))
    ]
    told = [counts["n"], [(one.n_changed, one.n_asked) for one in effects]]
    return Counted(
        counts["n"],
        counts["unmailable"],
        len(whom["ids"]) - counts["n"] if "ids" in whom else 0,
        _why_nobody(account, whom),
        effects,
        _token(account, whom, actions, told, last_id),
    )


def people(account: Account, whom: Whom, now: datetime) -> QuerySet[Subscriber]:
    if "ids" in whom:
        return conditions.matching(None, account, now, among=whom["ids"])
    return conditions.matching(whom["filter"], account, now)


def newest(account: Account) -> int:
    """The highest id of its people."""
    last = Subscriber.objects.filter(account=account).order_by("-pk").values_list("pk", flat=True).first()
    return last or 0


def n_people(account: Account, last_id: int) -> int:
    return Subscriber.objects.filter(account=account, pk__lte=last_id).count()


def _counts(rows: QuerySet[Subscriber], questions: Sequence[_Question]) -> Mapping[str, int]:
    counted: dict[str, Any] = {"n": Count("pk"), "unmailable": Count("pk", filter=~Q(state__in=MAILABLE))}
    for number, question in enumerate(questions):
        counted[f"changed_{number}"] = Count("pk", filter=question.changed)
        if question.asked is not None:
            counted[f"asked_{number}"] = Count("pk", filter=question.asked)
    found: dict[str, int] = rows.order_by().aggregate(**counted)
    return found


def _effect(number: int, action: Action, question: _Question, counts: Mapping[str, int], now: datetime) -> Effect:
    entering = None
    n_asked = counts.get(f"asked_{number}", 0)
    if question.sequence is not None:
        entering, n_asked = Entering(question.sequence, n_asked, _first(question.sequence, now)), 0
    n_changed = counts[f"changed_{number}"]
    return Effect(action, n_changed, n_asked, question.is_at_most, question.is_gone, entering)


def _first(sequence: EmailSequence, now: datetime) -> tuple[SequenceEmail, datetime] | None:
    lines = timetable.of_entry(sequence, sequence.emails.all(), now) if sequence.active else []
    return (lines[0].email, lines[0].due) if lines else None


def _why_nobody(account: Account, whom: Whom) -> str:
    found = expanded(whom["filter"], account.pk) if "filter" in whom else None
    return why_nobody(found) if found is not None and found.is_broken else ""


# --- What each action would change --------------------------------------------------------------------------------

_EVERYBODY = Q(pk__isnull=False)
_NOBODY = Q(pk__isnull=True)
_GONE = _Question(_NOBODY, is_gone=True)


def _tag(account: Account, action: Action) -> _Question:
    has = _has_tag(action)
    return _Question(~Q(has)) if _is_there(Tag, account, action["tag_id"]) else _GONE


def _untag(account: Account, action: Action) -> _Question:
    return _Question(Q(_has_tag(action))) if _is_there(Tag, account, action["tag_id"]) else _GONE


def _has_tag(action: Action) -> Exists:
    return Exists(Tagging.objects.filter(tag_id=action["tag_id"], subscriber=OuterRef("pk")))


def _field(account: Account, action: Action) -> _Question:
    field_id, value = action["custom_field_id"], action["value"] or ""
    if not _is_there(CustomField, account, field_id):
        return _GONE
    if texts.is_liquid(value):
        return _Question(_EVERYBODY, is_at_most=True)
    # Not Django's KeyTextTransform, which takes an id for a place in an array.
    here = Func("fields", Value(str(field_id)), template="(%(expressions)s)", arg_joiner=" ->> ")
    return _Question(~Q(Exact(Coalesce(here, Value(""), output_field=TextField()), value)))


def _form(account: Account, action: Action) -> _Question:
    form = Form.objects.filter(account=account, pk=action["form_id"]).first()
    if form is None:
        return _GONE
    absent = ~Q(_is_on(action))
    if form.opt_in != Form.OptIn.DOUBLE:
        return _Question(absent)
    return _Question(absent & ~Q(state=State.INACTIVE), asked=absent & Q(state=State.INACTIVE))


def _leave_form(account: Account, action: Action) -> _Question:
    return _Question(Q(_is_on(action))) if _is_there(Form, account, action["form_id"]) else _GONE


def _is_on(action: Action) -> Exists:
    return Exists(FormSubscription.objects.filter(form_id=action["form_id"], subscriber=OuterRef("pk")))


def _enter(account: Account, action: Action) -> _Question:
    """R12: whoever is inside a sequence that repeats begins again."""
    sequence = _sequence(account, action)
    if sequence is None:
        return _GONE
    enters = Q(state__in=MAILABLE)
    if not sequence.repeat:
        has_stayed = Enrollment.objects.exclude(status=Enrollment.Status.REMOVED)
        enters &= ~Q(Exists(has_stayed.filter(sequence=sequence, subscriber=OuterRef("pk"))))
    return _Question(enters, asked=enters & Q(state=State.INACTIVE), sequence=sequence)


def _leave(account: Account, action: Action) -> _Question:
    sequence = _sequence(account, action)
    if sequence is None:
        return _GONE
    inside = Enrollment.objects.filter(status__in=(Enrollment.Status.ACTIVE, Enrollment.Status.UNCONFIRMED))
    return _Question(Q(Exists(inside.filter(sequence=sequence, subscriber=OuterRef("pk")))))


def _sequence(account: Account, action: Action) -> EmailSequence | None:
    return EmailSequence.objects.filter(account=account, pk=action["sequence_id"], deleted_at=None).first()


def _move(account: Account, action: Action) -> _Question:
    """Whom it lets in as it is set up now, and who is inside."""
    automation = Automation.objects.filter(account=account, pk=action["automation_id"]).first()
    if automation is None:
        return _GONE
    walks = Walk.objects.filter(automation=automation, subscriber_id=OuterRef("pk"))
    inside = Q(Exists(walks.filter(left_at=None)))
    if action["way"] == "out":
        return _Question(inside)
    if automation.status == Automation.Status.INACTIVE:
        return _Question(_NOBODY)
    is_once = automation.reenter == Automation.Reenter.NEVER and "again" not in action
    has_been = Q(Exists(walks)) if is_once else inside
    return _Question(Q(state__in=MAILABLE) & ~has_been)


def _unsubscribe(account: Account, action: Action) -> _Question:
    return _Question(~Q(state__in=(State.CANCELLED, State.COMPLAINED)))


def _all(account: Account, action: Action) -> _Question:
    return _Question(_EVERYBODY)


def _is_there(model: type[Tag] | type[CustomField] | type[Form], account: Account, pk: int) -> bool:
    return model._default_manager.filter(account=account, pk=pk).exists()


_QUESTIONS = {
    what.TAG: _tag,
    what.UNTAG: _untag,
    what.FIELD: _field,
    what.FORM: _form,
    what.LEAVE_FORM: _leave_form,
    what.ENTER_SEQUENCE: _enter,
    what.LEAVE_SEQUENCE: _leave,
    what.CALL: _all,
    what.MAIL_OWNER: _all,
    what.MOVE: _move,
    what.UNSUBSCRIBE: _unsubscribe,
    what.DELETE: _all,
}

# --- The token ----------------------------------------------------------------------------------------------------


def _token(account: Account, whom: Whom, actions: Sequence[Action], told: object, last_id: int) -> str:
    """`last_id-figure`: who was there, and a figure of what was asked and what was told."""
    said = json.dumps([account.pk, whom, list(actions), told, last_id], sort_keys=True)
    return f"{last_id}-{hashlib.sha256(said.encode()).hexdigest()[:20]}"


def last_id_of(token: str) -> int | None:
    """None: it is no token of ours."""
    found = re.fullmatch(r"(\d{1,18})-[0-9a-f]{20}", token)
    return int(found[1]) if found else None
