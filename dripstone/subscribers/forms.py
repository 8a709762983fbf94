"""Forms: how people come in from a page."""

import secrets
from datetime import datetime

from django.db import transaction

from dripstone.events import types
from dripstone.events.causes import Cause
from dripstone.events.record import event, record
from dripstone.subscribers.models import Form, FormSubscription, Subscriber, lock_person


def create(
    account_id: int, name: str, now: datetime, *, type: str = Form.Type.EMBED, format: str | None = None
) -> Form:
    return Form.objects.create(
        account_id=account_id, name=name, type=type, format=format, uid=secrets.token_hex(5), created_at=now
    )


@transaction.atomic
def add(
    form: Form, person: Subscriber, referrer: str | None, now: datetime, *, cause: Cause
) -> tuple[FormSubscription, bool]:
    """Their place on the form, and whether it is new. The first referrer stays."""
    lock_person(person)
    subscription, is_new = FormSubscription.objects.get_or_create(
        form=form, subscriber=person, defaults={"referrer": referrer or None, "added_at": now}
    )
    if is_new:
        kind, account_id = types.SUBSCRIBED_TO_FORM, form.account_id
        record([event(kind, account_id, now, cause=cause, subscriber_id=person.pk, subject_id=form.pk)])
    return subscription, is_new
