"""Between a page or call that takes a file of any size and the server before it (front/files.py), which lets it in.

    the head came → the view is asked, with what is `announced` → it says into which import: `expect`
    → the file is put away, piece by piece → the view is asked again, and finds what has `arrived`

All three stand in the request's environment, under names that no header can have.
"""

from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db import DatabaseError, connection, transaction

from dripstone.errors import Conflict, TooLarge, Unavailable
from dripstone.imports import files
from dripstone.imports.models import Import, Piece

Environ = Mapping[str, Any]

ANNOUNCED, EXPECTED, ARRIVED = "dripstone.file", "dripstone.expected_file", "dripstone.arrived_file"
OTHERWISE = "Another file came into this import at the same time, so nothing is sure of either; send it again"


class Announced(NamedTuple):
    """file_name  "" where the request does not say
    n_bytes    of the request, so in a form a little more than the file has; None when nobody said
    """

    file_name: str
    n_bytes: int | None


class Arrived(NamedTuple):
    import_id: int
    n_bytes: int


# --- For views ------------------------------------------------------------------------------------------------------


def announced(environ: Environ) -> Announced | None:
    """The file that is about to come; None: there is none."""
    found: Announced | None = environ.get(ANNOUNCED)
    return found


def expect(environ: MutableMapping[str, Any], import_: Import) -> None:
    """It may come, from its beginning. Raises Conflict when nothing is awaited, TooLarge when it can't have room."""
    begin_again(import_)
    about_to_come = announced(environ)
    if about_to_come is not None and about_to_come.n_bytes is not None:
        check_room(import_.account_id, about_to_come.n_bytes)
    environ[EXPECTED] = import_.pk


def arrived(environ: Environ) -> Arrived | None:
    """The file has come whole."""
    found: Arrived | None = environ.get(ARRIVED)
    return found


def finish(import_: Import, what: Arrived, now: datetime) -> Import:
    """Raises Invalid for an empty file, Conflict."""
    if import_.n_bytes != what.n_bytes:
        raise Conflict(OTHERWISE)
    return files.finish(import_, now)


@transaction.atomic
def begin_again(import_: Import) -> None:
    """What has come of its file is dropped. Raises Conflict when it has come whole."""
    row = files.locked(import_)
    if row.state != Import.State.UPLOADING:
        raise Conflict("The file has come whole, or is not wanted any more")
    Piece.objects.filter(of_import_id=row.pk).delete()
    row.n_pieces = row.n_bytes = import_.n_pieces = import_.n_bytes = 0
    row.save(update_fields=["n_pieces", "n_bytes"])


def check_room(account_id: int, n_bytes: int) -> None:
    """Before anything of a file is sent. Raises TooLarge."""
    if files.staged(account_id) + n_bytes > files.most_bytes():
        most = f"{files.most_bytes() // 1_000_000:,} MB"
        raise TooLarge(f"The file is too large: files that are under way can't have more than {most} together")


# --- For the server -------------------------------------------------------------------------------------------------


def expected(environ: Environ) -> int | None:
    """Into which import; None: it may not come."""
    found: int | None = environ.get(EXPECTED)
    return found


def put_away(import_id: int, number: int, piece: bytes) -> None:
    """A piece of the file, from 0. Outside of Django's requests.

    Raises what files.add raises, and Unavailable when the database is away.
    """
    try:
        import_ = files.find(import_id)
        if import_.n_pieces != number:
            raise Conflict(OTHERWISE)
        files.add(import_, number, piece)
    except DatabaseError as error:
        raise Unavailable from error
    finally:
        connection.close()  # back to the pool
