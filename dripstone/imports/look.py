"""What a file looks like before anybody has said what its columns mean."""

from dataclasses import dataclass

from dripstone.imports.models import Import

ROWS = 20


@dataclass(frozen=True, slots=True)
class Target:
    """Where a column goes.

    kind   "email", "first_name", "field" (`field_id`), "new_field" (`label`), "tags", "created_at" or "skip"
    """

    kind: str
    field_id: int | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """title   of the header; "" where there is none, or it is blank"""

    title: str
    target: Target


@dataclass(frozen=True, slots=True)
class Look:
    """rows   the first ones, without the header, as they will be: each with a text per column, at most 200 characters"""

    encoding: str
    separator: str
    has_header: bool
    columns: list[Column]
    rows: list[list[str]]


def look(
    import_: Import, *, encoding: str | None = None, separator: str | None = None, has_header: bool | None = None
) -> Look:
    """Guessed, or as told. Raises Conflict before the file has come, Invalid when it cannot be read so."""
    raise NotImplementedError
