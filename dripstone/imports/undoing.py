"""Undoes what an import did, as long as nobody was mailed because of it.

Takes       an import in `undoing`, and whom it touched
Leaves      people it made and who are still as it made them: gone. The others without the tags, forms and places that
            they had by it, and with the values they had before, where they have not been changed since
A crash here means the batch at hand was not undone: what is left to undo is still there, and it is one transaction.

Locks in the order of all (CONTRIBUTING.md): the people by id, their places.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from dripstone.accounts.models import Account
from dripstone.engine import reasons, transitions
from dripstone.engine.acts import forget
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.events.causes import Cause
from dripstone.imports.models import Import, Touched
from dripstone.subscribers import forms, subscribe, tags
from dripstone.subscribers.models import Subscriber, locked_all

BATCH = 1_000  # people

# Purpose: whether an email went, or may be going, because of an import: at a place it gave somebody, or at one that
# rules gave them because of it. Index of the deliveries' key, by place; events by event_by_subscriber.
_WAS_MAILED = """
SELECT EXISTS (
    SELECT FROM imports_touched t CROSS JOIN LATERAL unnest(t.place_ids) place
    JOIN engine_delivery d ON d.enrollment_id = place
    WHERE t.of_import_id = %(import)s AND d.status IN ('sending', 'sent', 'unknown') AND d.planned_at >= t.at)
OR %(fires_rules)s AND EXISTS (
    SELECT FROM imports_touched t
    JOIN events_event v ON v.subscriber_id = t.subscriber_id AND v.type = 'subscriber.added_to_sequence'
      AND v.cause @> ARRAY[%(cause)s] AND v.occurred_at >= t.at
    JOIN engine_enrollment e ON e.sequence_id = v.subject_id AND e.subscriber_id = v.subscriber_id
    JOIN engine_delivery d ON d.enrollment_id = e.id
    WHERE t.of_import_id = %(import)s AND d.status IN ('sending', 'sent', 'unknown')
      AND d.planned_at >= v.occurred_at)
"""
# Purpose: those of some who were made by the import and have got anything since. Keys and indexes on the person; places
# through the account's sequences, as engine/models.py places_of.
_HAVE_MORE = """
SELECT t.subscriber_id FROM imports_touched t JOIN subscribers_subscriber s ON s.id = t.subscriber_id
WHERE t.of_import_id = %(import)s AND t.subscriber_id = ANY(%(people)s) AND t.is_new AND (
    s.updated_at <> t.at
    OR EXISTS (SELECT FROM subscribers_tagging g WHERE g.subscriber_id = s.id AND g.tag_id <> ALL (t.tag_ids))
    OR EXISTS (SELECT FROM subscribers_formsubscription f
               WHERE f.subscriber_id = s.id AND f.form_id <> ALL (t.form_ids))
    OR EXISTS (SELECT FROM subscribers_signup u WHERE u.subscriber_id = s.id)
    OR EXISTS (SELECT FROM subscribers_location l WHERE l.subscriber_id = s.id)
    OR EXISTS (SELECT FROM purchases_purchase p WHERE p.subscriber_id = s.id)
    OR EXISTS (SELECT FROM engine_enrollment e WHERE e.subscriber_id = s.id
               AND e.sequence_id IN (SELECT id FROM sequences_sequence q WHERE q.account_id = s.account_id)
               AND (e.id <> ALL (t.place_ids)
                    OR EXISTS (SELECT FROM engine_delivery d WHERE d.enrollment_id = e.id
                               AND d.status IN ('sending', 'sent', 'unknown')))))
