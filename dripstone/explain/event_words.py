"""What happened to a person, in words: their events, who or what brought each about, and how they came on file."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.apps import apps

from dripstone import words
from dripstone.automations.models import Automation
from dripstone.content import subjects
from dripstone.engine import reasons
from dripstone.engine.models import Delivery, places_of
from dripstone.events import causes, types
from dripstone.events.models import Event
from dripstone.purchases.models import Product
from dripstone.rules.models import Rule
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import CustomField, Form, FormSubscription, Segment, Subscriber, Tag

Names = Mapping[tuple[str, int], str]
"""("tag", 3) → its name; of a delivery the subject of its email. What is gone has none."""

_SUBJECTS: Mapping[str, str] = {
    types.TAG_ADDED: "tag",
    types.TAG_REMOVED: "tag",
    types.SUBSCRIBED_TO_FORM: "form",
    types.FORM_FILLED_IN_AGAIN: "form",
    types.FIELD_VALUE_UPDATED: "field",
    types.ADDED_TO_SEQUENCE: "sequence",
    types.SEQUENCE_COMPLETED: "sequence",
    types.REMOVED_FROM_SEQUENCE: "sequence",
    types.SEQUENCE_END_REACHED: "sequence",
    types.PRODUCT_PURCHASED: "product",
    types.SENT_INTO_AUTOMATION: "automation",
    types.SENT_OUT_OF_AUTOMATION: "automation",
    types.SUBSCRIBER_UNSUBSCRIBED: "delivery",
    types.SUBSCRIBER_BOUNCED: "delivery",
    types.SUBSCRIBER_COMPLAINED: "delivery",
    types.TAG_CREATED: "tag",
    types.CUSTOM_FIELD_CREATED: "field",
    types.SEQUENCE_CREATED: "sequence",
    types.SEQUENCE_DELETED: "sequence",
    types.SEQUENCE_PUBLISHED: "sequence",
    types.SEQUENCE_DISABLED: "sequence",
}
_NAMED: Mapping[str, tuple[Any, str]] = {
    "tag": (Tag, "name"),
    "form": (Form, "name"),
    "field": (CustomField, "label"),
    "sequence": (Sequence, "name"),
    "segment": (Segment, "name"),
    "product": (Product, "name"),
    "rule": (Rule, "name"),
    "automation": (Automation, "name"),
    "import": ("imports.Import", "file_name"),  # its package is to the right of this one
}
_DONE = {
    types.TAG_CREATED: "was made",
    types.TAG_DELETED: "A tag was deleted",
    types.CUSTOM_FIELD_CREATED: "was made",
    types.CUSTOM_FIELD_DELETED: "A field was deleted",
    types.SEQUENCE_CREATED: "was made",
    types.SEQUENCE_DELETED: "was deleted",
    types.SEQUENCE_PUBLISHED: "began to send",
    types.SEQUENCE_DISABLED: "was paused",
}
_BEFORE = {
    "cancelled": "they had unsubscribed",
    "bounced": "their address did not take mail any more",
    "complained": "they had reported an email as spam",
}
_CAUSES = {
    "owner": "by hand",
    "api": "by API",
    "subscriber": "by themselves",
    "form": "by a form",
    "import": "by an import",
    "bulk": "by a bulk action",
    "rule": "by a rule",
    "automation": "by an automation",
}
_KINDS = {"bulk": "bulk action"}  # how a kind of cause is called, when not by its own name
_SETS_OFF = ("rule", "automation")  # what acts because of something else
_QUIETLY = "(rules were told not to fire)"


def names_of(events: Iterable[Event], account_id: int) -> Names:
    """A query per kind of thing that the events name."""
    wanted: dict[str, set[int]] = defaultdict(set)
    for one in events:
        for kind, pk in _things(one):
            wanted[kind].add(pk)
    found: dict[tuple[str, int], str] = {}
    for kind, ids in wanted.items():
        found |= {(kind, pk): name for pk, name in _rows(kind, ids, account_id)}
    return found


def _things(one: Event) -> Iterator[tuple[str, int]]:
    if one.subject_id is not None and one.type in _SUBJECTS:
        yield _SUBJECTS[one.type], one.subject_id
    yield from (source for source in map(_source, one.cause) if source is not None)
    yield from reasons.sources_in([one.data.get("reason", "")])


def _source(cause: str) -> tuple[str, int] | None:
    """ "form 2" → ("form", 2), if it is a kind of thing that has a name here."""
    kind, _, number = cause.partition(" ")
    return (kind, int(number)) if kind in _NAMED and number.isdigit() else None


def _rows(kind: str, ids: set[int], account_id: int) -> Iterable[tuple[int, str]]:
    if kind == "delivery":
        rows = Delivery.objects.filter(account=account_id, pk__in=ids, email__isnull=False)
        return [(pk, subjects.readable(text)) for pk, text in rows.values_list("pk", "email__subject")]
    of, name = _NAMED[kind]
    model = apps.get_model(of) if isinstance(of, str) else of
    return model._default_manager.filter(account=account_id, pk__in=ids).values_list("pk", name)  # type: ignore[no-any-return]


def sentence(one: Event, names: Names) -> str:
    """`Got the tag “Course”, by the form “Newsletter”`."""
    return said_by(_what(one, names), one.cause, names) + _why(one)


def said_by(what: str, cause: Iterable[str], names: Names) -> str:
    """With who or what brought it about behind it."""
    by = because_of(cause, names)
    between = "" if not by else " " if by.startswith("(") else ", "
    return f"{what}{between}{by}"


def _what(one: Event, names: Names) -> str:
    name = _named(one, names)
    match one.type:
        case types.SUBSCRIBER_CREATED:
            before = _BEFORE.get(one.data.get("remembered_as", ""))
            return f"Came on file again, and is not mailed: before, {before}" if before else "Came on file"
        case types.SUBSCRIBER_ACTIVATED:
            return "Confirmed their address" if "subscriber" in one.cause else "Became active"
        case types.SUBSCRIBER_RESUBSCRIBED:
            return "Came back"
        case types.SUBSCRIBER_UNSUBSCRIBED:
            return f"Unsubscribed by the link in {name}" if one.subject_id else "Unsubscribed"
        case types.SUBSCRIBER_BOUNCED:
            of = f" of {name}" if one.subject_id else ""
            return f"Refused at delivery{of}: the address does not take mail any more"
        case types.SUBSCRIBER_COMPLAINED:
            return f"Reported {name if one.subject_id else 'an email'} as spam"
        case types.SUBSCRIBED_TO_FORM:
            return f"Signed up by {name}"
        case types.FORM_FILLED_IN_AGAIN:
            return f"Signed up again by {name}"
        case types.FORM_FILLED_IN_AGAIN:
            return f"Filled in {name} again"
        case types.TAG_ADDED:
            return f"Got {name}"
        case types.TAG_REMOVED:
            return f"Lost {name}"
        case types.FIELD_VALUE_UPDATED:
            value = one.data.get("value")
            name = f"{name[:1].upper()}{name[1:]}"
            return f"{name} set to {words.title(value)}" if value else f"{name} emptied"
        case types.ADDED_TO_SEQUENCE:
            run = one.data.get("run") or 1
            return f"Entered {name}" if run == 1 else f"Started {name} again (run {run})"
        case types.SEQUENCE_COMPLETED:
            return f"Completed {name}"
        case types.REMOVED_FROM_SEQUENCE:
            return f"Left {name}"
        case types.SEQUENCE_END_REACHED:
            return f"Reached the end of {name}, and stays in it"
        case types.SENT_INTO_AUTOMATION:
            return f"Was moved into {name}"
        case types.SENT_OUT_OF_AUTOMATION:
            return f"Was moved out of {name}"
        case types.PURCHASE_CREATED:
            return "A purchase was recorded"
        case types.PRODUCT_PURCHASED:
            return f"Bought {name}"
        case types.SUBSCRIBER_DELETED:
            return "Was deleted"
    return _of_a_thing(one, name, names)


def _of_a_thing(one: Event, name: str, names: Names) -> str:
    """What is about no person: `The sequence “Caves” was paused`."""
    kind, said = _SUBJECTS.get(one.type), _DONE.get(one.type, one.type)
    if kind is None:
        return said
    is_called_so = kind in ("tag", "form") or (kind, one.subject_id) not in names
    return f"{name[:1].upper()}{name[1:]} {said}" if is_called_so else f"The {kind} {name} {said}"


def _named(one: Event, names: Names) -> str:
    kind = _SUBJECTS.get(one.type, "")
    name = names.get((kind, one.subject_id or 0))
    if name is None:
        return "an email that is gone" if kind == "delivery" else f"a {kind} that is gone"
    return f"the {kind} {words.title(name)}" if kind in ("tag", "form", "automation") else words.title(name)


def _why(one: Event) -> str:
    """A code, or somebody's own words."""
    if one.type == types.REMOVED_FROM_SEQUENCE:
        return f", because {reasons.because(one.data['reason'])}" if one.data.get("reason") else ""
    said = one.data.get("reason") or one.data.get("why")
    return f": {words.reply(said)}" if said else ""


