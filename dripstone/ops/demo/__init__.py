"""The demo of the very first start: an account with a story to look at, and one with the objects that Kit's own
examples name.

load() is the only door. story.py has people and a past; contract.py makes every request example of Kit's API pages
work as printed, and mails nobody.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from dripstone.accounts import members
from dripstone.accounts.models import Account, Role
from dripstone.accounts.verbs import create_account
from dripstone.ops.demo import contract, story

EXAMPLES_EMAIL = "examples@dripstone.example"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """password, api_key, examples_key  in plain text, here and never again; the last opens the account of the examples
    sequence_id, subscriber_email       the course, and somebody who enters it now
    """

    account: Account
    user_email: str
    password: str
    api_key: str
    examples_key: str
    sequence_id: int
    subscriber_email: str


@transaction.atomic
def load(now: datetime) -> DemoResult | None:
    """Fill an empty database. Does nothing and returns None when there is an account.

    People who enter the course at `now` get its first email from the engine at once; no other email is due by then.
    """
    if Account.objects.exists():
        return None
    account, user, password, api_key = create_account("The Plain Letter", story.USER_EMAIL, story.TIME_ZONE, now=now)
    examples, examples_key = _examples(now)
    members.join(examples, user, Role.OWNER, now)
    account.postal_address = story.POSTAL_ADDRESS
    account.save(update_fields=["postal_address"])
    account.sending_addresses.update(from_name=story.SENDER)
    sequence, newcomer = story.load(account, now)
    return DemoResult(account, user.email, password, api_key, examples_key, sequence.pk, newcomer.email_address)


def _examples(now: datetime) -> tuple[Account, str]:
    """The account of Kit's examples, and its API key. Whoever looks at the demo may look at it too."""
    account, _, _, api_key = create_account("Kit's examples", EXAMPLES_EMAIL, story.TIME_ZONE, now=now)
    account.api_keys.update(has_full_access=True)
    contract.load(account)
    return account, api_key
