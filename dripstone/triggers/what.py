"""Actions: what a rule or an automation does to somebody, and a bulk action to many.

    {"kind": "tag", "tag_id": 9}
    {"kind": "field", "custom_field_id": 5, "value": "{{ subscriber.first_name | upcase }}"}

Takes       actions as they are kept; people whom the caller has locked, after it has held what the actions name
Leaves      what they say, done; for each person whether it changed something, or why not (reasons.py)
A crash here means nothing was done: it is all in the caller's transaction, calls and mail included.

What is so already changes nothing and fires nothing. What an action names may have been deleted since it was saved:
then it passes everybody by.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from dripstone import outbound
from dripstone import words as english
from dripstone.accounts.models import Account
from dripstone.calls import queue
from dripstone.conditions.words import Names, called
from dripstone.content import texts
from dripstone.content.compile import Person
from dripstone.content.liquid_cost import OverBudget
from dripstone.engine import enroll, queries, transitions
from dripstone.engine import reasons as engine_reasons
from dripstone.engine.acts import forget, places, sign_ups
from dripstone.engine.enroll import Source
from dripstone.errors import Invalid
from dripstone.events import types
from dripstone.events.causes import Cause
from dripstone.events.record import event, record
from dripstone.given import Checked
from dripstone.grammar import Thing, kinds
from dripstone.sequences.known import known
from dripstone.sequences.models import Sequence as EmailSequence
from dripstone.subscribers import fields, forms, subscribe, tags
from dripstone.subscribers.forms import Origin
from dripstone.subscribers.models import CustomField, Form, State, Subscriber, Tag
from dripstone.subscribers.models import held as held_rows
from dripstone.triggers import bodies, owner_mail, reading, reasons

Action = dict[str, Any]
For = Literal["rule", "bulk"]

TAG: Final = "tag"
UNTAG: Final = "untag"
FIELD: Final = "field"
FORM: Final = "form"
LEAVE_FORM: Final = "leave_form"
ENTER_SEQUENCE: Final = "enter_sequence"
LEAVE_SEQUENCE: Final = "leave_sequence"
CALL: Final = "call"
MAIL_OWNER: Final = "mail_owner"
MOVE: Final = "move"
UNSUBSCRIBE: Final = "unsubscribe"
DELETE: Final = "delete"

LAST = (UNSUBSCRIBE, DELETE)  # nothing follows them
_FOR_BULK = (LEAVE_FORM, DELETE)
WAYS = ("in", "out")  # of a move
LONGEST_TEXT = 5_000  # characters of a mail to the owners

# --- Reading ------------------------------------------------------------------------------------------------------


def read(
    given: object, member: str, account_id: int, *, for_: For, may_be_gone: Collection[Thing] = ()
) -> list[Action]:
    """As they are to be kept. Raises Invalid with every problem, each with its member: `actions[1].sequence_id`.

    for_   `leave_form` and `delete` are for bulk actions alone
    may_be_gone   what the actions before an edit name: it may be written back, deleted or not
    """
    outer, inside = reading.items(given, member)
    options = [kind for kind in _READERS if for_ == "bulk" or kind not in _FOR_BULK]
    found = [(one, _read(one, options)) for one in inside]
    for one, action in found[:-1]:
        if action.get("kind") in LAST:
            one.refuse("kind", f"{one.path('kind')}: {action['kind']} must be the last action")
    reading.refuse_unknown(found, account_id, may_be_gone)
    outer.raise_problems()
    return [action for _, action in found]


def _read(one: Checked, options: Collection[str]) -> Action:
    if "kind" not in one.given:
        one.blank("kind")
    one.choice("kind", options)
    kind = one.values.get("kind")
    return {"kind": kind, **read_settings(one, kind)} if kind else {}


def read_settings(one: Checked, kind: str) -> dict[str, Any]:
    """The members of an action of this kind that stand in `one`, which collects the problems. Whether what it names is
    there is for reading.refuse_unknown to say."""
    return _READERS[kind](one)


def _of(name: str) -> Callable[[Checked], dict[str, Any]]:
    return lambda one: reading.thing(one, name)


def _nothing(one: Checked) -> dict[str, Any]:
    return {}


def _read_field(one: Checked) -> dict[str, Any]:
    """Without a value, or with an empty one, the field is emptied."""
    value = reading.text(one, "value")
    _check_liquid(one, "value", value, kinds.MAX_VALUE)
    return {**reading.thing(one, "custom_field_id"), "value": value}


def _read_call(one: Checked) -> dict[str, Any]:
    if "url" not in one.given:
        one.blank("url")
    one.words("url", outbound.LONGEST_URL)
    url = one.values.get("url", "").strip()
    if url:
        try:
            outbound.check(url, one.path("url"))
        except Invalid as refused:
            one.problems += refused.problems
    return {"url": url, **bodies.read(one, "body")}


def _read_mail(one: Checked) -> dict[str, Any]:
    if "text" not in one.given:
        one.blank("text")
    one.words("text", LONGEST_TEXT)
    text = one.values.get("text")
    _check_liquid(one, "text", text, LONGEST_TEXT)
    return {"text": text}


def _read_move(one: Checked) -> dict[str, Any]:
    found = reading.thing(one, "automation_id")
    if "way" not in one.given:
        one.blank("way")
    one.choice("way", WAYS)
    one.drop_nulls("again")
    one.flag("again")
    again = {"again": True} if one.values.get("again") else {}
    if again and one.values.get("way") == "out":
        one.wrong("again", "is for the way in")
    return {**found, "way": one.values.get("way"), **again}


def _check_liquid(one: Checked, name: str, source: str | None, most: int) -> None:
    for sentence in texts.problems(source or "", one.path(name), most):
        one.refuse(name, sentence)


_READERS: Mapping[str, Callable[[Checked], dict[str, Any]]] = {
    TAG: _of("tag_id"),
    UNTAG: _of("tag_id"),
    FIELD: _read_field,
    FORM: _of("form_id"),
    LEAVE_FORM: _of("form_id"),
    ENTER_SEQUENCE: _of("sequence_id"),
    LEAVE_SEQUENCE: _of("sequence_id"),
    CALL: _read_call,
    MAIL_OWNER: _read_mail,
    MOVE: _read_move,
    UNSUBSCRIBE: _nothing,
    DELETE: _nothing,
}
KINDS = tuple(_READERS)

# --- What they name, and how they read ----------------------------------------------------------------------------


def things(action: Action) -> list[Thing]:
    """What it names: ("tag", 9); of Liquid in texts nothing, which is about keys."""
    return [thing for _, thing in reading.named(action)]


def words(action: Action, names: Names) -> str:
    """`add the tag “Course”`. names: conditions.words.names_of; what is missing there is gone."""
    which = next((called(thing, names) for thing in things(action)), "")
    match action["kind"]:
        case "field":
            value = action["value"]
            return f"set the field {which} to {english.title(value)}" if value else f"empty the field {which}"
        case "call":
            return f"call {action['url']}"
        case "mail_owner":
            return f"mail the owners {english.title(action['text'])}"
        case "move":
            again = ", even if they have been inside" if "again" in action else ""
            return f"move them {'into' if action['way'] == 'in' else 'out of'} the automation {which}{again}"
    return _WORDS[action["kind"]].format(which)


_WORDS: Mapping[str, str] = {
    TAG: "add the tag {}",
    UNTAG: "take the tag {} away",
    FORM: "put them on the form {}",
    LEAVE_FORM: "take them off the form {}",
    ENTER_SEQUENCE: "put them into the sequence {}",
    LEAVE_SEQUENCE: "take them out of the sequence {}",
    UNSUBSCRIBE: "unsubscribe them",
    DELETE: "delete them",
}


def sentence(actions: Iterable[Action], names: Names) -> str:
    """In their order: `add the tag “Course”, then put them into the sequence “Welcome”`."""
    return ", then ".join(words(action, names) for action in actions)


# --- Holding ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """What a list of actions needs. sequences: by id; one that is gone is not there."""

    account: Account
    actions: Sequence[Action]
    sequences: Mapping[int, EmailSequence]

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.account.time_zone)

    @cached_property
    def keys(self) -> Mapping[str, str]:
        """{custom field id as text: key}."""
        return fields.keys_of(self.account.pk)

    def person(self, one: Subscriber) -> Person:
        """As Liquid sees them, now."""
        values = {key: one.fields.get(field_id) for field_id, key in self.keys.items()}
        return Person(one.pk, one.email_address, one.first_name, values)


def hold(account_id: int, actions: Sequence[Action]) -> Held:
    """Loads what they name, and keeps its sequences from being deleted and edited until the transaction ends: before
    any person is locked. (`perform` holds tags, forms and fields, which come behind the people.)"""
    ids = [action["sequence_id"] for action in actions if "sequence_id" in action]
    return Held(Account.objects.get(pk=account_id), list(actions), _held_sequences(account_id, ids))


def _held_sequences(account_id: int, ids: list[int]) -> Mapping[int, EmailSequence]:
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(queries.HOLD_SEQUENCES_ADDED, {"sequences": ids, "account": account_id})
        return EmailSequence.objects.in_bulk([pk for (pk,) in cursor.fetchall()])


# --- Doing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done:
    """changed   people for whom it changed something, for whom a call or mail is queued, or who are sent somewhere
    passed    the others, each with the reason (reasons.py)
    before    of `field`, the value that was there, by person among `changed`; None for none
    """

    changed: set[int] = field(default_factory=set)
    passed: dict[int, str] = field(default_factory=dict)
    before: dict[int, str | None] = field(default_factory=dict)


_Named = Tag | Form | CustomField
_MEMBERS: Mapping[type[_Named], str] = {Tag: "tag_id", Form: "form_id", CustomField: "custom_field_id"}


@dataclass(slots=True)
class Shared:
    """What the actions of one transaction (or savepoint) share, one after the other: what they name is held once, and
    people's new values are saved once. Whoever reads these from the database has to `save` first."""

    there: dict[type[_Named], set[int]] = field(default_factory=dict)
    unsaved: dict[int, Subscriber] = field(default_factory=dict)

    def has(self, held: Held, kind: type[_Named], pk: int) -> bool:
        """Whether it is there, and stays until the transaction ends; all that the actions name is held with it."""
        if kind not in self.there:
            member = _MEMBERS[kind]
            ids = [action[member] for action in held.actions if member in action]
            self.there[kind] = held_rows(kind, held.account.pk, ids)
        return pk in self.there[kind]

    def save(self, now: datetime) -> None:
        subscribe.save_all(self.unsaved.values(), now)
        self.unsaved = {}


