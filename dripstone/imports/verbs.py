"""What an account decides about an import: what it is to do, that it may, that it stops, that it is undone.

Each is one transaction that locks the import; a worker does the rest (imports/work.py).
docs/reference/life-of-an-import.md has the states.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from dripstone.errors import Conflict, Invalid
from dripstone.events import causes
from dripstone.given import Checked, Given
from dripstone.imports import columns, files, undoing, wake
from dripstone.imports import look as looking
from dripstone.imports.columns import Target
from dripstone.imports.models import Import, Piece, Rejected
from dripstone.sequences.models import Sequence
from dripstone.subscribers import fields
from dripstone.subscribers.models import Form, Tag

CONSENT = "Everybody in this file has agreed to get email from us, and we can show it."
PROBLEM = "Problem"  # the column of the rejected rows that says why
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # as web/people_csv.py guards exports

_UNDER_WAY = ("uploading", "uploaded", "reading", "ready", "running")


def of_account(account_id: int) -> QuerySet[Import]:
    return Import.objects.filter(account_id=account_id)


@transaction.atomic
def choose(import_: Import, given: Given, now: datetime, *, by: str = "") -> Import:
    """uploaded, ready → reading, which a worker does.

    given   `columns`: for each column of the file an object: `target` ("email", "first_name", "field" with `field_id`,
            "new_field" with `label`, "tags", "created_at", "skip"); guessed where missing, as are `encoding`,
            `separator`, `has_header`; `tag_ids`, `form_ids`, `sequence_ids`; `existing`; `blanks`; `fire_rules`;
            `consent`: true
    by      whose word the consent is, as notes name them; who asked for the import, unless given
    Raises Invalid with every problem, by member (`columns[3].field_id`, `consent`); Conflict in another state.
    """
    row = files.locked(import_)
    if row.state not in (Import.State.UPLOADED, Import.State.READY, Import.State.READING):
        raise Conflict("What it does can't be chosen any more" if row.run_at else "The file has not come whole yet")
    read = Checked(given)
    read.drop_nulls("encoding", "separator", "has_header", "existing", "blanks", "fire_rules")
    read.words("encoding")
    read.text("separator")
    read.flag("has_header")
    read.choice("existing", Import.Existing.values)
    read.choice("blanks", Import.Blanks.values)
    read.flag("fire_rules")
    for name in _TARGETS:
        read.ids_or_null(name)
    ids = {name: _known(read, row.account_id, name) for name in _TARGETS}
    if read.made(given.get("consent"), _yes) is not True:
        read.refuse("consent", "Confirm that everybody in the file has agreed to get email from you")
    seen = targets = None
    try:
        told = {name: read.values.get(name) for name in ("encoding", "separator", "has_header")}
        seen = looking.look(row, **told)
        guess = [one.target for one in seen.columns]
        targets = guess if given.get("columns") is None else columns.check(row.account_id, given["columns"], len(guess))
        if not any(one.kind == "email" for one in targets):
            read.refuse("columns", "One column must have the email addresses")
    except Invalid as refused:
        read.problems += refused.problems
    values = read.sound()
    assert seen is not None and targets is not None
    row.encoding, row.separator, row.has_header = seen.encoding, seen.separator, seen.has_header
    row.header = [one.title for one in seen.columns] if seen.has_header else []
    row.columns = [one.kept() for one in targets]
    row.tag_ids, row.form_ids, row.sequence_ids = (ids[name] for name in _TARGETS)
    row.existing = values.get("existing", Import.Existing.UPDATE)
    row.blanks = values.get("blanks", Import.Blanks.KEEP)
    row.fire_rules = values.get("fire_rules", False)
    row.consent, row.consent_by, row.consent_at = CONSENT, by or row.asked_by, now
    row.is_stale = row.is_stale or row.read_to > 0
    row.state, row.ready_at, row.read_to, row.n_records, row.n_header = Import.State.READING, None, 0, 0, 0
    row.n_rows = row.n_rejected = row.n_twice = row.n_new = row.n_existing = row.n_unmailable = 0
    row.save()
    wake.worker()
    return row


_TARGETS = {"tag_ids": Tag, "form_ids": Form, "sequence_ids": Sequence}


def _yes(value: Any) -> Any:
    return value in ("true", "on", "1", True)


def _known(read: Checked, account_id: int, name: str) -> list[int]:
    """The ids, each once; one that is none of the account's is refused."""
    asked = list(dict.fromkeys(read.values.get(name) or []))
    rows = _TARGETS[name]._default_manager.filter(account_id=account_id, pk__in=asked)
    if name == "sequence_ids":
        rows = rows.filter(deleted_at=None)
    known = set(rows.values_list("pk", flat=True))
    for n, pk in enumerate(asked):
        if pk not in known:
            noun = name.removesuffix("_ids")
            read.refuse(f"{name}[{n}]", f"{name}[{n}] names no {noun} of this account")
    return asked


