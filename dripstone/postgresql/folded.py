"""Texts as they are found: without capitals, accents and punctuation, the same for what is kept and what is typed.

The database folds both (accounts/migrations/0010): `dripstone_folded` makes "lodz, street" of "Łódź, Street", and
`dripstone_words` gives its words.
"""

from typing import TypeVar

from django.db import connection
from django.db.models import Func, Model, QuerySet, TextField
from django.db.models.lookups import Regex

M = TypeVar("M", bound=Model)

LONGEST = 200  # characters of what somebody types; the rest is not looked at
MOST_WORDS = 8


# As the migration has them.
_SEPARATORS = (
    r"[\s!-/:-@\[-`{-~\u00a1\u00ab\u00ad\u00b7\u00bb\u00bf\u200b-\u206f\u2e00-\u2e7f"
    r"\u3000-\u3003\u3008-\u301f\u30fb\ufeff]"
)


class Folded(Func):
    function = "dripstone_folded"
    output_field = TextField()


def words(typed: str) -> list[str]:
    """What somebody looks for, the longest word first; nothing of a text without letters and digits."""
    text = typed.replace("\0", "")[:LONGEST]
    if not text.strip():
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT dripstone_words(%s)", [text])
        found: list[str] = cursor.fetchone()[0]
    return sorted(found, key=lambda word: (-len(word), word))[:MOST_WORDS]


def with_words(rows: QuerySet[M], field: str, looked_for: list[str]) -> QuerySet[M]:
    """Those in whose text each of the words begins a word. Reads every row, 1 µs each: for what an account has by the
    thousand."""
    return rows.filter(*(Regex(Folded(field), beginning(word)) for word in looked_for))


def beginning(word: str) -> str:
    """The regular expression that a folded text meets where the word begins one of its own."""
    return f"(^|{_SEPARATORS}){word}"


def end_of(word: str) -> str:
    """Behind every word that begins with this one, in the order of their characters."""
    return word + "\U0010ffff"
