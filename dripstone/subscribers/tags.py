"""Tags, and the people who have them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Value
from django.db.models.functions import Lower

from dripstone.accounts import names
from dripstone.errors import Invalid, NotFound
from dripstone.events import types
from dripstone.events.causes import Cause
from dripstone.events.models import Event
from dripstone.events.record import event, record, record_same
from dripstone.given import Checked, Given
from dripstone.postgresql.arrays import bigints
from dripstone.subscribers.models import Subscriber, Tag, Tagging, lock_person

# Purpose: before a tag goes from everybody who has it. Others lock a person first and their tagging then, so people
# come first here too; the trigger that counts would lock them last. By tagging_once.
_LOCK_PEOPLE = """
SELECT count(*) FROM (
    SELECT s.id FROM subscribers_subscriber s
    WHERE s.id IN (SELECT subscriber_id FROM subscribers_tagging WHERE tag_id = ANY(%s))
    ORDER BY s.id FOR NO KEY UPDATE OF s) people
"""

# Purpose: make those tags that are not there yet, in the order given; of names that are one in another case, the first.
# If another call is just making one, this waits until it has. By tag_name_of_account.
_CREATE_ALL = """
INSERT INTO subscribers_tag (account_id, name, created_at)
SELECT %(account)s, name, %(now)s
FROM (SELECT DISTINCT ON (lower(name)) name, n FROM unnest(%(names)s::text[]) WITH ORDINALITY AS asked (name, n)
      ORDER BY lower(name), n) firsts
WHERE NOT EXISTS (SELECT FROM subscribers_tag t WHERE t.account_id = %(account)s AND lower(t.name) = lower(firsts.name))
ORDER BY n
ON CONFLICT (account_id, lower(name)) DO NOTHING RETURNING id
"""
# Purpose: the tags of these names, in this order, nulls for those that are not there. By tag_name_of_account.
_NAMED_ALL = """
SELECT t.id, t.name, t.created_at
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS asked (name, n)
LEFT JOIN subscribers_tag t ON t.account_id = %(account)s AND lower(t.name) = lower(asked.name) ORDER BY n
"""
# Purpose: taggings that are not there yet, in this order. The people are locked, so nobody else makes them meanwhile.
_ADD_ALL = """
INSERT INTO subscribers_tagging (tag_id, subscriber_id, tagged_at)
SELECT tag_id, subscriber_id, %(now)s
FROM unnest(%(tags)s::bigint[], %(people)s::bigint[]) WITH ORDINALITY AS asked (tag_id, subscriber_id, n) ORDER BY n
ON CONFLICT (tag_id, subscriber_id) DO NOTHING RETURNING tag_id, subscriber_id
"""
# Purpose: since when people have their tags. By tagging_once.
_SINCE = """
SELECT tag_id, subscriber_id, tagged_at
FROM unnest(%(tags)s::bigint[], %(people)s::bigint[]) AS asked (tag_id, subscriber_id)
JOIN subscribers_tagging USING (tag_id, subscriber_id)
"""
_REMOVE_ALL = """
DELETE FROM subscribers_tagging t
USING unnest(%(tags)s::bigint[], %(people)s::bigint[]) AS asked (tag_id, subscriber_id)
WHERE t.tag_id = asked.tag_id AND t.subscriber_id = asked.subscriber_id RETURNING t.tag_id, t.subscriber_id
"""

Pair = tuple[int, int]  # the ids of a tag and of a person


def check(given: Given) -> str:
    """The `name`. Raises Invalid."""
    read = Checked(given, required=("name",), labels={"name": "Name"})
    read.name("name")
    name = names.plain(read.sound()["name"])
    if not name.strip():
        raise Invalid.member("name", "Name can't be blank")
    return name


def create(account_id: int, given: Given, now: datetime, *, cause: Cause) -> tuple[Tag, bool]:
    """The tag of the `name` given, in any case, and whether it is new. Raises Invalid."""
    name = check(given)
    if found := _named(account_id, name):
        return found, False
    try:
        with transaction.atomic():
            tag = Tag.objects.create(account_id=account_id, name=name, created_at=now)
            record([event(types.TAG_CREATED, account_id, now, cause=cause, subject_id=tag.pk)])
            return tag, True
    except IntegrityError:  # someone made it at the same moment
        if found := _named(account_id, name):
            return found, False
        raise


def rename(tag: Tag, given: Given) -> Tag:
    """Raises Invalid, also when another tag has the `name`, in any case."""
    tag.name = check(given)
    try:
        with transaction.atomic():
            tag.save(update_fields=["name"])
    except IntegrityError:
        raise Invalid.member("name", "Name has already been taken") from None
    return tag


def delete(tag: Tag, now: datetime, *, cause: Cause) -> None:
    """The tag goes, from everybody at once: if it went from one after the other, an exclusion by it would let through
    whoever has lost it already. Nobody has it removed: there is no `subscriber.tag_removed`.
    With 100,000 people it takes 0.3 s, in which whoever changes one of them waits; those who read do not.

    Conditions that name it are met by nobody from now on, exclusions by it exclude everybody. Raises NotFound.
    """
    if not delete_all(tag.account_id, [tag.pk], now, cause=cause):
        raise NotFound


@transaction.atomic
def delete_all(account_id: int, tag_ids: Iterable[int], now: datetime, *, cause: Cause) -> set[int]:
    """Those of them that were there, and are gone now: in one transaction, as each alone goes in one."""
    ids = list(dict.fromkeys(tag_ids))
    mine = list(Tag.objects.filter(account_id=account_id, pk__in=ids).values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_PEOPLE, [mine])
    found = {tag.pk for tag in Tag.objects.select_for_update().filter(pk__in=mine).order_by("pk")}
    Tagging.objects.filter(tag_id__in=found).delete()
    record(event(types.TAG_DELETED, account_id, now, cause=cause, subject_id=pk) for pk in ids if pk in found)
    Tag.objects.filter(pk__in=found).delete()
    return found


@transaction.atomic
def add(tag: Tag, person: Subscriber, now: datetime, *, cause: Cause) -> tuple[Tagging, bool]:
    """Their tagging, and whether it is new."""
    lock_person(person)
    tagging, is_new = Tagging.objects.get_or_create(tag=tag, subscriber=person, defaults={"tagged_at": now})
    if is_new:
        record([_event(types.TAG_ADDED, tag, person, now, cause)])
    return tagging, is_new


@transaction.atomic
def remove(tag: Tag, person: Subscriber, now: datetime, *, cause: Cause) -> bool:
    """False: they did not have it."""
    lock_person(person)
    deleted, _ = Tagging.objects.filter(tag=tag, subscriber=person).delete()
    if deleted:
        record([_event(types.TAG_REMOVED, tag, person, now, cause)])
    return deleted > 0


# --- Many at once: what the verbs above do for one after the other, in so many statements whatever their number -----


@transaction.atomic
def create_all(account_id: int, given: Iterable[Given], now: datetime, *, cause: Cause) -> list[Tag | Invalid]:
    """For each, the tag of the `name`, in any case, or what is wrong with it."""
    asked = [_checked(one) for one in given]
    found = iter(_made(account_id, [name for name in asked if isinstance(name, str)], now, cause))
    return [next(found) if isinstance(one, str) else one for one in asked]


def _made(account_id: int, asked: list[str], now: datetime, cause: Cause) -> list[Tag]:
    values: dict[str, Any] = {"account": account_id, "names": asked, "now": now}
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_CREATE_ALL, values)
            made = sorted(pk for (pk,) in cursor.fetchall())
            record(event(types.TAG_CREATED, account_id, now, cause=cause, subject_id=pk) for pk in made)
            cursor.execute(_NAMED_ALL, values)
            rows = cursor.fetchall()
            if all(pk for pk, *_ in rows):  # else one was deleted between the two statements
                return [Tag(pk=pk, account_id=account_id, name=name, created_at=at) for pk, name, at in rows]


def _checked(given: Given) -> str | Invalid:
    try:
        return check(given)
    except Invalid as problem:
        return problem


def add_all(account_id: int, pairs: Iterable[Pair], now: datetime, *, cause: Cause) -> dict[Pair, datetime]:
    """Since when each has the tag. In a transaction that has locked the people and held the tags, all the account's."""
    pairs = list(dict.fromkeys(pairs))
    put_all(account_id, pairs, now, cause=cause)
    return since(pairs)


