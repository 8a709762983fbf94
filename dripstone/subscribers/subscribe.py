"""Subscribers come in and change: the upsert by address, and the update."""

import json
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction

from dripstone.errors import Invalid
from dripstone.events import types
from dripstone.events.causes import Cause
from dripstone.events.models import Event
from dripstone.events.record import event, record, record_same
from dripstone.given import MAX_NAME, Checked, Given, plain_address
from dripstone.postgresql import prepared
from dripstone.postgresql.compiled import Among, Compiled, Parameter
from dripstone.subscribers import remembered
from dripstone.subscribers.fields import keys_of
from dripstone.subscribers.models import State, Subscriber, locked

MAX_FIELDS = 140  # Kit's limit per call
MAX_VALUES = 65_536  # bytes of all values of a person; a list shows a thousand people
STATES = ("active", "cancelled", "bounced", "complained", "inactive")  # in the order in which Kit lists them
_LABELS = {"email_address": "Email address", "first_name": "First name"}
_BLANKS = {"email_address": "Email address is invalid"}

_LOCKED = Compiled(
    lambda: Subscriber.objects.select_for_update(no_key=True).filter(
        account=Parameter("account"), email_address=Parameter("address")
    )
)
# Purpose: add someone new. If another call is just adding them, it waits for that one to commit and then returns no
# row. This needs no savepoint, as a violated constraint would. Whoever was deleted and must not be mailed is added as
# they are remembered (remembered.py), and a complaint outweighs all: one probe of remembered_once.
_ADD = """
INSERT INTO subscribers_subscriber (account_id, email_address, first_name, state, fields, created_at, updated_at,
                                    canceled_at)
SELECT %(account_id)s::bigint, %(email_address)s::text, %(first_name)s::text, state, %(fields)s::jsonb,
       %(now)s::timestamptz, %(now)s::timestamptz,
       CASE WHEN state = 'cancelled' THEN COALESCE(since, %(now)s::timestamptz) END
FROM (SELECT CASE WHEN 'complained' IN (given.state, r.state) THEN 'complained' ELSE COALESCE(r.state, given.state) END,
             r.since
      FROM (VALUES (%(state)s::text)) given (state)
      LEFT JOIN subscribers_remembered r ON r.account_id = %(account_id)s AND r.digest = %(digest)s
     ) as_whom (state, since)
ON CONFLICT (account_id, email_address) DO NOTHING RETURNING id, state, canceled_at
"""

FieldValues = Mapping[str, str | None]  # by field key; None and "" both mean: no value


@dataclass(frozen=True, slots=True)
class Written:
    """keys      custom fields that were written
    unknown   keys the account has no field for, passed over
    """

    subscriber: Subscriber
    is_new: bool = False
    keys: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def check(given: Given, *, is_new: bool) -> dict[str, Any]:
    """Sound values of `email_address`, `first_name`, `fields` and `state`, for the members that were given.

    is_new   the address is required, and `state` is read
    Pure. Raises Invalid with every problem.
    """
    read = Checked(given, required=("email_address",) if is_new else (), labels=_LABELS, blanks=_BLANKS)
    read.address("email_address")
    read.text_or_null("first_name", MAX_NAME)
    if is_new:
        read.choice_or_null("state", STATES)
    read.texts("fields", MAX_FIELDS)
    values = read.sound()
    return values | ({"email_address": plain_address(values["email_address"])} if "email_address" in values else {})


@transaction.atomic
def upsert(account_id: int, given: Given, now: datetime, *, cause: Cause) -> Written:
    """Add someone new with this state, or update the person who has the address: they get name and fields, never a
    state. Whoever was deleted and must not be mailed comes back as they went (remembered.py).

    given   `email_address` as the person wrote it; `first_name`, null leaves an existing name alone; `fields` by key;
            `state`, active unless it says otherwise
    Raises Invalid with every problem.
    """
    values = check(given, is_new=True)
    address, first_name, fields = values["email_address"], values.get("first_name"), values.get("fields", {})
    person = _LOCKED.first(account=account_id, address=address)
    while person is None:
        state = values.get("state") or State.ACTIVE.value
        added = _added(account_id, address, first_name, state, fields, now, cause)
        if added is not None:
            return added
        person = _LOCKED.first(account=account_id, address=address)
    if first_name is not None:
        person.first_name = first_name
    before = dict(person.fields)
    keys, unknown = _set_fields(person, fields)
    _check_size(person.fields, before)
    _save(person, now)
    _record_values(person, before, now, cause)
    return Written(person, keys=keys, unknown=unknown)


