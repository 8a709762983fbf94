"""Forms: how people come in from a page."""

import secrets
from datetime import datetime

from django.db import transaction

from dripstone.events import types
from dripstone.events.causes import Cause
from dripstone.events.record import event, record
from dripstone.given import Checked, Given
from dripstone.subscribers.models import Form, FormSubscription, Subscriber, lock_person

MAX_REFERRER = 8_192  # characters; what browsers and servers agree on for an address
FORMATS = ("inline", "modal", "slide in", "sticky bar")  # of an embedded form


def create(account_id: int, given: Given, now: datetime) -> Form:
    """given   `name`; `type` (an embedded form unless it says otherwise) and `format`. Raises Invalid."""
    read = Checked(given, required=("name",))
    read.name("name")
    read.choice("type", Form.Type.values)
    read.choice_or_null("format", FORMATS)
    return Form.objects.create(account_id=account_id, uid=secrets.token_hex(5), created_at=now, **read.sound())


def read_entry(read: Checked) -> None:
    """Checks what is given about a person who comes in: `referrer`, the page they came from."""
    read.text_or_null("referrer", MAX_REFERRER)


@transaction.atomic
def add(form: Form, person: Subscriber, given: Given, now: datetime, *, cause: Cause) -> tuple[FormSubscription, bool]:
    """Their place on the form, and whether it is new. The first `referrer` stays. Raises Invalid."""
    read = Checked(given)
    read_entry(read)
    referrer = read.sound().get("referrer")
    lock_person(person)
    subscription, is_new = FormSubscription.objects.get_or_create(
        form=form, subscriber=person, defaults={"referrer": referrer or None, "added_at": now}
    )
    if is_new:
        kind, account_id = types.SUBSCRIBED_TO_FORM, form.account_id
        record([event(kind, account_id, now, cause=cause, subscriber_id=person.pk, subject_id=form.pk)])
    return subscription, is_new