@transaction.atomic
def run(import_: Import, now: datetime) -> Import:
    """ready → running. Custom fields that are new are made now. Once more changes nothing. Raises Conflict."""
    row = files.locked(import_)
    if row.state == Import.State.RUNNING:
        return row
    if row.state != Import.State.READY:
        raise Conflict(_NOT_READY.get(row.state, "It has ended"))
    targets = [Target.of(one) for one in row.columns]
    new = [one.label for one in targets if one.kind == "new_field"]
    if new:
        given = [{"label": label} for label in new]
        made = iter(fields.create_all(row.account_id, given, now, cause=causes.imported(row.pk)))
        targets = [_field(next(made)) if one.kind == "new_field" else one for one in targets]
        row.columns = [one.kept() for one in targets]
    row.state, row.run_at = Import.State.RUNNING, now
    row.save(update_fields=["state", "run_at", "columns"])
    wake.worker()
    return row


_NOT_READY: Mapping[str, str] = {
    Import.State.UPLOADING: "The file has not come whole yet",
    Import.State.UPLOADED: "Say first what its columns are",
    Import.State.READING: "It is not known yet what it would do",
    Import.State.UNDOING: "It is being undone",
}


def _field(made: Any) -> Target:
    if isinstance(made, Invalid):
        raise made
    return Target("field", made.pk)


@transaction.atomic
def cancel(import_: Import, now: datetime) -> Import:
    """Until it is done: what it has done stays, and can be undone. Once more changes nothing. Raises Conflict."""
    row = files.locked(import_)
    if row.state == Import.State.CANCELLED:
        return row
    if row.state not in _UNDER_WAY:
        raise Conflict("It has ended")
    row.state, row.ended_at = Import.State.CANCELLED, now
    row.save(update_fields=["state", "ended_at"])
    wake.worker()
    return row


def why_no_undo(import_: Import) -> str:
    """A sentence; "": it can be undone."""
    if import_.state == Import.State.UNDONE:
        return "It was undone already"
    if import_.state == Import.State.UNDOING:
        return "It is being undone"
    if import_.run_at is None or import_.ended_at is None:
        return "It has not ended yet" if import_.ended_at is None else "It has done nothing"
    if import_.is_forgotten:
        return "It is too long ago: what is needed to undo it is not kept any more"
    if undoing.was_mailed(import_):
        return "Somebody has been mailed because of it"
    return ""


@transaction.atomic
def undo(import_: Import, now: datetime) -> Import:
    """done, cancelled or failed after it had begun → undoing, which a worker does. Once more changes nothing. Raises
    Conflict with the sentence."""
    row = files.locked(import_)
    if row.state in (Import.State.UNDOING, Import.State.UNDONE):
        return row
    if why := why_no_undo(row):
        raise Conflict(why)
    row.state, row.n_stumbles = Import.State.UNDOING, 0
    row.save(update_fields=["state", "n_stumbles"])
    wake.worker()
    return row


@transaction.atomic
def delete(import_: Import) -> None:
    """It is forgotten, with its file, its report and whose word the consent was; what it did stays. Raises Conflict
    while a worker is at it, or has rows of it to clear away."""
    row = files.locked(import_)
    if row.state in Import.WORKING or (row.is_staged and row.read_to > 0):
        raise Conflict("It is under way: cancel it, and delete it a moment later")
    if row.run_at is not None:
        raise Conflict("It has brought people in, and says who gave their word for them: it is kept")
    Piece.objects.filter(of_import_id=row.pk).delete()
    Rejected.objects.filter(of_import_id=row.pk).delete()
    row.delete()


def rejected(import_: Import) -> Iterator[bytes]:
    """A CSV file in UTF-8: the rows that were not taken, as they were, with `Problem` as the last column. It can be
    imported again once it is mended. Formulas are guarded against as in every export."""
    n_columns = len(import_.columns)
    titles = import_.header or [f"Column {n}" for n in range(1, n_columns + 1)]
    line = csv.writer(_Echo()).writerow
    yield ("\ufeff" + str(line([*map(_guarded, titles), PROBLEM]))).encode()
    rows = Rejected.objects.filter(of_import_id=import_.pk).order_by("number").values_list("cells", "reason")
    for cells, reason in rows.iterator(chunk_size=1_000):
        texts = [_guarded(cell) for cell in json.loads(cells)]
        texts += [""] * (n_columns - len(texts))
        yield str(line([*texts, reason])).encode("utf-8", "replace")


class _Echo:
    """What the writer writes is the line itself."""

    def write(self, line: str) -> str:
        return line


def _guarded(text: str) -> str:
    text = text.replace("\0", "\ufffd")
    return f"'{text}" if text.startswith(FORMULAS) else text
