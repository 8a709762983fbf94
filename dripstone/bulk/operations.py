"""The eight bulk operations: what becomes of entries, an outcome for each, in their order.

Takes       entries as they were sent: objects with any members, or no objects at all
Leaves      those that can be done, done, as the calls about one thing do it; for each of the others a failure
A crash here means that none of these entries was done: it is all in the caller's transaction.

What is wrong with an entry stops no other. Its failure shows it as Kit does: a value of another type than the contract
has is null there.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from dripstone.bulk.outcomes import Done, Entry, Failed, Operation, Outcome, Shape
from dripstone.engine.acts import sign_ups
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.given import Checked, is_id, is_whole, unstorable
from dripstone.shapes import bulk as shapes
from dripstone.shapes import tags as tag_shapes
from dripstone.subscribers import fields, forms, subscribe, tags
from dripstone.subscribers.models import Form, Tag, held, locked_all

NO_PERSON, NO_TAG = "Subscriber does not exist", "Tag does not exist"
NO_FORM, NO_FIELD = "Form does not exist", "Custom field does not exist"

# --- People -------------------------------------------------------------------------------------------------------


def create_subscribers(account_id: int, entries: Sequence[Entry], now: datetime) -> list[Outcome]:
    """An upsert by address: whoever is there already keeps their state."""
    written = subscribe.upsert_all(account_id, entries, now, cause=causes.API)
    return [
        Failed(one.messages) if isinstance(one, Invalid) else Done(shapes.person(one.subscriber)) for one in written
    ]


def show_subscriber(entry: Entry) -> Shape:
    state = entry.get("state")
    return {
        "first_name": _text(entry, "first_name"),
        "email_address": _text(entry, "email_address"),
        "state": state if state in subscribe.STATES else subscribe.STATES[0],
        "created_at": None,
    }


def write_values(account_id: int, entries: Sequence[Entry], now: datetime) -> list[Outcome]:
    """Values of custom fields; an empty one takes the value away."""
    people = locked_all(account_id, _ids(entries, "subscriber_id"))
    field_ids = fields.known(account_id, _ids(entries, "subscriber_custom_field_id"))
    wrong = [
        [
            *_unknown(entry, "subscriber_id", people, NO_PERSON),
            *_unknown(entry, "subscriber_custom_field_id", field_ids, NO_FIELD),
            *_wrong_value(entry),
        ]
        for entry in entries
    ]
    asked = [(one["subscriber_id"], one["subscriber_custom_field_id"], one["value"]) for one in _sound(entries, wrong)]
    problems = subscribe.write_values(people, asked, now, cause=causes.API)
    answers = (
        Failed(problem.messages) if problem else Done(dict(zip(_VALUE, values, strict=True)))
        for values, problem in zip(asked, problems, strict=True)
    )
    return _together(wrong, answers)


_VALUE = ("subscriber_id", "subscriber_custom_field_id", "value")


def _wrong_value(entry: Entry) -> list[str]:
    read = Checked(entry, required=("value",))
    read.text("value")
    return [sentence for _, sentence in read.problems]


def show_value(entry: Entry) -> Shape:
    return {**_show_ids(entry, *_VALUE[:2]), "value": _text(entry, "value")}


# --- Tags ---------------------------------------------------------------------------------------------------------


def create_tags(account_id: int, entries: Sequence[Entry], now: datetime) -> list[Outcome]:
    """An existing one, in any case, is answered as it is."""
    made = tags.create_all(account_id, entries, now, cause=causes.API)
    return [Failed(one.messages) if isinstance(one, Invalid) else Done(tag_shapes.tag(one)) for one in made]


def show_tag(entry: Entry) -> Shape:
    return {"name": _text(entry, "name")}


def delete_tags(account_id: int, entries: Sequence[Entry], now: datetime) -> list[Outcome]:
    """Asked for twice, a tag does not exist any more the second time."""
    found = tags.delete_all(account_id, _ids(entries, "id"), now, cause=causes.API)
    outcomes: list[Outcome] = []
    for entry in entries:
        wrong = [*_unknown(entry, "id", found, NO_TAG)]
        outcomes.append(Failed(wrong) if wrong else Done())
        found -= {entry.get("id")} if not wrong else set()
    return outcomes


def show_tag_id(entry: Entry) -> Shape:
    return _show_ids(entry, "id")


def tag_subscribers(account_id: int, entries: Sequence[Entry], now: datetime) -> list[Outcome]:
    people = locked_all(account_id, _ids(entries, "subscriber_id"))
    wrong = _wrong_taggings(account_id, entries, people)
    pairs = [(one["tag_id"], one["subscriber_id"]) for one in _sound(entries, wrong)]
    since = tags.add_all(account_id, pairs, now, cause=causes.API)
    return _together(wrong, (Done(shapes.tagged(people[pair[1]], since[pair])) for pair in pairs))


def untag_subscribers(account_id: int, entries: Sequence[Entry], now: datetime) -> list[Outcome]:
    """Done also for somebody who did not have the tag."""
    people = locked_all(account_id, _ids(entries, "subscriber_id"))
    wrong = _wrong_taggings(account_id, entries, people)
    pairs = [(one["tag_id"], one["subscriber_id"]) for one in _sound(entries, wrong)]
    tags.remove_all(account_id, pairs, now, cause=causes.API)
    return _together(wrong, (Done() for _ in pairs))


def _wrong_taggings(account_id: int, entries: Sequence[Entry], people: Collection[int]) -> list[list[str]]:
    tag_ids = held(Tag, account_id, _ids(entries, "tag_id"))
    return [
        [*_unknown(entry, "subscriber_id", people, NO_PERSON), *_unknown(entry, "tag_id", tag_ids, NO_TAG)]
        for entry in entries
    ]


def show_tagging(entry: Entry) -> Shape:
    return _show_ids(entry, "tag_id", "subscriber_id")


# --- Custom fields and forms --------------------------------------------------------------------------------------


def create_fields(account_id: int, entries: Sequence[Entry], now: datetime) -> list[Outcome]:
    """An existing one, in any case, is answered as it is."""
    made = fields.create_all(account_id, entries, now, cause=causes.API)
    return [Failed(one.messages) if isinstance(one, Invalid) else Done(shapes.custom_field(one)) for one in made]


def show_field(entry: Entry) -> Shape:
    return {"label": _text(entry, "label")}


def add_to_forms(account_id: int, entries: Sequence[Entry], now: datetime) -> list[Outcome]:
    """The first referrer stays. Who is unconfirmed is asked to confirm by a form with double opt-in, once."""
    people = locked_all(account_id, _ids(entries, "subscriber_id"))
    form_ids = held(Form, account_id, _ids(entries, "form_id"))
    wrong = [
        [
            *_unknown(entry, "subscriber_id", people, NO_PERSON),
            *_unknown(entry, "form_id", form_ids, NO_FORM),
            *_wrong_referrer(entry),
        ]
        for entry in entries
    ]
    asked = _sound(entries, wrong)
    pairs = [(one["form_id"], one["subscriber_id"]) for one in asked]
    firsts: dict[forms.Pair, Entry] = {}
    for pair, entry in zip(pairs, asked, strict=True):
        firsts.setdefault(pair, entry)
    origins = {pair: forms.read_origin(entry) for pair, entry in firsts.items()}
    sign_ups.add_all(account_id, origins, people, now, cause=causes.API)
    rows = forms.places(origins)
    return _together(wrong, (Done(shapes.added(people[pair[1]], rows[pair])) for pair in pairs))


def _wrong_referrer(entry: Entry) -> list[str]:
    read = Checked(entry)
    forms.read_entry(read)
    return [sentence for _, sentence in read.problems]


def show_addition(entry: Entry) -> Shape:
    return {**_show_ids(entry, "form_id", "subscriber_id"), "referrer": _text(entry, "referrer") or ""}


# --- Entries ------------------------------------------------------------------------------------------------------


def _ids(entries: Sequence[Entry], name: str) -> set[int]:
    return {entry[name] for entry in entries if is_id(entry.get(name))}


def _unknown(entry: Entry, name: str, known: Collection[int], sentence: str) -> Iterator[str]:
    value = entry.get(name)
    if value is not None and not is_whole(value):
        yield f"{name} must be an integer"
    elif value not in known:
        yield sentence


def _sound(entries: Sequence[Entry], wrong: Sequence[Sequence[str]]) -> list[Entry]:
    return [entry for entry, errors in zip(entries, wrong, strict=True) if not errors]


def _together(wrong: Sequence[Sequence[str]], sound: Iterator[Outcome]) -> list[Outcome]:
    """The outcomes of all entries, from those of the sound ones."""
    return [Failed(errors) if errors else next(sound) for errors in wrong]


def _text(entry: Entry, name: str) -> str | None:
    value = entry.get(name)
    return value if isinstance(value, str) and not unstorable(value) else None


def _show_ids(entry: Entry, *names: str) -> dict[str, Any]:
    return {name: value if is_whole(value := entry.get(name)) else None for name in names}


# --- The table ----------------------------------------------------------------------------------------------------

SUBSCRIBERS = Operation(
    name="create_subscribers",
    entries="subscribers",
    answers="subscribers",
    failed="subscriber",
    members=("email_address", "first_name", "state"),
    nothing="No subscribers included for processing",
    at_a_time=500,
    do=create_subscribers,
    show=show_subscriber,
)
VALUES = Operation(
    name="write_custom_field_values",
    entries="custom_field_values",
    answers="custom_field_values",
    failed="custom_field_value",
    members=_VALUE,
    nothing="No custom field values included for processing",
    at_a_time=500,
    do=write_values,
    show=show_value,
)
TAGS = Operation(
    name="create_tags",
    entries="tags",
    answers="tags",
    failed="tag",
    members=("name",),
    nothing="No tags included for processing",
    at_a_time=500,
    do=create_tags,
    show=show_tag,
)
DELETED_TAGS = Operation(
    name="delete_tags",
    entries="tags",
    answers="",
    failed="tag",
    members=("id",),
    nothing="No tags included for processing",
    at_a_time=10,  # anybody may have them
    do=delete_tags,
    show=show_tag_id,
)
TAGGINGS = Operation(
    name="tag_subscribers",
    entries="taggings",
    answers="subscribers",
    failed="tagging",
    members=("tag_id", "subscriber_id"),
    nothing="No taggings included for processing",
    at_a_time=500,
    do=tag_subscribers,
    show=show_tagging,
)
REMOVED_TAGGINGS = Operation(
    name="untag_subscribers",
    entries="taggings",
    answers="",
    failed="tagging",
    members=("tag_id", "subscriber_id"),
    nothing="No taggings included for processing",
    at_a_time=500,
    do=untag_subscribers,
    show=show_tagging,
)
FIELDS = Operation(
    name="create_custom_fields",
    entries="custom_fields",
    answers="custom_fields",
    failed="custom_field",
    members=("label",),
    nothing="No custom fields included for processing",
    at_a_time=500,
    do=create_fields,
    show=show_field,
)
ADDITIONS = Operation(
    name="add_subscribers_to_forms",
    entries="additions",
    answers="subscribers",
    failed="subscription",
    members=("form_id", "subscriber_id", "referrer"),
    nothing="No additions included for processing",
    at_a_time=100,  # a mail each, if they have to confirm
    do=add_to_forms,
    show=show_addition,
)

ALL = {
    one.name: one for one in (SUBSCRIBERS, VALUES, TAGS, DELETED_TAGS, TAGGINGS, REMOVED_TAGGINGS, FIELDS, ADDITIONS)
}
