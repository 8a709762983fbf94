"""Forgets a person in what was, or is to be, told of them: ids stay, which say nothing without them.

In the transaction in which the person goes (engine/acts/forget.py). A call that still waits goes without them.
"""

import json
from typing import Any

from django.db import connection

# Purpose: the calls that tell of a person. All of an account's, by calls_call_of_receiver: some hundred thousand a
# second, of 30 days at most. Of callbacks, whose bodies are others' affair, those too that have the address in
# them. A rule's call about somebody is all about them, in words of its owner's: nothing of it stays.
_OF_PERSON = """
SELECT c.id, c.body, r.kind = 'callback' AND %(person)s = ANY(c.subscriber_ids)
FROM calls_call c JOIN calls_receiver r ON r.id = c.receiver_id
WHERE r.account_id = %(account)s
  AND (%(person)s = ANY(c.subscriber_ids)
       OR (r.kind = 'callback' AND position(convert_to(%(address)s, 'UTF8') IN c.body) > 0))
ORDER BY c.id FOR NO KEY UPDATE OF c
"""
_WRITE = """
UPDATE calls_call c SET body = kept.body, subscriber_ids = array_remove(c.subscriber_ids, %(person)s)
FROM unnest(%(calls)s::bigint[], %(bodies)s::bytea[]) AS kept (id, body) WHERE c.id = kept.id
"""
_ANSWERS = "UPDATE calls_attempt SET answer = '' WHERE call_id = ANY(%(calls)s) AND answer <> ''"


def person(account_id: int, subscriber_id: int, email_address: str) -> int:
    """Returns in how many calls."""
    of_person: dict[str, Any] = {"account": account_id, "person": subscriber_id, "address": email_address}
    with connection.cursor() as cursor:
        cursor.execute(_OF_PERSON, of_person)
        rows = cursor.fetchall()
        if rows:
            nothing = json.dumps({"subscriber": {"id": subscriber_id}}, separators=(",", ":")).encode()
            bodies = [nothing if is_theirs else _without(bytes(body), email_address) for _, body, is_theirs in rows]
            values: dict[str, Any] = {"person": subscriber_id, "calls": [pk for pk, *_ in rows], "bodies": bodies}
            cursor.execute(_WRITE, values)
            cursor.execute(_ANSWERS, values)
    return len(rows)


def _without(body: bytes, email_address: str) -> bytes:
    try:
        said = json.loads(body)
    except ValueError:
        return b"{}"
    return json.dumps(_bare(said, email_address), ensure_ascii=False, separators=(",", ":")).encode()


def _bare(value: Any, email_address: str) -> Any:
    if isinstance(value, list):
        return [_bare(one, email_address) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("email_address") == email_address:
        return {"id": value["id"]} if "id" in value else {}
    return {name: _bare(one, email_address) for name, one in value.items()}