@dataclass(frozen=True, slots=True)
class _Act:
    action: Action
    held: Held
    people: Mapping[int, Subscriber]
    now: datetime
    cause: Cause
    source: Source
    shared: Shared

    @property
    def account_id(self) -> int:
        return self.held.account.pk

    @property
    def local_now(self) -> datetime:
        return self.now.astimezone(self.held.zone)

    def has(self, kind: type[_Named], pk: int) -> bool:
        return self.shared.has(self.held, kind, pk)

    def done(self, changed: Collection[int], why: Mapping[int, str] | None = None) -> Done:
        """why   it passed somebody by, where it was not so already"""
        others = sorted(self.people.keys() - changed)
        return Done(set(changed), {pk: (why or {}).get(pk, reasons.ALREADY_SO) for pk in others})

    def passed(self, reason: str) -> Done:
        return Done(passed=dict.fromkeys(self.people, reason))


def perform(
    action: Action,
    held: Held,
    people: Mapping[int, Subscriber],
    now: datetime,
    *,
    cause: Cause,
    source: Source,
    shared: Shared | None = None,
) -> Done:
    """Does it for all of them, in a number of statements that does not grow with theirs, but for those who are asked
    to confirm.

    people   by id, of the account, locked by the caller's transaction, which has held the actions before. They are kept
             up to date, so that the next action sees what this one made of them
    cause    ends with who acts: ("api", "rule 7")
    source   the door through which people enter a sequence
    shared   with other actions of the transaction, whose caller saves it at the end; None: this one is by itself
    """
    if not people:
        return Done()
    ordered = {pk: people[pk] for pk in sorted(people)}
    ours = shared or Shared()
    if action["kind"] not in _READ_NO_VALUES:
        ours.save(now)
    done = _PERFORM[action["kind"]](_Act(action, held, ordered, now, cause, source, ours))
    if shared is None:
        ours.save(now)
    return done