@transaction.atomic
def update(subscriber_id: int, given: Given, now: datetime, *, cause: Cause) -> Written:
    """given   any of `first_name` (null removes it), `email_address`, `fields`

    Raises Invalid with every problem, and when the address is another subscriber's, or that of somebody who was deleted
    and must not be mailed; NotFound.
    """
    values = check(given, is_new=False)
    person = locked(subscriber_id)
    person.first_name = values.get("first_name", person.first_name)
    person.email_address, old_address = values.get("email_address", person.email_address), person.email_address
    if person.email_address != old_address:
        remembered.must_be_free(person.account_id, person.email_address)
    before = dict(person.fields)
    keys, unknown = _set_fields(person, values.get("fields", {}))
    _check_size(person.fields, before)
    try:
        with transaction.atomic():
            _save(person, now)
    except IntegrityError:
        raise Invalid.member("email_address", "Email address has already been taken") from None
    _record_values(person, before, now, cause)
    return Written(person, keys=keys, unknown=unknown)


def _added(
    account_id: int,
    address: str,
    first_name: str | None,
    state: str,
    fields: FieldValues,
    now: datetime,
    cause: Cause,
) -> Written | None:
    """Adds someone new; None if another call added them meanwhile."""
    columns: dict[str, Any] = {"account_id": account_id, "email_address": address, "first_name": first_name}
    draft = Subscriber(account_id=account_id)
    keys, unknown = _set_fields(draft, fields)
    _check_size(draft.fields, {})
    asked = {"state": state, "fields": json.dumps(draft.fields), "now": now}
    rows = prepared.rows(_ADD, columns | asked | {"digest": remembered.digest_of(account_id, address)})
    if not rows:
        return None
    written = dict(zip(("pk", "state", "canceled_at"), rows[0], strict=True))
    person = Subscriber(**columns, **written, fields=draft.fields, created_at=now, updated_at=now)
    person._state.adding = False
    record(_arrival(person, now, cause))
    _record_values(person, {}, now, cause)
    return Written(person, True, keys, unknown)


def _arrival(person: Subscriber, now: datetime, cause: Cause) -> Iterator[Event]:
    may_be_remembered = person.state in remembered.STATES
    was_remembered = may_be_remembered and remembered.lift(person.account_id, person.email_address)
    return _arrival_events(person, was_remembered, now, cause)


def _arrival_events(person: Subscriber, was_remembered: bool, now: datetime, cause: Cause) -> Iterator[Event]:
    """Whoever comes back as they were remembered: the event says so."""
    kept: dict[str, Any] = {"remembered_as": person.state} if was_remembered else {}
    yield event(types.SUBSCRIBER_CREATED, person.account_id, now, cause=cause, subscriber_id=person.pk, **kept)
    if person.state == State.ACTIVE:
        yield event(types.SUBSCRIBER_ACTIVATED, person.account_id, now, cause=cause, subscriber_id=person.pk)


def _set_fields(
    person: Subscriber, values: FieldValues, known: Mapping[str, str] | None = None
) -> tuple[list[str], list[str]]:
    """Sets the values on the person, unsaved. Returns the keys that were written and the unknown ones.

    known   the account's fields, if the caller has looked
    """
    if known is None:
        known = keys_of(person.account_id) if values else {}
    ids = {key: field_id for field_id, key in known.items() if key in values}
    for key, field_id in ids.items():
        if values[key] is None:
            person.fields.pop(field_id, None)
        else:
            person.fields[field_id] = values[key]
    return sorted(ids), sorted(set(values) - set(ids))


