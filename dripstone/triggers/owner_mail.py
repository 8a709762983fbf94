"""Mail to an account's owners: at most one for each place and minute, with how many people it tells of.

Takes       what places have to say, in the transactions that bring it about
Leaves      a notice to each owner, once a minute has passed since the place's last one
A crash here means it is still to be said: a mail is planned in the transaction that takes it from its place.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Min

from dripstone.accounts import members
from dripstone.accounts.models import Account
from dripstone.engine import notices
from dripstone.errors import Invalid
from dripstone.triggers.models import OwnerMail

log = structlog.get_logger(__name__)

A_MINUTE = timedelta(minutes=1)
AT_ONCE = 100  # places in one transaction

# Purpose: let a place have more to say. The first of those that wait gives the text; who says nothing now is due at
# once, or a minute after the last mail. By owner_mail_of_place.
_ASK = """
INSERT INTO triggers_ownermail AS mail (account_id, place, n_waiting, text, subscriber_id, due_at)
VALUES (%(account)s, %(place)s, %(n)s, %(text)s, %(person)s, %(now)s)
ON CONFLICT (account_id, place) DO UPDATE SET
    n_waiting = mail.n_waiting + EXCLUDED.n_waiting,
    text = CASE WHEN mail.due_at IS NULL THEN EXCLUDED.text ELSE mail.text END,
    subscriber_id = CASE WHEN mail.due_at IS NULL THEN EXCLUDED.subscriber_id ELSE mail.subscriber_id END,
    due_at = COALESCE(mail.due_at, GREATEST(EXCLUDED.due_at, mail.sent_at + %(minute)s))
"""


def ask(account_id: int, place: str, n_people: int, text: str, subscriber_id: int, now: datetime) -> None:
    """To be told to the owners, in the caller's transaction.

    place    "rule 7 2": the third action of rule 7
    text     as it is for this person, the first of so many
    """
    values: dict[str, Any] = {"account": account_id, "place": place, "n": n_people, "text": text}
    with connection.cursor() as cursor:
        cursor.execute(_ASK, values | {"person": subscriber_id, "now": now, "minute": A_MINUTE})


Named = Callable[[Collection[str]], Mapping[str, str]]
"""What rules and automations are called: {"rule 7": "the rule “Course page”"}; who is gone is not there."""


def send_due(now: datetime, named: Named = lambda doers: {}) -> int:
    """Plan the mails whose minute is over. Returns how many places spoke. Places that another process has just taken,
    or that are being told more, have their turn at the next call."""
    n_spoken = 0
    while n := _send_some(now, named):
        n_spoken += n
    return n_spoken


@transaction.atomic
def _send_some(now: datetime, named: Named) -> int:
    """By owner_mail_due: it holds only what waits."""
    due = OwnerMail.objects.select_for_update(skip_locked=True).filter(due_at__lte=now).order_by("due_at", "pk")
    rows = list(due[:AT_ONCE])
    accounts = Account.objects.in_bulk({row.account_id for row in rows})
    names = named({_doer(row) for row in rows}) if rows else {}
    for row in rows:
        _speak(row, accounts[row.account_id], names.get(_doer(row), _doer(row)), now)
        row.n_waiting, row.text, row.subscriber_id, row.due_at, row.sent_at = 0, "", None, None, now
    OwnerMail.objects.bulk_update(rows, ["n_waiting", "text", "subscriber_id", "due_at", "sent_at"])
    return len(rows)


def _doer(row: OwnerMail) -> str:
    """The rule or automation of the place: "rule 7"."""
    return row.place.rpartition(" ")[0]


def _speak(row: OwnerMail, account: Account, name: str, now: datetime) -> None:
    for address in members.addresses_of_owners(account):
        try:
            with transaction.atomic():
                notices.owner_mail(account, address, name, row.text, row.n_waiting, now)
        except Invalid as problem:  # an address that no mail server takes: the others are told all the same
            log.warning("owner_not_told", account_id=account.pk, place=row.place, problem=str(problem))


def next_instant(after: datetime) -> datetime | None:
    """When the next one may go, later than that; for the virtual clock."""
    found: datetime | None = OwnerMail.objects.filter(due_at__gt=after).aggregate(at=Min("due_at"))["at"]
    return found