def _tag(act: _Act) -> Done:
    return _with_tag(act, tags.put_all)


def _untag(act: _Act) -> Done:
    return _with_tag(act, tags.remove_all)


def _with_tag(act: _Act, verb: Callable[..., set[tags.Pair]]) -> Done:
    tag_id = act.action["tag_id"]
    if not act.has(Tag, tag_id):
        return act.passed(reasons.THING_GONE)
    found = verb(act.account_id, [(tag_id, pk) for pk in act.people], act.now, cause=act.cause)
    return act.done({pk for _, pk in found})


def _set_field(act: _Act) -> Done:
    field_id = act.action["custom_field_id"]
    if not act.has(CustomField, field_id):
        return act.passed(reasons.THING_GONE)
    key = str(field_id)
    values: dict[int, str | None] = {}
    why: dict[int, str] = {}
    for pk, person in act.people.items():
        try:
            value = _text_for(act, act.action["value"] or "", person)
        except OverBudget:
            why[pk] = reasons.NOT_RENDERED
            continue
        if value != person.fields.get(key, ""):
            values[pk] = value or None
    before = {pk: act.people[pk].fields.get(key) or None for pk in values}
    full = subscribe.put_values(act.account_id, act.people, field_id, values, act.now, cause=act.cause)
    why |= dict.fromkeys(full, reasons.NO_ROOM)
    done = act.done(values.keys() - full, why)
    for pk in done.changed:
        done.before[pk] = before[pk]
        act.shared.unsaved[pk] = act.people[pk]
    return done


