"""Which encoding and separator a file has, whether it has a header: pure.

A guess is made from the beginning of the file. Bytes that are nothing in the encoding become lone surrogates, which
PostgreSQL cannot keep: their row is rejected with a sentence about it, and its bytes are not lost to the count.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple


class Encoding(NamedTuple):
    codec: str
    errors: str  # so that what was decoded gives the same bytes again
    mark: bytes = b""  # at the beginning of the file


ENCODINGS: Mapping[str, Encoding] = {
    "utf-8": Encoding("utf-8", "surrogateescape", codecs.BOM_UTF8),
    "utf-16-le": Encoding("utf-16-le", "surrogatepass", codecs.BOM_UTF16_LE),
    "utf-16-be": Encoding("utf-16-be", "surrogatepass", codecs.BOM_UTF16_BE),
    "windows-1252": Encoding("cp1252", "surrogateescape"),
    "windows-1250": Encoding("cp1250", "surrogateescape"),
    "windows-1251": Encoding("cp1251", "surrogateescape"),
    "iso-8859-15": Encoding("iso8859-15", "surrogateescape"),
    "mac-roman": Encoding("mac-roman", "surrogateescape"),
}
SEPARATORS = (",", ";", "\t", "|")
LOOKED_AT = 100  # records, for the separator

# Excel says so in the first line, and shows it to nobody.
_SAID = re.compile(r'"?sep=(?P<separator>[,;\t|])"?\s*', re.IGNORECASE)


def encoding_of(head: bytes, *, is_whole: bool) -> str:
    """is_whole   there is no more of the file, so that a letter cannot be cut at its end"""
    for name in ("utf-8", "utf-16-le", "utf-16-be"):
        if head.startswith(ENCODINGS[name].mark):
            return name
    start = head[:4096]
    n_even, n_odd = start[0::2].count(0), start[1::2].count(0)
    if max(n_even, n_odd) > len(start) // 5:  # half of what European text has in UTF-16
        return "utf-16-le" if n_odd > n_even else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=is_whole)
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8"


def decoded(head: bytes, encoding: str) -> str:
    """The beginning of a file, without its mark; a letter that is cut at the end is left out."""
    kind = ENCODINGS[encoding]
    return codecs.getincrementaldecoder(kind.codec)(kind.errors).decode(head.removeprefix(kind.mark))


def lines_of(text: str) -> Iterator[str]:
    """With their ends: LF, CR LF, or CR."""
    return iter(io.StringIO(text, newline=""))


def said_separator(line: str) -> str:
    """`sep=;` → `;`. "": the line is none of that kind."""
    found = _SAID.fullmatch(line)
    return found["separator"] if found else ""


def separator_of(text: str) -> str:
    """The one that cuts most records into the same number of cells, more than one; then, into more of them."""
    first = next(lines_of(text), "")
    if said := said_separator(first):
        return said
    best, best_score = SEPARATORS[0], (0.0, 0)
    for separator in SEPARATORS:
        widths = Counter(len(cells) for cells in records(text, separator))
        if not widths:
            continue
        width, n = max(widths.items(), key=lambda item: (item[1], item[0]))
        score = (round(n / widths.total(), 1), width)
        if width > 1 and score > best_score:
            best, best_score = separator, score
    return best


def records(text: str, separator: str) -> list[list[str]]:
    """The first ones, without empty lines; as far as they can be read."""
    found: list[list[str]] = []
    try:
        for cells in csv.reader(lines_of(text), delimiter=separator):
            if cells:
                found.append(cells)
            if len(found) == LOOKED_AT:
                break
    except csv.Error:  # a quote that is never closed
        pass
    return found


def has_header(rows: Iterable[list[str]]) -> bool:
    """Whether the first of them names the columns: nothing in it is an address, and something in the others is; or
    there are no others."""
    first, *others = [*rows][:LOOKED_AT] or [[]]
    return not any("@" in cell for cell in first) and (not others or any("@" in cell for row in others for cell in row))