def has_room(person: Subscriber, values: Mapping[str, str]) -> bool:
    """Whether these values, by field id, fit beside what is on file."""
    return _n_bytes({**person.fields, **values}) <= MAX_VALUES


def locked_by_address(account_id: int, address: str) -> Subscriber | None:
    """Whoever has it, locked until the transaction ends. address: as given.plain_address writes it"""
    return _LOCKED.first(account=account_id, address=address)


def _check_size(after: Mapping[str, str], before: Mapping[str, str]) -> None:
    if _is_too_large(after, before):
        raise Invalid.member("fields", f"fields can't hold more than {MAX_VALUES // 1024} KB for a person")


def _is_too_large(after: Mapping[str, str], before: Mapping[str, str]) -> bool:
    """Whoever has more than the limit from an earlier version keeps it, and can only get less."""
    size = _n_bytes(after)
    return size > MAX_VALUES and size > _n_bytes(before)


def _n_bytes(values: Mapping[str, str]) -> int:
    return sum(len(value.encode()) for value in values.values())


def _record_values(person: Subscriber, before: Mapping[str, str], now: datetime, cause: Cause) -> None:
    record(_value_events(person, before, now, cause))


def _value_events(person: Subscriber, before: Mapping[str, str], now: datetime, cause: Cause) -> Iterator[Event]:
    """One per field whose value has changed."""
    changed = {key for key in before.keys() | person.fields.keys() if before.get(key, "") != person.fields.get(key, "")}
    for key in sorted(changed, key=int):
        yield event(
            types.FIELD_VALUE_UPDATED,
            person.account_id,
            now,
            cause=cause,
            subscriber_id=person.pk,
            subject_id=int(key),
            value=person.fields.get(key) or None,
        )


def _save(person: Subscriber, now: datetime) -> None:
    person.updated_at = now
    person.save(update_fields=["email_address", "first_name", "fields", "updated_at"])


# --- Many at once -------------------------------------------------------------------------------------------------
#
# What the verbs above do for one after the other, in so many statements whatever their number. People are locked by
# id; whoever comes in at the same time in another order may be told of a deadlock, and tries again.

_ALL_LOCKED = Compiled(
    lambda: (
        Subscriber.objects.select_for_update(no_key=True)
        .filter(Among("email_address", Parameter("addresses")), account=Parameter("account"))
        .order_by("id")
    )
)
# Purpose: as _ADD, for many, in the order given.
_ADD_ALL = """
INSERT INTO subscribers_subscriber (account_id, email_address, first_name, state, fields, created_at, updated_at,
                                    canceled_at)
SELECT %(account_id)s, email_address, first_name, state, fields, %(now)s, %(now)s,
       CASE WHEN state = 'cancelled' THEN COALESCE(since, %(now)s) END
FROM (SELECT given.n, given.email_address, given.first_name, given.fields, r.since,
             CASE WHEN 'complained' IN (given.state, r.state) THEN 'complained'
                  ELSE COALESCE(r.state, given.state) END AS state
      FROM json_to_recordset(%(people)s) AS given (n int, email_address text, first_name text, state text,
                                                   fields jsonb, digest text)
      LEFT JOIN subscribers_remembered r ON r.account_id = %(account_id)s AND r.digest = decode(given.digest, 'hex')
     ) as_whom
ORDER BY n
ON CONFLICT (account_id, email_address) DO NOTHING RETURNING id, email_address, state, canceled_at
"""
# Purpose: save people who are locked. By the primary key.
_SAVE_ALL = """
UPDATE subscribers_subscriber s SET first_name = saved.first_name, fields = saved.fields, updated_at = %(now)s
FROM json_to_recordset(%(people)s) AS saved (id bigint, first_name text, fields jsonb) WHERE s.id = saved.id
"""


@dataclass(frozen=True, slots=True)
class _Draft:
    """Somebody who is not on file yet, as the first entry makes them that can. n: its place among the entries."""

    n: int
    person: Subscriber
    keys: list[str]
    unknown: list[str]


