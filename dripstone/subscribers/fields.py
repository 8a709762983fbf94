"""Custom fields. Values are kept by the field's id, so that a new label or key changes no subscriber's row."""

from collections.abc import Iterable
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Value
from django.db.models.functions import Lower

from dripstone.accounts import names
from dripstone.errors import Invalid
from dripstone.events import types
from dripstone.events.causes import Cause
from dripstone.events.record import event, record
from dripstone.given import Checked, Given
from dripstone.postgresql import prepared
from dripstone.subscribers.models import CustomField

# Purpose: the fields that every answer about people names. Index on account_id, a row per field; a queryset would cost
# 0.6 ms of Python, six times as much.
_KEYS = "SELECT id, key FROM subscribers_customfield WHERE account_id = %s ORDER BY id"
# Purpose: forget a deleted field. A scan of the account's people; deleting a field is rare.
_FORGET = "UPDATE subscribers_subscriber SET fields = fields - %s WHERE account_id = %s AND fields ? %s"

# Purpose: labels that no field has in any case, in the order given; of those that are one in another case, the first.
_NEW_LABELS = """
SELECT label
FROM (SELECT DISTINCT ON (lower(label)) label, n FROM unnest(%s::text[]) WITH ORDINALITY AS asked (label, n)
      ORDER BY lower(label), n) firsts
WHERE NOT EXISTS (SELECT FROM subscribers_customfield f
                  WHERE f.account_id = %s AND lower(f.label) = lower(firsts.label))
ORDER BY n
"""
_CREATE_ALL = """
INSERT INTO subscribers_customfield (account_id, label, key, name, created_at)
SELECT %s, label, key, '', %s FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS asked (label, key, n)
ORDER BY n RETURNING id
"""
_NAME_ALL = "UPDATE subscribers_customfield SET name = 'ck_field_' || id || '_' || key WHERE id = ANY(%s)"
# Purpose: the fields of these labels, in this order, kept from being deleted. By custom_field_label_of_account.
_WITH_LABELS = """
SELECT f.id FROM unnest(%s::text[]) WITH ORDINALITY AS asked (label, n)
JOIN subscribers_customfield f ON f.account_id = %s AND lower(f.label) = lower(asked.label) ORDER BY n
FOR KEY SHARE OF f
"""


def keys_of(account_id: int) -> dict[str, str]:
    """{id as text: key} of all the account's fields, oldest first."""
    return {str(pk): key for pk, key in prepared.rows(_KEYS, [account_id])}


def known(account_id: int, ids: Iterable[int]) -> set[int]:
    """Those of them that are the account's."""
    return set(CustomField.objects.filter(account_id=account_id, pk__in=ids).values_list("pk", flat=True))


def key_for(label: str) -> str:
    """ASCII lower_snake: "Último nombre" → "ultimo_nombre"."""
    return names.key_for(label, "_", "field")


def check(given: Given) -> str:
    """The `label`. Raises Invalid."""
    read = Checked(given, required=("label",), labels={"label": "Label"})
    read.name("label")
    label = names.plain(read.sound()["label"])
    if not label.strip():
        raise Invalid.member("label", "Label can't be blank")
    return label


@transaction.atomic
def create(account_id: int, given: Given, now: datetime, *, cause: Cause) -> tuple[CustomField, bool]:
    """The field with the `label` given, in any case, and whether it is new. Raises Invalid."""
    label = check(given)
    names.lock(account_id)
    if found := _with_label(account_id, label):
        return found, False
    field = CustomField.objects.create(
        account_id=account_id, label=label, key=_free_key(account_id, label), name="", created_at=now
    )
    field.name = f"ck_field_{field.pk}_{field.key}"
    field.save(update_fields=["name"])
    record([event(types.CUSTOM_FIELD_CREATED, account_id, now, cause=cause, subject_id=field.pk)])
    return field, True


@transaction.atomic
def rename(field: CustomField, given: Given) -> CustomField:
    """A new `label` changes the key, never the name. Raises Invalid, also when another field has the label.

    The same label changes nothing: keys that an older version made of it stay.
    """
    label = check(given)
    names.lock(field.account_id)
    other = _with_label(field.account_id, label)
    if other and other.pk != field.pk:
        raise Invalid.member("label", "Label has already been taken")
    if label != field.label:
        field.key = _free_key(field.account_id, label, field.pk)
    field.label = label
    field.save(update_fields=["label", "key"])
    return field


@transaction.atomic
def delete(field: CustomField, now: datetime, *, cause: Cause) -> None:
    """Deletes the field and all values for it."""
    field_id = str(field.pk)
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [field_id, field.account_id, field_id])
    record([event(types.CUSTOM_FIELD_DELETED, field.account_id, now, cause=cause, subject_id=field.pk)])
    field.delete()


@transaction.atomic
def create_all(account_id: int, given: Iterable[Given], now: datetime, *, cause: Cause) -> list[CustomField | Invalid]:
    """What `create` does for one after the other: for each, the field with the label, or what is wrong with it. In so
    many statements whatever their number."""
    asked = [_checked(one) for one in given]
    names.lock(account_id)
    found = iter(_made(account_id, [label for label in asked if isinstance(label, str)], now, cause))
    return [next(found) if isinstance(one, str) else one for one in asked]


def _made(account_id: int, labels: list[str], now: datetime, cause: Cause) -> list[CustomField]:
    rows = CustomField.objects.filter(account_id=account_id)
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_NEW_LABELS, [labels, account_id])
            new = [label for (label,) in cursor.fetchall()]
            keys = names.FreeKeys("_", rows.values_list("key", flat=True))
            cursor.execute(_CREATE_ALL, [account_id, now, new, [keys.take(key_for(label)) for label in new]])
            made = sorted(pk for (pk,) in cursor.fetchall())
            cursor.execute(_NAME_ALL, [made])
            record(event(types.CUSTOM_FIELD_CREATED, account_id, now, cause=cause, subject_id=pk) for pk in made)
            cursor.execute(_WITH_LABELS, [labels, account_id])
            ids = [pk for (pk,) in cursor.fetchall()]
            if len(ids) == len(labels):  # else one was deleted between the statements
                found = rows.in_bulk(ids)
                return [found[pk] for pk in ids]


def _checked(given: Given) -> str | Invalid:
    try:
        return check(given)
    except Invalid as problem:
        return problem


def _with_label(account_id: int, label: str) -> CustomField | None:
    rows = CustomField.objects.filter(account_id=account_id).annotate(lower=Lower("label"))
    return rows.filter(lower=Lower(Value(label))).first()


def _free_key(account_id: int, label: str, own_id: int = 0) -> str:
    taken = set(CustomField.objects.filter(account_id=account_id).exclude(pk=own_id).values_list("key", flat=True))
    return names.free_key(key_for(label), "_", taken)
