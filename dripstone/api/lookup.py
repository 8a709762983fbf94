"""Rows by what a URL or body says of them, of the caller's account only: other people's are not found."""

from typing import TypeVar

from django.db.models import Model, QuerySet

from dripstone.errors import NotFound
from dripstone.given import plain_address
from dripstone.subscribers.models import Subscriber

M = TypeVar("M", bound=Model)


def row(rows: QuerySet[M], pk: int) -> M:
    """`row(account.tags.all(), 3)`. Raises NotFound. An id no column could hold is unknown like any other."""
    found = rows.filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


def subscriber_by_address(account_id: int, email_address: str) -> Subscriber:
    """In any case. Raises NotFound."""
    found = Subscriber.objects.filter(account_id=account_id, email_address=plain_address(email_address)).first()
    if found is None:
        raise NotFound
    return found
