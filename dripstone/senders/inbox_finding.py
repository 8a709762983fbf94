"""Captured mail by what somebody types: pieces of recipient and subject, or of what it says.

Recipients and subjects are looked through in a narrow table, the newest first, until enough is found: 20 ms for a
hundred thousand messages of which none fits. Texts are read from the messages when somebody first searches, for a
moment at a time, and kept; those of the newest TEXTS messages are looked through.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connection

from dripstone.senders import inbox
from dripstone.senders.inbox_reading import contents
from dripstone.senders.models import CapturedMessage

LONGEST = 200  # characters of what somebody types
MOST_PIECES = 8
TEXTS = 5_000
TEXT_CHARACTERS = 4_000  # of each that are looked through
READ_AT_A_TIME = 20
PATIENCE = 0.03  # seconds in which texts are read before the answer

# Purpose: messages whose head has all pieces. The key of the table backwards (or forwards), until enough is found.
_BY_HEAD = """
SELECT message_id FROM senders_capturedhead
WHERE account_id = %(account)s AND message_id > %(after)s AND message_id < %(before)s {pieces}
ORDER BY message_id {order} LIMIT %(most)s
"""

# Purpose: of the newest texts, those that have all pieces.
_BY_TEXT = """
SELECT message_id FROM (
    SELECT message_id, text FROM senders_capturedtext WHERE account_id = %(account)s
    ORDER BY message_id DESC LIMIT %(texts)s) newest
WHERE message_id > %(after)s AND message_id < %(before)s {pieces}
ORDER BY message_id {order} LIMIT %(most)s
"""

# Purpose: the newest messages whose text has not been read.
_UNREAD = """
SELECT newest.id FROM (
    SELECT id FROM senders_capturedmessage WHERE account_id = %(account)s ORDER BY id DESC LIMIT %(texts)s) newest
WHERE NOT EXISTS (SELECT FROM senders_capturedtext t WHERE t.account_id = %(account)s AND t.message_id = newest.id)
ORDER BY newest.id DESC LIMIT %(most)s
"""
_KEEP = """
INSERT INTO senders_capturedtext (account_id, message_id, text)
SELECT m.account_id, m.id, dripstone_folded(u.text)
FROM unnest(%(ids)s::bigint[], %(texts)s::text[]) AS u (id, text)
JOIN senders_capturedmessage m ON m.id = u.id FOR SHARE OF m
ON CONFLICT DO NOTHING
"""


class Found(NamedTuple):
    ids: list[int]  # the newest first; with `after`, the oldest first
    has_read_all: bool  # the text of every message that is looked through


def messages(
    account_id: int,
    typed: str,
    most: int,
    *,
    in_texts: bool = True,
    before: int | None = None,
    after: int | None = None,
) -> Found:
    """At most so many messages that have every piece of what was typed, in their head or in their text.

    in_texts       False: in their heads alone
    before, after  only messages with a lower, a higher id
    """
    pieces = _pieces(typed)
    if not pieces:
        return Found([], has_read_all=True)
    has_read_all = not in_texts or read_texts(account_id)
    values = {"account": account_id, "before": before or 2**63 - 1, "after": after or 0, "most": most, "texts": TEXTS}
    newest_first = after is None
    by_head = _ids(_BY_HEAD, "head", pieces, values, newest_first=newest_first)
    by_text = _ids(_BY_TEXT, "text", pieces, values, newest_first=newest_first) if in_texts else []
    return Found(sorted({*by_head, *by_text}, reverse=newest_first)[:most], has_read_all)


def _pieces(typed: str) -> list[str]:
    text = typed.replace("\0", "")[:LONGEST].strip()
    if not text:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT dripstone_folded(%s)", [text])
        folded: str = cursor.fetchone()[0]
    return folded.split()[:MOST_PIECES]


def _ids(query: str, column: str, pieces: Sequence[str], values: dict[str, Any], *, newest_first: bool) -> list[int]:
    named = {f"piece{number}": piece for number, piece in enumerate(pieces)}
    conditions = "".join(f" AND strpos({column}, %({name})s) > 0" for name in named)
    with connection.cursor() as cursor:
        cursor.execute(query.format(pieces=conditions, order="DESC" if newest_first else "ASC"), values | named)
        return [pk for (pk,) in cursor.fetchall()]


def read_texts(account_id: int, patience: float = PATIENCE) -> bool:
    """Reads what is not read yet, the newest first, for so many seconds. False: some are left."""
    ends = time.monotonic() + patience
    while ids := _unread(account_id):
        if time.monotonic() > ends:
            return False
        _keep_texts(ids)
    return True


def _unread(account_id: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_UNREAD, {"account": account_id, "texts": TEXTS, "most": READ_AT_A_TIME})
        return [pk for (pk,) in cursor.fetchall()]


def _keep_texts(ids: list[int]) -> None:
    rows = list(CapturedMessage.objects.filter(pk__in=ids).defer("raw"))
    said = [contents(source) for source in inbox.sources(rows)]
    texts = [(one.text or one.html or "")[:TEXT_CHARACTERS] for one in said]
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, {"ids": [row.pk for row in rows], "texts": texts})
