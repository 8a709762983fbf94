"""The demo account of the very first start: a course under way, and the objects that Kit's own examples name.

load() is the only door. course.py has people to look at; contract.py makes every request example of Kit's API pages
work as printed, and mails nobody.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from dripstone.accounts.models import Account
from dripstone.accounts.verbs import create_account
from dripstone.ops.demo import contract, course

USER_EMAIL = "demo@dripstone.example"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """password, api_key   in plain text, here and never again
    sequence_id, subscriber_email   the course, and somebody who enters it now
    """

    account: Account
    user_email: str
    password: str
    api_key: str
    sequence_id: int
    subscriber_email: str


@transaction.atomic
def load(now: datetime) -> DemoResult | None:
    """Fill an empty database. Does nothing and returns None when there is an account.

    People who enter the course at `now` get its first email from the engine at once; no other email is due by then.
    """
    if Account.objects.exists():
        return None
    account, user, password, api_key = create_account("Dripstone Demo", USER_EMAIL, course.TIME_ZONE, now=now)
    account.postal_address = course.POSTAL_ADDRESS
    account.save(update_fields=["postal_address"])
    account.sending_addresses.update(from_name="Robin Vale")
    # The course comes second: it then has the highest ids, and lists show the newest first.
    contract.load(account)
    sequence, newcomer = course.load(account, now)
    return DemoResult(account, user.email, password, api_key, sequence.pk, newcomer.email_address)
