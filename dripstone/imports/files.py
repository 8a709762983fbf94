"""The bytes of a file, as they come, in the database: workers on other machines see no disk of ours.

    begin → add, add, add … → finish → (imports/verbs.py) → drop
A crash here means the last piece is there or is not: `n_pieces` says which comes next.
"""

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from dripstone.accounts.models import Account
from dripstone.errors import Conflict, Invalid, NotFound, TooLarge
from dripstone.given import unstorable
from dripstone.imports.models import Import, Piece
from dripstone.postgresql import prepared

MAX_FILE_NAME = 255

# Purpose: how much of an account's files is kept. Partial index import_of_account: an account has few imports.
_STAGED = "SELECT COALESCE(sum(n_bytes), 0) FROM imports_import WHERE account_id = %s AND is_staged"
_ADD = """
INSERT INTO imports_piece (of_import_id, number, first, data) VALUES (%(import)s, %(number)s, %(first)s, %(data)s)
"""
# Purpose: the piece that a byte is in, from there on. Primary key, backwards: pieces are about as long as each other.
_FROM = """
SELECT first, substr(data, (%(start)s - first + 1)::int) FROM imports_piece
WHERE of_import_id = %(import)s AND number >= %(number)s AND first + length(data) > %(start)s ORDER BY number LIMIT 1
"""
# Purpose: the number of the last piece that begins before a byte.
_NUMBER = """
SELECT number FROM imports_piece WHERE of_import_id = %(import)s AND first <= %(start)s ORDER BY number DESC LIMIT 1
"""


def begin(account: Account, file_name: str, asked_by: str, now: datetime) -> Import:
    """An import that waits for the first piece of its file. Raises TooLarge when there is no room for one."""
    name = file_name.strip().rpartition("/")[2].rpartition("\\")[2]
    if unstorable(name):
        name = ""
    if staged(account.pk) >= most_bytes():
        raise TooLarge(_full())
    return Import.objects.create(
        account=account, file_name=name[-MAX_FILE_NAME:] or "file.csv", asked_by=asked_by, begun_at=now
    )


def find(import_id: int) -> Import:
    """Raises NotFound."""
    found = Import.objects.filter(pk=import_id).first()
    if found is None:
        raise NotFound
    return found


@transaction.atomic
def add(import_: Import, number: int, piece: bytes) -> None:
    """The next piece; one that is there already, since its answer was lost, changes nothing.

    number   from 0
    Raises Conflict when it is not the next one, or nothing is awaited; TooLarge beyond the account's quota.
    """
    row = locked(import_)
    if row.state != Import.State.UPLOADING:
        raise Conflict("The file has come whole, or is not wanted any more")
    if number < row.n_pieces:
        return
    if number > row.n_pieces:
        raise Conflict(f"Piece {row.n_pieces} comes next")
    if not piece:
        return
    if staged(row.account_id) + len(piece) > most_bytes():
        raise TooLarge(_full())
    prepared.put(_ADD, {"import": row.pk, "number": number, "first": row.n_bytes, "data": piece})
    row.n_pieces += 1
    row.n_bytes += len(piece)
    row.save(update_fields=["n_pieces", "n_bytes"])
    import_.n_pieces, import_.n_bytes = row.n_pieces, row.n_bytes


@transaction.atomic
def finish(import_: Import, now: datetime) -> Import:
    """The file has come whole. Once more changes nothing. Raises Invalid for an empty file, Conflict."""
    row = locked(import_)
    if row.state == Import.State.UPLOADED:
        return row
    if row.state != Import.State.UPLOADING:
        raise Conflict("Another file can't be added to this import")
    if row.n_bytes == 0:
        raise Invalid.member("file", "The file is empty")
    row.state, row.uploaded_at = Import.State.UPLOADED, now
    row.save(update_fields=["state", "uploaded_at"])
    return row


@transaction.atomic
def drop(import_: Import) -> None:
    """The bytes go."""
    Piece.objects.filter(of_import_id=import_.pk).delete()


def locked(import_: Import) -> Import:
    """As it is now, until the transaction ends. Raises NotFound."""
    found = Import.objects.select_for_update(no_key=True).filter(pk=import_.pk).first()
    if found is None:
        raise NotFound
    return found


def staged(account_id: int) -> int:
    """Bytes of the account's files that are kept."""
    with connection.cursor() as cursor:
        cursor.execute(_STAGED, [account_id])
        return int(cursor.fetchone()[0])


def most_bytes() -> int:
    return int(settings.DRIPSTONE_MAX_IMPORTS_MB) * 1_000_000


def read(import_: Import, start: int) -> Iterator[bytes]:
    """Its bytes from there on, a piece at a time."""
    with connection.cursor() as cursor:
        cursor.execute(_NUMBER, {"import": import_.pk, "start": start})
        found = cursor.fetchone()
        number = found[0] if found else 0
        while start < import_.n_bytes:
            cursor.execute(_FROM, {"import": import_.pk, "start": start, "number": number})
            row = cursor.fetchone()
            if row is None:
                return
            data = bytes(row[1])
            start, number = start + len(data), number + 1
            yield data


def _full() -> str:
    return (
        f"Files of people that are under way can't have more than {settings.DRIPSTONE_MAX_IMPORTS_MB:,} MB together."
        " End or cancel another import first."
    )
