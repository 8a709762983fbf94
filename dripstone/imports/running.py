"""Does what an import is to do: its rows → people with their values, tags, forms and places in sequences.

Takes       an import in `running`, and its rows
Leaves      people as the verbs that take one after the other leave them (subscribe.upsert, tags.add …), with the same
            events; of each whom it touched, what is needed to undo it; the rows of a batch are gone
A crash here means the batch at hand was not done: its rows are still there, and all of it is one transaction.

A batch is moved into a table of its own, and every statement works on it as a whole: what it
costs is in docs/decisions/imports.md.

Several processes may do batches of one import beside each other: each takes rows that no other has taken, and a row is
all that the file says of a person. None locks the import before it counts what it did, at its end; if the import does
not run any more by then, nothing of the batch was done.

Locks: rows of the import; then in the order of all (CONTRIBUTING.md): the sequences it adds, the people by id, tags and
forms, places; at last the import.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Exists, F

from dripstone.engine import enroll, queries
from dripstone.engine.acts import sign_ups
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.events.causes import Cause
from dripstone.imports.columns import Target, value_columns
from dripstone.imports.models import Import, Rejected, Row
from dripstone.sequences.models import Sequence
from dripstone.subscribers import remembered, tags
from dripstone.subscribers.fields import keys_of
from dripstone.subscribers.forms import Origin
from dripstone.subscribers.models import Form, FormSubscription, Remembered, Tag, held, locked_all
from dripstone.subscribers.subscribe import MAX_VALUES

BATCH = 4_000  # people

_TABLES = """
CREATE TEMPORARY TABLE IF NOT EXISTS imports_doing (
    number bigint, email_address text, first_name text, values text[], tags text[], created_at timestamptz,
    fields jsonb, subscriber_id bigint, as_what text, is_new boolean DEFAULT false, digest bytea,
    remembered_as text, is_changed boolean DEFAULT false, old_name text, old_fields jsonb, new_name text,
    new_fields jsonb
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS imports_got (
    kind text, subscriber_id bigint, subject_id bigint
) ON COMMIT DELETE ROWS;
DELETE FROM imports_doing;
DELETE FROM imports_got;
"""
# Purpose: take the next rows out of those that wait and that nobody else has taken. Primary key; then by their places,
# since the planner, which knows little of a table that has just been filled, else reads all that wait.
_TAKE = """
WITH taken AS (
    DELETE FROM imports_row WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM imports_row WHERE of_import_id = %(import)s ORDER BY number LIMIT %(most)s
        FOR UPDATE {others}))
    RETURNING *)
INSERT INTO imports_doing (number, email_address, first_name, values, tags, created_at, fields)
SELECT number, email_address, first_name, values, tags, created_at,
       jsonb_strip_nulls(jsonb_object(%(keys)s::text[], values)) - %(gone)s::text[]
FROM taken
"""
# Purpose: lock those who are on file, and see them as they are then. By subscriber_address_of_account; then by place.
_MATCH = """
WITH there AS (
    SELECT d.ctid, s.id, s.state
    FROM subscribers_subscriber s JOIN imports_doing d ON s.email_address = d.email_address
    WHERE s.account_id = %(account)s AND d.subscriber_id IS NULL ORDER BY s.id FOR NO KEY UPDATE OF s)
UPDATE imports_doing d SET subscriber_id = there.id, as_what = there.state FROM there WHERE d.ctid = there.ctid
"""
_UNMATCHED = "SELECT email_address FROM imports_doing WHERE subscriber_id IS NULL"
_DIGESTS = """
UPDATE imports_doing d SET digest = given.digest
FROM unnest(%(addresses)s::text[], %(digests)s::bytea[]) AS given (address, digest)
WHERE d.email_address = given.address
"""
# Purpose: as subscribe._ADD_ALL, in the order of the file. Whoever was deleted and must not be mailed comes as they are
# remembered; the rest are active, as somebody has given their word for.
_ADD = """
WITH made AS (
    INSERT INTO subscribers_subscriber (account_id, email_address, first_name, state, fields, created_at, updated_at,
                                        canceled_at)
    SELECT %(account)s, d.email_address, d.first_name, COALESCE(r.state, 'active'), d.fields,
           COALESCE(d.created_at, %(now)s), %(now)s, CASE WHEN r.state = 'cancelled' THEN COALESCE(r.since, %(now)s) END
    FROM imports_doing d
    LEFT JOIN subscribers_remembered r ON r.account_id = %(account)s AND r.digest = d.digest
    WHERE d.subscriber_id IS NULL ORDER BY d.number
    ON CONFLICT (account_id, email_address) DO NOTHING RETURNING id, email_address, state)
