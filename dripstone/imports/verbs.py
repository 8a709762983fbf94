"""What an account decides about an import: what it is to do, that it may, that it stops, that it is undone."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import QuerySet

from dripstone.given import Given
from dripstone.imports.models import Import


def of_account(account_id: int) -> QuerySet[Import]:
    return Import.objects.filter(account_id=account_id)


def choose(import_: Import, given: Given, now: datetime, *, by: str = "") -> Import:
    """uploaded, ready → reading, which a worker does.

    given   `columns`: for each column of the file an object: `target` ("email", "first_name", "field" with `field_id`,
            "new_field" with `label`, "tags", "created_at", "skip"); `encoding`, `separator`, `has_header`: guessed
            where missing; `tag_ids`, `form_ids`, `sequence_ids`; `existing`; `blanks`; `fire_rules`; `consent`: true
    by      whose word the consent is, as notes name them; who asked for the import, unless given
    Raises Invalid with every problem, by member (`columns[3].field_id`, `consent`); Conflict in another state.
    """
    raise NotImplementedError


def run(import_: Import, now: datetime) -> Import:
    """ready → running. Raises Conflict in another state."""
    raise NotImplementedError


def cancel(import_: Import, now: datetime) -> Import:
    """Until it is done: what it has done stays, and can be undone. Once more changes nothing. Raises Conflict."""
    raise NotImplementedError


def why_no_undo(import_: Import) -> str:
    """A sentence; "": it can be undone."""
    raise NotImplementedError


def undo(import_: Import, now: datetime) -> Import:
    """done, cancelled after it had begun → undoing, which a worker does. Raises Conflict with the sentence."""
    raise NotImplementedError


def delete(import_: Import) -> None:
    """It is forgotten, with its file and its report; what it did stays. Raises Conflict while a worker is at it."""
    raise NotImplementedError


def rejected(import_: Import) -> Iterator[bytes]:
    """A CSV file in UTF-8: the rows that were not taken, as they were, with `Problem` as the last column. It can be
    imported again once it is mended. Formulas are guarded against as in every export."""
    raise NotImplementedError
