"""People who are kept under another spelling of their address than the one look-ups use (given.plain_address).

There are two kinds: somebody whose mailbox is that of another person on file, which nobody can merge but the owner; and
rows that an older version wrote beside this one. For `dripstone doctor`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from django.db import connection

from dripstone.given import plain_address
from dripstone.subscribers.models import Subscriber

# What plain_address may change beside blanks and capitals, which no version has kept. Reads the whole table.
_SUSPECTS = """
SELECT id, account_id, email_address FROM subscribers_subscriber
WHERE email_address ~ '[^\\x01-\\x7f]' OR email_address LIKE '%xn--%' ORDER BY id
"""


class Misspelt(NamedTuple):
    account_id: int
    subscriber_id: int
    same_as: int | None  # the subscriber whose mailbox it is, too


def misspelt() -> Iterator[Misspelt]:
    with connection.cursor() as cursor:
        cursor.execute(_SUSPECTS)
        suspects = cursor.fetchall()
    for subscriber_id, account_id, address in suspects:
        if (plain := plain_address(address)) != address:
            others = Subscriber.objects.filter(account_id=account_id, email_address=plain)
            yield Misspelt(account_id, subscriber_id, others.values_list("pk", flat=True).first())