UPDATE imports_doing d SET subscriber_id = made.id, as_what = made.state, is_new = true
FROM made WHERE d.email_address = made.email_address
"""
_LIFT = """
WITH lifted AS (
    DELETE FROM subscribers_remembered r USING imports_doing d
    WHERE d.is_new AND d.as_what <> 'active' AND r.account_id = %(account)s AND r.digest = d.digest RETURNING d.number)
UPDATE imports_doing d SET remembered_as = d.as_what FROM lifted WHERE d.number = lifted.number
"""
_SKIP_EXISTING = "DELETE FROM imports_doing WHERE NOT is_new"
# Purpose: what the values of those who were there before become. By primary key.
_CHANGE = """
UPDATE imports_doing d
SET is_changed = true, old_name = n.old_name, old_fields = n.old_fields, new_name = n.new_name,
    new_fields = n.new_fields
FROM (
    SELECT d.number, s.first_name AS old_name, s.fields AS old_fields,
           COALESCE(d.first_name, CASE WHEN NOT %(clears_name)s THEN s.first_name END) AS new_name,
           (s.fields - CASE WHEN %(clears)s THEN ARRAY(
                SELECT key FROM unnest(%(keys)s::text[], d.values) cell (key, value) WHERE value IS NULL)
            ELSE '{}' END) || d.fields AS new_fields
    FROM imports_doing d JOIN subscribers_subscriber s ON s.id = d.subscriber_id WHERE NOT d.is_new) n
WHERE d.number = n.number AND (n.new_name IS DISTINCT FROM n.old_name OR n.new_fields <> n.old_fields)
"""
# Purpose: whose values are too many now. Most are judged by the length of the JSON, which is never less.
_TOO_MANY = """
WITH gone AS (
    DELETE FROM imports_doing WHERE is_changed AND octet_length(new_fields::text) > %(most)s
      AND (SELECT sum(octet_length(value)) FROM jsonb_each_text(new_fields))
          > GREATEST(%(most)s, (SELECT COALESCE(sum(octet_length(value)), 0) FROM jsonb_each_text(old_fields)))
    RETURNING *)
SELECT number, email_address, first_name, values, tags, created_at FROM gone ORDER BY number
"""
_SAVE = """
UPDATE subscribers_subscriber s SET first_name = d.new_name, fields = d.new_fields, updated_at = %(now)s
FROM imports_doing d WHERE d.is_changed AND s.id = d.subscriber_id
"""
# Purpose: what subscribe.upsert tells of each, in its order: that they are there, that they are active, each value that
# has changed, by the field's id.
_TELL = """
INSERT INTO events_event (account_id, type, subscriber_id, subject_id, cause, data, occurred_at)
SELECT %(account)s, type, subscriber_id, subject_id, %(cause)s, data, %(now)s
FROM (
    SELECT number, 0 AS step, 'subscriber.created' AS type, subscriber_id, NULL::bigint AS subject_id,
           CASE WHEN remembered_as IS NULL THEN '{}'::jsonb
                ELSE jsonb_build_object('remembered_as', remembered_as) END AS data
    FROM imports_doing WHERE is_new
    UNION ALL
    SELECT number, 1, 'subscriber.activated', subscriber_id, NULL, '{}' FROM imports_doing
    WHERE is_new AND as_what = 'active'
    UNION ALL
    SELECT number, 2, 'subscriber.custom_field_value_updated', subscriber_id, key::bigint,
           jsonb_build_object('value', value)
    FROM imports_doing CROSS JOIN LATERAL jsonb_each_text(fields) WHERE is_new
    UNION ALL
    SELECT number, 2, 'subscriber.custom_field_value_updated', subscriber_id, key::bigint,
           jsonb_build_object('value', NULLIF(new.value, ''))
    FROM imports_doing
    CROSS JOIN LATERAL (SELECT * FROM jsonb_each_text(old_fields) old FULL JOIN jsonb_each_text(new_fields) new
                        USING (key)) changed (key, old_value, value)
    CROSS JOIN LATERAL (SELECT changed.value) new (value)
    WHERE is_changed AND COALESCE(old_value, '') <> COALESCE(changed.value, '')
) told ORDER BY number, step, subject_id
"""
# Purpose: the tags that are not there yet, each person's in the order of the import and then of their row.
_TAG = """
WITH named AS (SELECT * FROM unnest(%(names)s::text[], %(ids)s::bigint[]) AS named (name, id)),
wanted AS (
    SELECT number, subscriber_id, tag_id, min(place) AS place
    FROM (SELECT d.number, d.subscriber_id, tag_id, place
          FROM imports_doing d CROSS JOIN unnest(%(tags)s::bigint[]) WITH ORDINALITY AS given (tag_id, place)
          UNION ALL
          SELECT d.number, d.subscriber_id, named.id, 1000000 + given.place
          FROM imports_doing d CROSS JOIN LATERAL unnest(d.tags) WITH ORDINALITY AS given (name, place)
          JOIN named USING (name)) asked
    GROUP BY 1, 2, 3),
