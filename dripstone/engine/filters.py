"""Who does not meet the filter of an email (R21), asked for a set of people at once: a few statements for each email.

What a condition may say stands in grammar/, who meets it in conditions/.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from dripstone.accounts.models import Account
from dripstone.conditions import matching, words
from dripstone.grammar import Condition
from dripstone.sequences.models import SequenceEmail


def of(emails: Iterable[SequenceEmail]) -> dict[int, Condition]:
    """The conditions of those that have one, by email id."""
    return {email.pk: email.filter for email in emails if email.filter is not None}


def kept_from(asked: Mapping[SequenceEmail, Collection[int]], now: datetime) -> set[tuple[int, int]]:
    """Email and subscriber id of those among the people asked about who do not meet the filter of the email as they are
    now. Emails without a filter cost nothing."""
    filtered = [email for email in asked if email.filter is not None]
    accounts = Account.objects.in_bulk({email.account_id for email in filtered}) if filtered else {}
    return {
        (email.pk, subscriber_id)
        for email in filtered
        for subscriber_id in _kept_from(email, accounts[email.account_id], asked[email], now)
    }


def _kept_from(email: SequenceEmail, account: Account, subscriber_ids: Collection[int], now: datetime) -> set[int]:
    meeting = matching(email.filter, account, now, among=subscriber_ids)
    return set(subscriber_ids).difference(meeting.values_list("pk", flat=True))


def readers(conditions: Mapping[int, Condition], account_id: int) -> dict[int, str]:
    """To whom an email with such a filter goes, by email id: `people who have the tag “VIP”`."""
    names = words.names(conditions.values(), account_id) if conditions else {}
    return {pk: f"people who {words.sentence(one, account_id, names)}" for pk, one in conditions.items()}