def _text_for(act: _Act, source: str, person: Subscriber) -> str:
    """Raises OverBudget. A text without Liquid is the same for all."""
    if not texts.is_liquid(source):
        return source
    return texts.rendered(source, act.held.person(person), act.local_now)


def _join_form(act: _Act) -> Done:
    """With double opt-in, who is unconfirmed is asked to confirm, once."""
    form_id = act.action["form_id"]
    if not act.has(Form, form_id):
        return act.passed(reasons.THING_GONE)
    asked = {(form_id, pk): Origin() for pk in act.people}
    try:
        with transaction.atomic():
            came_in, must_click = sign_ups.add_all(act.account_id, asked, act.people, act.now, cause=act.cause)
    except Invalid:  # nobody to send the mail that asks them
        return act.passed(reasons.NO_SENDER)
    return act.done({pk for _, pk in came_in}, {pk: reasons.MUST_CONFIRM for _, pk in must_click})


def _leave_form(act: _Act) -> Done:
    form_id = act.action["form_id"]
    if not act.has(Form, form_id):
        return act.passed(reasons.THING_GONE)
    return act.done(forms.leave_all(form_id, act.people.keys()))


def _enter(act: _Act) -> Done:
    """R12. Who may not be mailed does not enter."""
    sequence = act.held.sequences.get(act.action["sequence_id"])
    if sequence is None:
        return act.passed(reasons.THING_GONE)
    entries = enroll.add(sequence, act.people, act.source, act.now, cause=act.cause)
    may_not = (pk for pk, person in act.people.items() if person.state not in (State.ACTIVE, State.INACTIVE))
    moved = {pk for pk, entry in entries.items() if entry.moved}
    return act.done(moved, dict.fromkeys(may_not, reasons.NOT_MAILABLE))