made AS (
    INSERT INTO subscribers_tagging (tag_id, subscriber_id, tagged_at)
    SELECT tag_id, subscriber_id, %(now)s FROM wanted ORDER BY number, place
    ON CONFLICT (tag_id, subscriber_id) DO NOTHING RETURNING tag_id, subscriber_id),
kept AS (
    INSERT INTO imports_got (kind, subscriber_id, subject_id) SELECT 'tag', subscriber_id, tag_id FROM made)
INSERT INTO events_event (account_id, type, subscriber_id, subject_id, cause, data, occurred_at)
SELECT %(account)s, 'subscriber.tag_added', subscriber_id, tag_id, %(cause)s, '{}', %(now)s
FROM made JOIN wanted USING (subscriber_id, tag_id) ORDER BY number, place
"""
# In one order for all batches, whatever the case: those beside this one may make the same tags.
_NAMES = """
SELECT name FROM (SELECT DISTINCT name FROM imports_doing CROSS JOIN LATERAL unnest(tags) name) named
ORDER BY lower(name), name
"""
_PEOPLE = "SELECT subscriber_id FROM imports_doing ORDER BY number"
_MAILABLE = "SELECT subscriber_id FROM imports_doing WHERE as_what IN ('active', 'inactive') ORDER BY number"
_GOT = """
INSERT INTO imports_got (kind, subscriber_id, subject_id)
SELECT %(kind)s, * FROM unnest(%(people)s::bigint[], %(subjects)s::bigint[])
"""
# Purpose: keep what undoing needs: of values, those that have changed.
_KEEP = """
WITH got AS (
    SELECT subscriber_id, array_agg(subject_id) FILTER (WHERE kind = 'tag') AS tag_ids,
           array_agg(subject_id) FILTER (WHERE kind = 'form') AS form_ids,
           array_agg(subject_id) FILTER (WHERE kind = 'place') AS place_ids,
           array_agg(subject_id) FILTER (WHERE kind = 'back') AS back_ids
    FROM imports_got GROUP BY 1),
kept AS (
    INSERT INTO imports_touched (of_import_id, subscriber_id, is_new, at, tag_ids, form_ids, place_ids, back_ids,
                                 before, after)
    SELECT %(import)s, d.subscriber_id, d.is_new, %(now)s, COALESCE(got.tag_ids, '{}'), COALESCE(got.form_ids, '{}'),
           COALESCE(got.place_ids, '{}'), COALESCE(got.back_ids, '{}'),
           CASE WHEN d.is_changed THEN jsonb_build_object('first_name', d.old_name, 'fields', d.old_fields) END,
           CASE WHEN d.is_changed THEN jsonb_build_object('first_name', d.new_name, 'fields', d.new_fields) END
    FROM imports_doing d LEFT JOIN got USING (subscriber_id)
    WHERE d.is_new OR d.is_changed OR got.subscriber_id IS NOT NULL
    RETURNING is_new)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new),
       (SELECT count(*) FROM imports_doing WHERE as_what IN ('cancelled', 'bounced', 'complained')),
       (SELECT count(*) FROM imports_got WHERE kind = 'place')
