"""Forgets people in what bulk calls could not do, and in what their callbacks are going to say: numbers stay.

In the transaction in which they go (forget.py). What has become a call by then is that of calls/forget.py.
A crash here means nothing was changed.
"""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.db import connection

from dripstone.given import plain_address

# Purpose: failures that may name one of them: by number, or by an address that is theirs, or might be in another
# spelling. All that the account's jobs have left in 30 days are read, by bulk_job_of_account and bulk_failure_of_job:
# some hundred thousand a second. The numbers are compared as texts: anybody may have sent one of 400 digits.
_FAILURES = r"""
SELECT f.id, f.answer
FROM bulk_job j JOIN bulk_failure f ON f.job_id = j.id
WHERE j.account_id = %(account)s AND j.n_failed > 0
  AND CASE j.operation
      WHEN 'create_subscribers' THEN
          rtrim(lower(btrim(f.answer::json #>> '{subscriber,email_address}')), '.') = ANY(%(addresses)s)
          OR f.answer ~ '[^\x01-\x7f]|[xX][nN]--'
      WHEN 'write_custom_field_values' THEN
          f.answer::json #>> '{custom_field_value,subscriber_id}' = ANY(%(people)s::text[])
      WHEN 'add_subscribers_to_forms' THEN
          f.answer::json #>> '{subscription,subscriber_id}' = ANY(%(people)s::text[])
      ELSE false END
ORDER BY f.id
"""
# Purpose: what callbacks of jobs that have not ended will say of them. All such batches of the account: 64 MB a job.
_ANSWERS = """
SELECT b.id, b.answers
FROM bulk_job j JOIN bulk_batch b ON b.job_id = j.id
WHERE j.account_id = %(account)s AND j.ended_at IS NULL AND b.answers <> ''
  AND j.operation IN ('create_subscribers', 'write_custom_field_values', 'tag_subscribers', 'add_subscribers_to_forms')
  AND EXISTS (SELECT FROM json_array_elements(('[' || b.answers || ']')::json) one
              WHERE coalesce(one ->> 'subscriber_id', one ->> 'id') = ANY(%(people)s::text[]))
ORDER BY b.id
"""
_WRITE_FAILURES = """
UPDATE bulk_failure f SET answer = kept.text
FROM unnest(%(ids)s::bigint[], %(texts)s::text[]) AS kept (id, text) WHERE f.id = kept.id
"""
_WRITE_ANSWERS = """
UPDATE bulk_batch b SET answers = kept.text
FROM unnest(%(ids)s::bigint[], %(texts)s::text[]) AS kept (id, text) WHERE b.id = kept.id
"""

IsTheirs = Callable[[Mapping[str, Any]], bool]


def hold(account_id: int) -> None:
    """Until the end of the transaction. Whoever makes a call of what was kept holds it as well: either the call has
    forgotten them, or it is there when calls forget."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"bulk answers {account_id}"])


def people(account_id: int, addresses: Mapping[int, str]) -> int:
    """addresses   by id of the person

    Returns in how many rows.
    """
    is_theirs = _whether_theirs(addresses.keys(), frozenset(addresses.values()))
    values: dict[str, Any] = {"account": account_id, "people": list(addresses), "addresses": list(addresses.values())}
    hold(account_id)
    n_rows = 0
    for find, write, forget in (
        (_FAILURES, _WRITE_FAILURES, _failure_without),
        (_ANSWERS, _WRITE_ANSWERS, _answers_without),
    ):
        with connection.cursor() as cursor:
            cursor.execute(find, values)
            bare = {pk: text for pk, before in cursor.fetchall() if (text := forget(before, is_theirs)) != before}
            if bare:
                cursor.execute(write, {"ids": list(bare), "texts": list(bare.values())})
        n_rows += len(bare)
    return n_rows


def _whether_theirs(ids: Collection[int], addresses: Collection[str]) -> IsTheirs:
    def is_theirs(shown: Mapping[str, Any]) -> bool:
        number = shown.get("subscriber_id", shown.get("id"))
        address = shown.get("email_address")
        return number in ids or (isinstance(address, str) and plain_address(address) in addresses)

    return is_theirs


def _failure_without(text: str, is_theirs: IsTheirs) -> str:
    """`errors` are ours and quote nothing."""
    failure = json.loads(text)
    shown = {name: _bare(one, is_theirs) for name, one in failure.items() if name != "errors"}
    return _text({**failure, **shown})


def _answers_without(text: str, is_theirs: IsTheirs) -> str:
    return ",".join(_text(_bare(one, is_theirs)) for one in json.loads(f"[{text}]"))


def _bare(shown: Mapping[str, Any], is_theirs: IsTheirs) -> Mapping[str, Any]:
    if not is_theirs(shown):
        return shown
    return {name: value if isinstance(value, int) else None for name, value in shown.items()}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