@transaction.atomic
def upsert_all(account_id: int, given: Iterable[Given], now: datetime, *, cause: Cause) -> list[Written | Invalid]:
    """For each, the person as they are after it, or what is wrong with it: that changes nothing."""
    asked = [_checked(one) for one in given]
    addresses = {values["email_address"] for values in asked if not isinstance(values, Invalid)}
    has_fields = any(not isinstance(values, Invalid) and values.get("fields") for values in asked)
    known = keys_of(account_id) if has_fields else {}
    people = _locked_by_addresses(account_id, addresses)
    drafts, refused = _drafts(account_id, asked, people, known)
    new: set[str] = set()
    while missing := drafts.keys() - people.keys():
        added = _add_all(account_id, [draft for address, draft in drafts.items() if address in missing], now)
        new |= added.keys()
        people |= added
        if missing := missing - added.keys():  # other calls have just added them
            people |= _locked_by_addresses(account_id, missing)
    lifted = remembered.lift_all(account_id, {one for one in new if people[one].state in remembered.STATES})

    results: list[Written | Invalid] = []
    events: list[Event] = []
    changed: dict[str, Subscriber] = {}
    for n, values in enumerate(asked):
        if isinstance(values, Invalid):
            results.append(values)
            continue
        address = values["email_address"]
        if address not in people or (address in new and n < drafts[address].n):
            results.append(refused[n])
        elif address in new and n == drafts[address].n:
            person, draft = people[address], drafts[address]
            events += [*_arrival_events(person, address in lifted, now, cause), *_value_events(person, {}, now, cause)]
            results.append(Written(person, True, draft.keys, draft.unknown))
        else:
            before = people[address]
            written = _changed(before, values, known, now)
            results.append(written)
            if isinstance(written, Written):
                people[address] = changed[address] = written.subscriber
                events += _value_events(written.subscriber, before.fields, now, cause)
    save_all(changed.values(), now)
    record(events)
    return results


def _checked(given: Given) -> dict[str, Any] | Invalid:
    try:
        return check(given, is_new=True)
    except Invalid as problem:
        return problem


def _locked_by_addresses(account_id: int, addresses: Iterable[str]) -> dict[str, Subscriber]:
    found = _ALL_LOCKED.all(account=account_id, addresses=list(addresses))
    return {person.email_address: person for person in found}


def _drafts(
    account_id: int,
    asked: list[dict[str, Any] | Invalid],
    people: Mapping[str, Subscriber],
    known: Mapping[str, str],
) -> tuple[dict[str, _Draft], dict[int, Invalid]]:
    """Of those who are not on file, by address; and what is wrong with entries that could not make somebody."""
    drafts: dict[str, _Draft] = {}
    refused: dict[int, Invalid] = {}
    for n, values in enumerate(asked):
        if isinstance(values, Invalid) or values["email_address"] in people or values["email_address"] in drafts:
            continue
        person = Subscriber(
            account_id=account_id,
            email_address=values["email_address"],
            first_name=values.get("first_name"),
            state=values.get("state") or State.ACTIVE.value,
        )
        keys, unknown = _set_fields(person, values.get("fields", {}), known)
        try:
            _check_size(person.fields, {})
        except Invalid as problem:
            refused[n] = problem
        else:
            drafts[person.email_address] = _Draft(n, person, keys, unknown)
    return drafts, refused


def _add_all(account_id: int, drafts: Iterable[_Draft], now: datetime) -> dict[str, Subscriber]:
    """Those who were added, by address: not those whom another call adds meanwhile."""
    by_address = {draft.person.email_address: draft for draft in drafts}
    asked = [
        {
            "n": draft.n,
            "email_address": address,
            "first_name": draft.person.first_name,
            "state": draft.person.state,
            "fields": draft.person.fields,
            "digest": remembered.digest_of(account_id, address).hex(),
        }
        for address, draft in by_address.items()
    ]
    with connection.cursor() as cursor:
        cursor.execute(_ADD_ALL, {"account_id": account_id, "people": json.dumps(asked), "now": now})
        rows = cursor.fetchall()
    return {address: _on_file(by_address[address].person, pk, state, gone, now) for pk, address, state, gone in rows}