FROM kept
"""


class StoppedError(Exception):
    """The import was cancelled, or has failed, while this batch was at hand: it must be rolled back."""


def cause_of(import_: Import) -> Cause:
    cause = causes.imported(import_.pk)
    return cause if import_.fire_rules else causes.quietly(cause)


def step(import_: Import, now: datetime, most: int = BATCH, *, is_patient: bool = False) -> bool:
    """The next batch; when no row is left, the import is done.

    False: the rows that are left are at hand elsewhere, or it does not run any more. `is_patient` waits for them.
    Raises StoppedError.
    """
    targets = [Target.of(one) for one in import_.columns]
    keys = [str(targets[n].field_id) for n in value_columns(targets)]
    gone = list(set(keys) - keys_of(import_.account_id).keys())
    values: dict[str, Any] = {
        "import": import_.pk,
        "account": import_.account_id,
        "most": most,
        "keys": keys,
        "gone": gone,
        "now": now,
        "cause": list(cause_of(import_)),
        "clears": import_.blanks == Import.Blanks.CLEAR,
        "clears_name": import_.blanks == Import.Blanks.CLEAR and any(one.kind == "first_name" for one in targets),
    }
    n_taken = _take(values, is_patient)
    if n_taken == 0:
        return _end(import_, now)
    sequences = _held_sequences(import_)
    _bring_in(import_, n_taken, values)
    n_rejected = 0
    if import_.existing == Import.Existing.SKIP:
        _run(_SKIP_EXISTING, values)
    elif import_.existing == Import.Existing.UPDATE:
        _run(_CHANGE, values)
        n_rejected = _reject_too_many(import_, targets)
        _run(_SAVE, values)
    _run(_TELL, values)
    _tag(import_, now, values)
    _put_on_forms(import_, now)
    _enroll(import_, sequences, now)
    _count(import_, n_taken, n_rejected, values)
    return True


def _take(values: Mapping[str, Any], is_patient: bool) -> int:
    """How many rows."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        cursor.execute(_TAKE.format(others="" if is_patient else "SKIP LOCKED"), values)
        n_taken: int = cursor.rowcount
        # Without it the planner takes the table for a few rows, and compares each with each: 4 ms a person.
        cursor.execute("ANALYZE imports_doing")
    return n_taken


def _end(import_: Import, now: datetime) -> bool:
    """It is done, unless rows are left in the hands of others."""
    is_left = Exists(Row.objects.filter(of_import_id=import_.pk))
    running = Import.objects.filter(~is_left, pk=import_.pk, state=Import.State.RUNNING)
    return bool(running.update(state=Import.State.DONE, ended_at=now))


