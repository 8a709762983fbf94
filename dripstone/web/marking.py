"""Where in a text the words stand that somebody looked for, so that a page can mark them. Pure.

What is found is for the database to say (postgresql/folded.py); this is about the eye, and folds a character at a time.
"""

import unicodedata
from collections.abc import Collection
from typing import NamedTuple

_LETTERS = {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ς": "σ",
            "ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}  # fmt: skip


class Piece(NamedTuple):
    text: str
    is_found: bool


def pieces(text: str, words: Collection[str]) -> list[Piece]:
    """The text, cut where words begin that were looked for, and behind what was typed of them."""
    folded = [_folded(character) for character in text]
    found, plain, at = [], "", 0
    while at < len(text):
        begins = at == 0 or not text[at - 1].isalnum()
        end = max((_end(folded, at, word) for word in words), default=at) if begins else at
        if end > at:
            found += [Piece(plain, False), Piece(text[at:end], True)]
            plain, at = "", end
        else:
            plain, at = plain + text[at], at + 1
    return [piece for piece in [*found, Piece(plain, False)] if piece.text]


def _end(folded: list[str], begin: int, word: str) -> int:
    """Behind the last character that the word takes, if it stands there; else where it would have begun."""
    seen, at = "", begin
    while len(seen) < len(word) and at < len(folded) and word.startswith(seen):
        seen += folded[at]
        at += 1
    while at < len(folded) and not folded[at]:  # accents that stand for themselves
        at += 1
    return at if seen.startswith(word) else begin


def _folded(character: str) -> str:
    apart = unicodedata.normalize("NFKD", character)
    return "".join(_LETTERS.get(one, one) for one in apart.lower() if not "\u0300" <= one <= "\u036f")
