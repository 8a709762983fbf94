"""Two texts word by word: what stands in one and not in the other. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

SAME, GONE, NEW = "same", "gone", "new"
MOST_LINES = 4_000  # of both; beyond, nothing is looked for within
MOST_WORDS = 3_000  # of a stretch that differs; comparing takes up to the square of them

_BLOCK_END = re.compile(
    r"(</(?:p|h[1-6]|li|ul|ol|tr|table|div|blockquote)\s*>|<br\s*/?>|<(?:ul|ol|table|tr)\b[^>]*>)", re.I
)
_WORD = re.compile(r"\s+|[\w'’-]+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Piece:
    """kind   "same", "gone" (only in the text before), "new" (only in the text after)"""

    kind: str
    text: str


def words(before: str, after: str) -> list[Piece]:
    """Joined without what is new they are the text before, without what is gone the text after."""
    return list(_joined(_by_lines(before, after)))


def in_lines(html: str) -> str:
    """The same HTML, broken into lines where a block or a line of it ends and nowhere else."""
    return _BLOCK_END.sub(r"\1\n", re.sub(r"\s+", " ", html)).replace("\n ", "\n").strip()


def _by_lines(before: str, after: str) -> Iterator[Piece]:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if len(old) + len(new) > MOST_LINES:
        yield from _replaced(before, after)
        return
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield Piece(SAME, "".join(old[a:b]))
        else:
            yield from _by_words("".join(old[a:b]), "".join(new[c:d]))


def _by_words(before: str, after: str) -> Iterator[Piece]:
    old, new = _WORD.findall(before), _WORD.findall(after)
    if len(old) + len(new) > MOST_WORDS:
        yield from _replaced(before, after)
        return
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield Piece(SAME, "".join(old[a:b]))
        else:
            yield from _replaced("".join(old[a:b]), "".join(new[c:d]))


def _replaced(before: str, after: str) -> Iterator[Piece]:
    if before:
        yield Piece(GONE, before)
    if after:
        yield Piece(NEW, after)


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Neighbours of one kind are one piece."""
    kind, text = "", ""
    for piece in pieces:
        if piece.kind != kind:
            if text:
                yield Piece(kind, text)
            kind, text = piece.kind, ""
        text += piece.text
    if text:
        yield Piece(kind, text)