def _on_file(draft: Subscriber, pk: int, state: str, canceled_at: datetime | None, now: datetime) -> Subscriber:
    person = Subscriber(
        pk=pk,
        account_id=draft.account_id,
        email_address=draft.email_address,
        first_name=draft.first_name,
        state=state,
        fields=draft.fields,
        created_at=now,
        updated_at=now,
        canceled_at=canceled_at,
    )
    person._state.adding = False
    return person


def _changed(
    person: Subscriber, values: Mapping[str, Any], known: Mapping[str, str], now: datetime
) -> Written | Invalid:
    """Somebody on file after another entry about them, not saved."""
    after = copy(person)
    after.fields, after.updated_at = dict(person.fields), now
    if values.get("first_name") is not None:
        after.first_name = values["first_name"]
    keys, unknown = _set_fields(after, values.get("fields", {}), known)
    try:
        _check_size(after.fields, person.fields)
    except Invalid as problem:
        return problem
    return Written(after, keys=keys, unknown=unknown)


def write_values(
    people: Mapping[int, Subscriber], values: Iterable[tuple[int, int, str | None]], now: datetime, *, cause: Cause
) -> list[Invalid | None]:
    """Values of custom fields, one after the other; for each what is wrong with it, if something is.

    people   by id, locked by the caller's transaction
    values   the ids of a person among them and of a field of the account, and the value; None takes it away
    """
    after = dict(people)
    events: list[Event] = []
    problems: list[Invalid | None] = []
    for subscriber_id, field_id, value in values:
        before = after[subscriber_id]
        person = copy(before)
        person.fields = {**before.fields, str(field_id): value}
        if value is None:
            del person.fields[str(field_id)]
        try:
            _check_size(person.fields, before.fields)
        except Invalid as problem:
            problems.append(problem)
            continue
        after[subscriber_id] = person
        events += _value_events(person, before.fields, now, cause)
        problems.append(None)
    save_all([person for pk, person in after.items() if person is not people[pk]], now)
    record(events)
    return problems


def put_values(
    account_id: int,
    people: Mapping[int, Subscriber],
    field_id: int,
    values: Mapping[int, str | None],
    now: datetime,
    *,
    cause: Cause,
) -> set[int]:
    """Values of one field, on the rows of people who are locked, with the events. It does not save the rows: the caller
    may have more for them (`save_all`). Returns who has no room for theirs.

    values   by person, other than what is there; None takes it away
    """
    written: dict[int, str | None] = {}
    for pk, value in values.items():
        before = people[pk].fields
        after = {**before, str(field_id): value}
        if value is None:
            del after[str(field_id)]
        if not _is_too_large(after, before):
            people[pk].fields = after
            written[pk] = value
    about: Any = {"cause": cause, "subject_id": field_id}
    if len(set(written.values())) == 1:  # the usual: a text without Liquid
        fact = event(types.FIELD_VALUE_UPDATED, account_id, now, **about, value=next(iter(written.values())))
        record_same(fact, [(field_id, pk) for pk in written])
    else:
        record(
            event(types.FIELD_VALUE_UPDATED, account_id, now, **about, subscriber_id=pk, value=value)
            for pk, value in written.items()
        )
    return values.keys() - written.keys()


def put_back(changes: Iterable[tuple[Subscriber, Mapping[str, Any]]], now: datetime, *, cause: Cause) -> None:
    """Locked people get the `first_name` and `fields` (all of theirs, by id) that they had before."""
    after, events = [], []
    for person, values in changes:
        one = copy(person)
        one.first_name, one.fields = values.get("first_name", one.first_name), values.get("fields", one.fields)
        after.append(one)
        events += list(_value_events(one, person.fields, now, cause))
    save_all(after, now)
    record(events)


def save_all(people: Iterable[Subscriber], now: datetime) -> None:
    saved = [{"id": person.pk, "first_name": person.first_name, "fields": person.fields} for person in people]
    if saved:
        with connection.cursor() as cursor:
            cursor.execute(_SAVE_ALL, {"people": json.dumps(saved), "now": now})