def _count(import_: Import, n_taken: int, n_rejected: int, values: Mapping[str, Any]) -> None:
    """Keep what undoing needs, and add what was done to the import. Raises StoppedError."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, values)
        n_made, n_changed, n_stayed_out, n_entered = cursor.fetchone()
        # What is checked at a commit is checked now: from here to the commit the batches beside this one wait.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    running = Import.objects.filter(pk=import_.pk, state=Import.State.RUNNING)
    is_counted = running.update(
        n_done=F("n_done") + n_taken,
        n_made=F("n_made") + n_made,
        n_changed=F("n_changed") + n_changed,
        n_stayed_out=F("n_stayed_out") + n_stayed_out,
        n_entered=F("n_entered") + n_entered,
        n_rejected=F("n_rejected") + n_rejected,
    )
    if not is_counted:
        raise StoppedError


def _held_sequences(import_: Import) -> list[Sequence]:
    """Those that are still there, kept from being deleted until the transaction ends; before any person is locked."""
    if not import_.sequence_ids:
        return []
    values: dict[str, Any] = {"sequences": import_.sequence_ids, "account": import_.account_id}
    with connection.cursor() as cursor:
        cursor.execute(queries.HOLD_SEQUENCES_ADDED, values)
        ids = [pk for (pk,) in cursor.fetchall()]
    return list(Sequence.objects.filter(pk__in=ids).order_by("pk"))


# --- People -------------------------------------------------------------------------------------------------------


def _bring_in(import_: Import, n_people: int, values: Mapping[str, Any]) -> None:
    """Everybody of the batch is on file, and locked."""
    account_id, n_missing = import_.account_id, n_people
    while n_missing:  # once, unless others add some of them meanwhile
        n_missing -= _run(_MATCH, values)
        if not n_missing:
            return
        has_remembered = Remembered.objects.filter(account_id=account_id).exists()
        if has_remembered:
            missing = _column(_UNMATCHED)
            digests = [remembered.digest_of(account_id, address) for address in missing]
            _run(_DIGESTS, {"addresses": missing, "digests": digests})
        n_missing -= _run(_ADD, values)
        if has_remembered:
            _run(_LIFT, values)


def _reject_too_many(import_: Import, targets: list[Target]) -> int:
    """Whose values would be more than anybody may have: nothing of their row is done. How many they are."""
    with connection.cursor() as cursor:
        cursor.execute(_TOO_MANY, {"most": MAX_VALUES})
        rows = cursor.fetchall()
    reason = f"Custom fields can't hold more than {MAX_VALUES // 1024} KB for a person"
    Rejected.objects.bulk_create(
        Rejected(
            of_import_id=import_.pk,
            number=number,
            email_address=row[0],
            cells=json.dumps(_cells(targets, *row)),
            reason=reason,
        )
        for number, *row in rows
    )
    return len(rows)


def _cells(
    targets: list[Target],
    address: str,
    first_name: str | None,
    values: list[str | None],
    tag_names: list[str],
    created_at: datetime | None,
) -> list[str]:
    """The row as it was put together, in the columns of the file."""
    rest = iter(values)
    texts = {
        "email": address,
        "first_name": first_name or "",
        "tags": ", ".join(tag_names),
        "created_at": created_at.isoformat() if created_at else "",
    }
    kinds = [one.kind for one in targets]
    return [(next(rest) or "") if kind in ("field", "new_field") else texts.get(kind, "") for kind in kinds]


# --- What they get ------------------------------------------------------------------------------------------------


def _tag(import_: Import, now: datetime, values: Mapping[str, Any]) -> None:
    account_id, names = import_.account_id, _column(_NAMES)
    made = tags.create_all(account_id, [{"name": name} for name in names], now, cause=cause_of(import_))
    named = {name: tag.pk for name, tag in zip(names, made, strict=True) if isinstance(tag, Tag)}
    there = held(Tag, account_id, [*import_.tag_ids, *named.values()])
    given = [pk for pk in import_.tag_ids if pk in there]
    named = {name: pk for name, pk in named.items() if pk in there}
    if given or named:
        _run(_TAG, {**values, "tags": given, "names": list(named), "ids": list(named.values())})


def _put_on_forms(import_: Import, now: datetime) -> None:
    if not (forms := sorted(held(Form, import_.account_id, import_.form_ids))):
        return
    ids = _column(_PEOPLE)
    present = set(
        FormSubscription.objects.filter(form__in=forms, subscriber__in=ids, is_unconfirmed=False).values_list(
            "form_id", "subscriber_id"
        )
    )
    asked = {(form_id, pk): Origin() for form_id in forms for pk in ids if (form_id, pk) not in present}
    people = locked_all(import_.account_id, ids)
    sign_ups.add_all(import_.account_id, asked, people, now, cause=cause_of(import_))
    _keep_got("form", [(pk, form_id) for form_id, pk in asked])


def _enroll(import_: Import, sequences: list[Sequence], now: datetime) -> None:
    """Whoever may be mailed, or may be once they have confirmed."""
    ids = _column(_MAILABLE) if sequences else []
    for sequence in sequences:
        places = Enrollment.objects.filter(sequence=sequence, subscriber__in=ids)
        before = {pk: as_they_were for pk, *as_they_were in places.values_list("subscriber_id", "run", "status")}
        entries = enroll.add(sequence, ids, "import", now, cause=cause_of(import_))
        after = {pk: entry.enrollment for pk, entry in entries.items()}
        moved = [(pk, place.pk) for pk, place in after.items() if before.get(pk) != [place.run, place.status]]
        _keep_got("place", moved)
        _keep_got("back", [(pk, place) for pk, place in moved if pk in before and before[pk][1] in _ENDED])


_ENDED = (Enrollment.Status.COMPLETED, Enrollment.Status.REMOVED)


def _keep_got(kind: str, got: list[tuple[int, int]]) -> None:
    _run(_GOT, {"kind": kind, "people": [pk for pk, _ in got], "subjects": [subject for _, subject in got]})


def _run(statement: str, values: Mapping[str, Any]) -> int:
    """How many rows it is about."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def _column(statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [value for (value,) in cursor.fetchall()]
