"""Captured mail by what somebody types: pieces of recipient and subject, or of what it says.

Recipients and subjects are looked through in a narrow table, the newest first, until enough is found: 20 ms for a
hundred thousand messages of which none fits. Texts are read from the messages when somebody first searches, for a
moment at a time, and kept. Those of TEXTS messages are looked through at a time, the newest ones, or the first ones
before or after a message; `Found.edge` says where to go on.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

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

# Purpose: those whose text has all pieces, of so many that are looked through at a time.
_BY_TEXT = """
SELECT message_id FROM senders_capturedtext
WHERE account_id = %(account)s AND message_id > %(after)s AND message_id < %(before)s {pieces}
ORDER BY message_id {order} LIMIT %(most)s
"""

# Purpose: the first message whose text is not looked through this time. By captured_of_account alone.
_EDGE = """
SELECT id FROM senders_capturedmessage WHERE account_id = %(account)s AND id > %(after)s AND id < %(before)s
ORDER BY id {order} OFFSET %(texts)s LIMIT 1
"""

# Purpose: the newest messages there whose text has not been read.
_UNREAD = """
SELECT m.id FROM senders_capturedmessage m
WHERE m.account_id = %(account)s AND m.id > %(after)s AND m.id < %(before)s
AND NOT EXISTS (SELECT FROM senders_capturedtext t WHERE t.account_id = %(account)s AND t.message_id = m.id)
ORDER BY m.id DESC LIMIT %(most)s
"""
_KEEP = """
INSERT INTO senders_capturedtext (account_id, message_id, text)
SELECT m.account_id, m.id, dripstone_folded(u.text)
FROM unnest(%(ids)s::bigint[], %(texts)s::text[]) AS u (id, text)
JOIN senders_capturedmessage m ON m.id = u.id FOR SHARE OF m
ON CONFLICT DO NOTHING
"""


class Span(NamedTuple):
    """Messages between two, without them."""

    account: int
    after: int = 0
    before: int = 2**63 - 1


class Found(NamedTuple):
    """edge   the first message whose text was not looked through, in the direction in which was looked"""

    ids: list[int]  # the newest first; with `after`, the oldest first
    has_read_all: bool = True  # the text of every message that is looked through
    edge: int | None = None


def messages(
    account_id: int,
    typed: str,
    most: int,
    *,
    in_texts: bool = True,
    before: int | None = None,
    after: int | None = None,
    patience: float = PATIENCE,
) -> Found:
    """At most so many messages that have every piece of what was typed, in their head or in their text.

    in_texts       False: in their heads alone
    before, after  only messages with a lower, a higher id
    patience       seconds in which texts may be read first; 0: only what is read already is looked through
    """
    pieces = _pieces(typed)
    if not pieces:
        return Found([])
    span, newest_first = Span(account_id, after or 0, before or Span(0).before), after is None
    by_head = _ids(_BY_HEAD, "head", pieces, span, most, newest_first=newest_first)
    if not in_texts:
        return Found(by_head)
    edge = _edge(span, newest_first=newest_first)
    if edge is not None:
        span = span._replace(after=edge) if newest_first else span._replace(before=edge)
    has_read_all = read_texts(span, patience) if patience else True
    by_text = _ids(_BY_TEXT, "text", pieces, span, most, newest_first=newest_first)
    return Found(sorted({*by_head, *by_text}, reverse=newest_first)[:most], has_read_all, edge)


def _edge(span: Span, *, newest_first: bool) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(_EDGE.format(order=_order(newest_first)), span._asdict() | {"texts": TEXTS})
        row = cursor.fetchone()
    return row[0] if row else None


def _pieces(typed: str) -> list[str]:
    text = typed.replace("\0", "")[:LONGEST].strip()
    if not text:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT dripstone_folded(%s)", [text])
        folded: str = cursor.fetchone()[0]
    return folded.split()[:MOST_PIECES]


def _ids(query: str, column: str, pieces: Sequence[str], span: Span, most: int, *, newest_first: bool) -> list[int]:
    named = {f"piece{number}": piece for number, piece in enumerate(pieces)}
    conditions = "".join(f" AND strpos({column}, %({name})s) > 0" for name in named)
    text = query.format(pieces=conditions, order=_order(newest_first))
    with connection.cursor() as cursor:
        cursor.execute(text, {**span._asdict(), **named, "most": most})
        return [pk for (pk,) in cursor.fetchall()]


def _order(newest_first: bool) -> str:
    return "DESC" if newest_first else "ASC"


def read_texts(span: Span, patience: float = PATIENCE) -> bool:
    """Reads what is not read yet, the newest first, for so many seconds. False: some are left."""
    ends = time.monotonic() + patience
    while ids := _unread(span):
        if time.monotonic() > ends:
            return False
        _keep_texts(ids)
        span = span._replace(before=ids[-1])
    return True


def _unread(span: Span) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_UNREAD, span._asdict() | {"most": READ_AT_A_TIME})
        return [pk for (pk,) in cursor.fetchall()]


def _keep_texts(ids: list[int]) -> None:
    rows = list(CapturedMessage.objects.filter(pk__in=ids).defer("raw"))
    said = [contents(source) for source in inbox.sources(rows)]
    texts = [(one.text or one.html or "")[:TEXT_CHARACTERS] for one in said]
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, {"ids": [row.pk for row in rows], "texts": texts})