"""
_DONE = "DELETE FROM imports_touched WHERE of_import_id = %(import)s AND subscriber_id = ANY(%(people)s)"


def cause_of(import_: Import) -> Cause:
    """No rule acts on what is taken back."""
    return causes.quietly(causes.imported(import_.pk))


def was_mailed(import_: Import) -> bool:
    """Whether somebody got mail because of it, or is just getting some."""
    values: dict[str, Any] = {
        "import": import_.pk,
        "fires_rules": import_.fire_rules,
        "cause": causes.imported(import_.pk)[0],
    }
    with connection.cursor() as cursor:
        cursor.execute(_WAS_MAILED, values)
        return bool(cursor.fetchone()[0])


def step(import_: Import, now: datetime, most: int = BATCH) -> None:
    """The next batch, the last people first; when there are none, it is undone. The caller has locked the import."""
    rows = {
        row.subscriber_id: row
        for row in Touched.objects.filter(of_import_id=import_.pk).order_by("-subscriber_id")[:most]
    }
    if not rows:
        import_.state, import_.undone_at = Import.State.UNDONE, now
        import_.save(update_fields=["state", "undone_at"])
        return
    people = locked_all(import_.account_id, rows)
    have_more = _have_more(import_, list(people))
    going = [pk for pk in people if rows[pk].is_new and pk not in have_more]
    staying = {pk: person for pk, person in people.items() if pk not in going}
    _take_back(import_, {pk: rows[pk] for pk in staying}, staying, now)
    if going:
        account = Account.objects.get(pk=import_.account_id)
        forget.forget_all(account, going, now, cause=cause_of(import_))
    _run(_DONE, {"import": import_.pk, "people": list(rows)})
    import_.n_undone += len(people) - len(have_more)
    import_.n_left_alone += len(have_more)
    import_.save(update_fields=["n_undone", "n_left_alone"])


def _have_more(import_: Import, ids: list[int]) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(_HAVE_MORE, {"import": import_.pk, "people": ids})
        return {pk for (pk,) in cursor.fetchall()}


def _take_back(import_: Import, rows: Mapping[int, Touched], people: Mapping[int, Subscriber], now: datetime) -> None:
    """From those who stay."""
    cause = cause_of(import_)
    _leave(rows.values(), now, cause)
    pairs = [(tag_id, pk) for pk, row in rows.items() for tag_id in row.tag_ids]
    if pairs:
        tags.remove_all(import_.account_id, pairs, now, cause=cause)
    for form_id in {form_id for row in rows.values() for form_id in row.form_ids}:
        theirs = [pk for pk, row in rows.items() if form_id in row.form_ids]
        forms.leave_all(form_id, theirs)
    subscribe.put_back(_changes(rows, people), now, cause=cause)


def _leave(rows: Collection[Touched], now: datetime, cause: Cause) -> None:
    """The places they got by it, or came back to; who was on the way and was only started again stays."""
    at = {place_id: row.at for row in rows for place_id in row.place_ids}
    back = [place_id for row in rows for place_id in row.back_ids]
    places = Enrollment.objects.filter(pk__in=at, source="import").exclude(status="removed")
    found = places.filter(Q(run=1) | Q(pk__in=back))
    leaving = [pk for pk, entered_at in found.values_list("pk", "entered_at") if entered_at == at[pk]]
    if leaving:
        transitions.remove(leaving, reasons.REMOVED_BY_OWNER, now, cause=cause)


def _changes(rows: Mapping[int, Touched], people: Mapping[int, Subscriber]) -> list[tuple[Subscriber, dict[str, Any]]]:
    """Each person, and what changes back: what is still as the import left it."""
    changes = []
    for pk, row in rows.items():
        if row.before is None or row.after is None:
            continue
        person = people[pk]
        back: dict[str, Any] = {}
        if row.before["first_name"] != row.after["first_name"] == person.first_name:
            back["first_name"] = row.before["first_name"]
        before, after, fields = row.before["fields"], row.after["fields"], dict(person.fields)
        for key in before.keys() | after.keys():
            if before.get(key) != after.get(key) == fields.get(key):
                fields.pop(key, None)
                if key in before:
                    fields[key] = before[key]
        if fields != person.fields:
            back["fields"] = fields
        if back:
            changes.append((person, back))
    return changes


def _run(statement: str, values: Mapping[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