def because_of(cause: Iterable[str], names: Names) -> str:
    """`by the form “Newsletter”`, `by the rule “B”, after the rule “A”, by API`; "" for what a date or an email
    brought about. Of an act that fired no rules it says so: `by hand (rules were told not to fire)`."""
    chain = list(cause)
    last, *before = [one for one in reversed(chain) if one != causes.QUIET] or [""]
    said = [_by(last, names)] if last else []
    for one in before:
        by = _by(one, names)
        said.append(by.replace("by", "after", 1) if one.partition(" ")[0] in _SETS_OFF else by)
    told = ", ".join(said)
    return f"{told} {_QUIETLY}".lstrip() if causes.is_quiet(chain) else told


def _by(cause: str, names: Names) -> str:
    kind, _, number = cause.partition(" ")
    called, source = _KINDS.get(kind, kind), _source(cause)
    if source is not None and source in names:
        return f"by the {called} {words.title(names[source])}"
    return f"by the {called} {number}" if number else _CAUSES.get(kind, f"by {called}")


# --- Since when they have what they have -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Since:
    """When they got a tag or a value, and by what: "by the rule “Course page”"."""

    at: datetime
    by: str


_SINCE = {"tag": types.TAG_ADDED, "field": types.FIELD_VALUE_UPDATED}


