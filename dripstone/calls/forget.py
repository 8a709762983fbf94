"""Forgets people in what was, or is to be, told of them: ids stay, which say nothing without them.

In the transaction in which they go (engine/acts/forget.py). A call that still waits goes without them.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from django.db import connection

# Purpose: the calls that may tell of some people. All of an account's are read, by calls_call_of_receiver: some hundred
# thousand a second, of 30 days at most. Whom a callback names stands in its body alone, which is others' affair. A
# rule's call about somebody is all about them, in words of its owner's: nothing of it stays.
_ABOUT = """
SELECT c.id, r.kind = 'callback', ARRAY(SELECT one FROM unnest(c.subscriber_ids) one WHERE one = ANY(%(people)s))
FROM calls_call c JOIN calls_receiver r ON r.id = c.receiver_id
WHERE r.account_id = %(account)s
  AND (EXISTS (SELECT FROM unnest(c.subscriber_ids) one WHERE one = ANY(%(people)s))
       OR (r.kind = 'callback' AND position('@'::bytea IN c.body) > 0))
ORDER BY c.id
"""
# One at a time: a body may have 64 MB.
_LOCK = "SELECT body FROM calls_call WHERE id = %(call)s FOR NO KEY UPDATE"
_WRITE = """
UPDATE calls_call SET body = %(body)s,
    subscriber_ids = ARRAY(SELECT one FROM unnest(subscriber_ids) WITH ORDINALITY AS told (one, n)
                           WHERE NOT one = ANY(%(people)s) ORDER BY n)
WHERE id = %(call)s
"""
_ANSWERS = "UPDATE calls_attempt SET answer = '' WHERE call_id = ANY(%(calls)s) AND answer <> ''"


def people(account_id: int, addresses: Mapping[int, str]) -> int:
    """addresses   by id of the person

    Returns in how many calls.
    """
    everybody, ids = frozenset(addresses.values()), list(addresses)
    changed = []
    with connection.cursor() as cursor:
        cursor.execute(_ABOUT, {"account": account_id, "people": ids})
        for call_id, is_callback, told_of in cursor.fetchall():
            cursor.execute(_LOCK, {"call": call_id})
            before = bytes(cursor.fetchone()[0])
            after = _of_rule(told_of[0]) if is_callback and told_of else _without(before, everybody)
            if after != before or told_of:
                cursor.execute(_WRITE, {"call": call_id, "body": after, "people": ids})
                changed.append(call_id)
        if changed:
            cursor.execute(_ANSWERS, {"calls": changed})
    return len(changed)


def _of_rule(subscriber_id: int) -> bytes:
    return _json({"subscriber": {"id": subscriber_id}})


def _without(body: bytes, addresses: Collection[str]) -> bytes:
    try:
        said = json.loads(body)
    except ValueError:
        return b"{}" if any(one.encode() in body for one in addresses) else body
    bare = _bare(said, addresses)
    return body if bare == said else _json(bare)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _bare(value: Any, addresses: Collection[str]) -> Any:
    if isinstance(value, list):
        return [_bare(one, addresses) for one in value]
    if not isinstance(value, dict):
        return value
    address = value.get("email_address")
    if isinstance(address, str) and address in addresses:
        return {"id": value["id"]} if "id" in value else {}
    return {name: _bare(one, addresses) for name, one in value.items()}