def since(pairs: Iterable[Pair]) -> dict[Pair, datetime]:
    """Since when people have tags, of those who have them."""
    asked = list(pairs)
    with connection.cursor() as cursor:
        cursor.execute(_SINCE, {"tags": [tag_id for tag_id, _ in asked], "people": [pk for _, pk in asked]})
        return {(tag_id, pk): at for tag_id, pk, at in cursor.fetchall()}


def put_all(account_id: int, pairs: Iterable[Pair], now: datetime, *, cause: Cause) -> set[Pair]:
    """The same, and which of them are new."""
    pairs = list(dict.fromkeys(pairs))
    made = set(_rows(_ADD_ALL, pairs, now))
    record_same(event(types.TAG_ADDED, account_id, now, cause=cause), [pair for pair in pairs if pair in made])
    return made


def remove_all(account_id: int, pairs: Iterable[Pair], now: datetime, *, cause: Cause) -> set[Pair]:
    """In a transaction that has locked the people, all the account's, as the tags are. Returns what was there."""
    pairs = list(dict.fromkeys(pairs))
    gone = set(_rows(_REMOVE_ALL, pairs, now))
    record_same(event(types.TAG_REMOVED, account_id, now, cause=cause), [pair for pair in pairs if pair in gone])
    return gone


def _rows(query: str, pairs: list[Pair], now: datetime) -> list[Any]:
    with connection.cursor() as cursor:
        tags, people = bigints(tag for tag, _ in pairs), bigints(one for _, one in pairs)
        cursor.execute(query, {"tags": tags, "people": people, "now": now})
        return list(cursor.fetchall())


def _event(kind: str, tag: Tag, person: Subscriber, now: datetime, cause: Cause) -> Event:
    return event(kind, tag.account_id, now, cause=cause, subscriber_id=person.pk, subject_id=tag.pk)


def _named(account_id: int, name: str) -> Tag | None:
    rows = Tag.objects.filter(account_id=account_id).annotate(lower=Lower("name"))
    return rows.filter(lower=Lower(Value(name))).first()
