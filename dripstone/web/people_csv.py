"""People as a CSV file, line by line: what is in memory is some hundreds of them, however many there are.

One statement with a cursor on the server, in one transaction: the file is the account as it was at one instant.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from dripstone.accounts.models import Account
from dripstone.subscribers import locations
from dripstone.subscribers.models import CustomField, Location, Subscriber

AT_A_TIME = 500  # people: a piece of the file, and a query for their tags
COLUMNS = ("email_address", "first_name", "state", "created_at", "canceled_at", "tags", "location")

# A cell that begins so is a formula to a spreadsheet, which may call a program or send what is in other cells.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for something else

# Purpose: the tags of some hundred people, in the order in which they got them. By the index on the subscriber.
_TAGS = """
SELECT tagging.subscriber_id, tag.name FROM subscribers_tagging tagging
JOIN subscribers_tag tag ON tag.id = tagging.tag_id
WHERE tagging.subscriber_id = ANY(%s::bigint[]) ORDER BY tagging.subscriber_id, tagging.id
"""


class _Echo:
    """What the writer writes is the line itself."""

    def write(self, line: str) -> str:
        return line


def pieces(account: Account, rows: QuerySet[Subscriber], *, for_spreadsheet: bool) -> Iterator[bytes]:
    """The file in UTF-8. Instants are UTC, as in the API.

    for_spreadsheet   with a mark that says it is UTF-8, and an apostrophe before what would be a formula
    """
    fields = list(CustomField.objects.filter(account=account).order_by("pk").values_list("pk", "label"))
    guard: Callable[[str], str] = guarded if for_spreadsheet else str
    line = csv.writer(_Echo()).writerow
    head = line([*COLUMNS, *(guard(label) for _, label in fields)])
    yield ((BYTE_ORDER_MARK if for_spreadsheet else "") + str(head)).encode()
    keys = [str(pk) for pk, _ in fields]
    with transaction.atomic():
        read = _read(rows)
        while people := list(islice(read, AT_A_TIME)):
            ids = [person[0] for person in people]
            tags, located = _tags(ids), locations.of(ids)
            cells = ([guard(text) for text in _cells(person, tags, located, keys)] for person in people)
            yield "".join(str(line(one)) for one in cells).encode()


def guarded(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULAS) else text


def _read(rows: QuerySet[Subscriber]) -> Iterator[tuple[Any, ...]]:
    members = ("pk", "email_address", "first_name", "state", "created_at", "canceled_at", "fields")
    yield from rows.order_by("pk").values_list(*members).iterator(chunk_size=AT_A_TIME)


def _tags(ids: list[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_TAGS, [ids])
        for pk, name in cursor.fetchall():
            found.setdefault(pk, []).append(name)
    return found


def _cells(
    person: tuple[Any, ...], tags: dict[int, list[str]], located: dict[int, Location], keys: Iterable[str]
) -> Iterator[str]:
    pk, address, first_name, state, created_at, canceled_at, fields = person
    yield from (address, first_name or "", state, _instant(created_at), _instant(canceled_at))
    yield "; ".join(tags.get(pk, ()))
    yield located[pk].in_words if pk in located else ""
    yield from (str(fields.get(key) or "") for key in keys)


def _instant(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else ""