def _leave(act: _Act) -> Done:
    """What is on the wire goes on. Whoever has completed the sequence is not in it any more."""
    sequence_id = act.action["sequence_id"]
    if sequence_id not in act.held.sequences:
        return act.passed(reasons.THING_GONE)
    why = _LEFT.get(act.source, engine_reasons.REMOVED_BY_OWNER)
    ids = list(act.people)
    return act.done(places.remove_all(act.account_id, sequence_id, ids, why, act.now, cause=act.cause))


_LEFT: Mapping[str, str] = {
    "rule": engine_reasons.REMOVED_BY_RULE,
    "automation": engine_reasons.REMOVED_BY_AUTOMATION,
}


def _call(act: _Act) -> Done:
    url = act.action["url"]
    bodies_of: dict[int, bytes] = {}
    why: dict[int, str] = {}
    for pk, person in act.people.items():
        try:
            bodies_of[pk] = _body_for(act, person)
        except OverBudget:
            why[pk] = reasons.NOT_RENDERED
    try:
        queue.callbacks(act.account_id, url, bodies_of, act.now, about=bodies.doer(act.cause))
    except Invalid:  # by settings of this server that have changed since
        return act.passed(reasons.ADDRESS_REFUSED)
    return act.done(bodies_of.keys(), why)


def _body_for(act: _Act, person: Subscriber) -> bytes:
    if "body" in act.action:
        return bodies.of_owner(act.action["body"], act.held.person(person), act.local_now)
    return bodies.usual(person, act.held.keys, act.cause, act.now)


def _mail_owner(act: _Act) -> Done:
    """The mail shows the text as it is for the first of them, and counts the others."""
    if not act.held.account.sending_addresses.filter(is_default=True).exists():
        return act.passed(reasons.NO_SENDER)
    why: dict[int, str] = {}
    for pk, person in act.people.items():
        try:
            text = _text_for(act, act.action["text"], person)
        except OverBudget:
            why[pk] = reasons.NOT_RENDERED
            continue
        told = act.people.keys() - why.keys()
        place = f"{bodies.doer(act.cause)} {act.held.actions.index(act.action)}"
        owner_mail.ask(act.account_id, place, len(told), text, pk, act.now)
        return act.done(told, why)
    return act.done((), why)


def _move(act: _Act) -> Done:
    """They are sent: who reads events hands them over in their order, and the automation's log says what came of it."""
    automation_id = act.action["automation_id"]
    if not known(act.account_id)("automation", [automation_id]):
        return act.passed(reasons.THING_GONE)
    kind = types.SENT_INTO_AUTOMATION if act.action["way"] == "in" else types.SENT_OUT_OF_AUTOMATION
    again = {"again": True} if "again" in act.action else {}
    told = {"cause": act.cause, "subject_id": automation_id, **again}
    record(event(kind, act.account_id, act.now, subscriber_id=pk, **told) for pk in act.people)
    return act.done(act.people.keys())


def _unsubscribe(act: _Act) -> Done:
    return act.done(transitions.cancel_all(act.people, act.now, cause=act.cause))


def _delete(act: _Act) -> Done:
    """They are gone when this returns: an action behind it would find nobody."""
    gone = forget.forget_all(act.held.account, act.people.keys(), act.now, cause=act.cause)
    return act.done(gone)


_PERFORM: Mapping[str, Callable[[_Act], Done]] = {
    TAG: _tag,
    UNTAG: _untag,
    FIELD: _set_field,
    FORM: _join_form,
    LEAVE_FORM: _leave_form,
    ENTER_SEQUENCE: _enter,
    LEAVE_SEQUENCE: _leave,
    CALL: _call,
    MAIL_OWNER: _mail_owner,
    MOVE: _move,
    UNSUBSCRIBE: _unsubscribe,
    DELETE: _delete,
}
_READ_NO_VALUES = (TAG, UNTAG, FIELD, CALL, MAIL_OWNER)  # from the database
