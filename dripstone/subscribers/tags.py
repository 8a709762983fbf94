"""Tags, and the people who have them."""

from datetime import datetime

from django.db import IntegrityError, connection, transaction
from django.db.models import Value
from django.db.models.functions import Lower

from dripstone.accounts import names
from dripstone.errors import Invalid, NotFound
from dripstone.events import types
from dripstone.events.causes import Cause
from dripstone.events.models import Event
from dripstone.events.record import event, record
from dripstone.given import Checked, Given
from dripstone.subscribers.models import Subscriber, Tag, Tagging, lock_person

# Purpose: before a tag goes from everybody who has it. Others lock a person first and their tagging then, so people
# come first here too; the trigger that counts would lock them last. By tagging_once.
_LOCK_PEOPLE = """
SELECT count(*) FROM (
    SELECT s.id FROM subscribers_tagging t JOIN subscribers_subscriber s ON s.id = t.subscriber_id
    WHERE t.tag_id = %s ORDER BY s.id FOR NO KEY UPDATE OF s) people
"""


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


@transaction.atomic
def delete(tag: Tag, now: datetime, *, cause: Cause) -> None:
    """The tag goes, from everybody at once: if it went from one after the other, an exclusion by it would let through
    whoever has lost it already. Nobody has it removed: there is no `subscriber.tag_removed`.

    Conditions that name it are met by nobody from now on, exclusions by it exclude everybody. Raises NotFound.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_PEOPLE, [tag.pk])
    if Tag.objects.select_for_update().filter(pk=tag.pk).first() is None:
        raise NotFound
    Tagging.objects.filter(tag=tag).delete()
    record([event(types.TAG_DELETED, tag.account_id, now, cause=cause, subject_id=tag.pk)])
    Tag.objects.filter(pk=tag.pk).delete()


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


def _event(kind: str, tag: Tag, person: Subscriber, now: datetime, cause: Cause) -> Event:
    return event(kind, tag.account_id, now, cause=cause, subscriber_id=person.pk, subject_id=tag.pk)


def _named(account_id: int, name: str) -> Tag | None:
    rows = Tag.objects.filter(account_id=account_id).annotate(lower=Lower("name"))
    return rows.filter(lower=Lower(Value(name))).first()