def since(person: Subscriber, kind: Literal["tag", "field"]) -> dict[int, Since]:
    """By the id of the tag or field: the last event of each, as far as events are kept."""
    mine = Event.objects.filter(subscriber_id=person.pk, account_id=person.account_id, type=_SINCE[kind])
    last = list(mine.order_by("subject_id", "-pk").distinct("subject_id"))
    names = names_of(last, person.account_id)
    return {one.subject_id: Since(one.occurred_at, because_of(one.cause, names)) for one in last if one.subject_id}


# --- How they came ------------------------------------------------------------------------------------------------


def came_by(person: Subscriber) -> str:
    """`by the form “Newsletter”`, `by API`; "" if nothing that is kept says it.

    Their first event says it. When that is pruned, the form they were on first, or the door of their first sequence.
    """
    events = Event.objects.filter(subscriber_id=person.pk, account_id=person.account_id)
    first = events.filter(type=types.SUBSCRIBER_CREATED).order_by("pk").first()
    if first is not None:
        return because_of(first.cause, names_of([first], person.account_id))
    forms = FormSubscription.objects.filter(subscriber=person, is_unconfirmed=False).select_related("form")
    form = forms.order_by("added_at").first()
    place = places_of(person.account_id, person.pk).order_by("pk").first()
    if form is not None and (place is None or form.added_at <= place.entered_at):
        return f"by the form {words.title(form.form.name)}"
    return _CAUSES.get(place.source, "") if place is not None else ""
