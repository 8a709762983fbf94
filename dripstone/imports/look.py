"""What a file looks like before anybody has said what its columns mean."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from dripstone.errors import Conflict, Invalid
from dripstone.imports import columns, files, text
from dripstone.imports.columns import Target
from dripstone.imports.models import Import
from dripstone.imports.records import Broken, Records
from dripstone.imports.rows import text_of

ROWS = 20
CELL = 200  # characters of a cell that are shown
HEAD = 256_000  # bytes, for a guess of everything but the encoding
SCANNED = 64_000_000  # bytes: what has only ASCII so far could be in any encoding


@dataclass(frozen=True, slots=True)
class Column:
    """title   of the header; "" where there is none, or it is blank"""

    title: str
    target: Target


@dataclass(frozen=True, slots=True)
class Look:
    """rows   the first ones, without the header, as they will be: a text per column, of at most 200 characters"""

    encoding: str
    separator: str
    has_header: bool
    columns: list[Column]
    rows: list[list[str]]


def look(
    import_: Import, *, encoding: str | None = None, separator: str | None = None, has_header: bool | None = None
) -> Look:
    """Guessed, or as told; the meaning of columns as it was chosen before, if the file is read in the same way.

    Raises Conflict before the file has come and after it has gone, Invalid when it cannot be read so.
    """
    if import_.state == Import.State.UPLOADING or not import_.is_staged:
        raise Conflict("The file is not there yet" if import_.is_staged else "The file is not kept any more")
    _check(encoding, separator)
    encoding = encoding or import_.encoding or _encoding(import_)
    separator = (
        separator or (import_.separator if encoding == import_.encoding else "") or _separator(import_, encoding)
    )
    first = _first(import_, encoding, separator)
    if not first:
        raise Invalid.member("file", "There is no row in the file")
    if has_header is None:
        has_header = import_.has_header if import_.columns else _has_header(first)
    titles = [cell.strip() for cell in first[0]] if has_header else [""] * max(map(len, first))
    rows = [[(text_of(cell) or "")[:CELL] for cell in row[: len(titles)]] for row in first[has_header:]]
    rows = [row + [""] * (len(titles) - len(row)) for row in rows]
    is_known = len(import_.columns) == len(titles) and import_.header == (titles if has_header else [])
    targets = (
        [Target.of(one) for one in import_.columns] if is_known else columns.guessed(import_.account_id, titles, rows)
    )
    found = [Column(title, target) for title, target in zip(titles, targets, strict=True)]
    return Look(encoding, separator, has_header, found, rows[:ROWS])


def _has_header(rows: list[list[str]]) -> bool:
    return any(map(columns.is_address_title, rows[0])) or text.has_header(rows)


def _check(encoding: str | None, separator: str | None) -> None:
    if encoding is not None and encoding not in text.ENCODINGS:
        raise Invalid.member("encoding", f"encoding must be one of: {', '.join(text.ENCODINGS)}")
    if separator is not None and separator not in text.SEPARATORS:
        raise Invalid.member("separator", "separator must be a comma, a semicolon, a tab or |")


def _encoding(import_: Import) -> str:
    head = _head(import_)
    found = text.encoding_of(head, is_whole=len(head) == import_.n_bytes)
    if found == "utf-8" and head.isascii() and not _goes_on_in_utf8(import_):
        return "windows-1252"
    return found


def _goes_on_in_utf8(import_: Import) -> bool:
    """As far as is looked at."""
    decoder, n_seen = codecs.getincrementaldecoder("utf-8")(), 0
    for piece in files.read(import_, 0):
        try:
            decoder.decode(piece)
        except UnicodeDecodeError:
            return False
        n_seen += len(piece)
        if n_seen > SCANNED:
            break
    return True


def _separator(import_: Import, encoding: str) -> str:
    return text.separator_of(text.decoded(_head(import_), encoding))


def _head(import_: Import) -> bytes:
    head = b""
    for piece in files.read(import_, 0):
        head += piece
        if len(head) >= HEAD:
            break
    return head[:HEAD]


def _first(import_: Import, encoding: str, separator: str) -> list[list[str]]:
    """The first records that have something in them."""
    return list(islice(_full(Records(files.read(import_, 0), encoding, separator)), text.LOOKED_AT))


def _full(records: Records) -> Iterator[list[str]]:
    for n, cells in enumerate(records):
        if n > 100 * text.LOOKED_AT:  # a file of nothing
            return
        if not isinstance(cells, Broken) and any(cell.strip() for cell in cells):
            yield cells
