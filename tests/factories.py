"""Rows for tests: plain functions with keyword defaults, whose stamps fit each other."""

import itertools
from datetime import UTC, datetime
from typing import Any

from dripstone.accounts import members
from dripstone.accounts.models import Account, ApiKey, SendingAddress, User
from dripstone.accounts.verbs import create_key
from dripstone.engine import enroll
from dripstone.engine.models import Delivery, Enrollment
from dripstone.events import causes
from dripstone.oauth import applications
from dripstone.oauth.models import Application
from dripstone.purchases import verbs as purchases
from dripstone.purchases.models import Purchase
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import Subscriber, Tag, Tagging

MONDAY_9 = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # the `now` fixture
_numbers = itertools.count(1)


def make_account(name: str = "Alice", time_zone: str = "UTC", **values: Any) -> Account:
    number = next(_numbers)
    email = f"{name.lower()}{number}@example.com"
    account = Account.objects.create(
        **{
            "name": name,
            "primary_email_address": email,
            "time_zone": time_zone,
            "postal_address": "1 Long Lane, Springfield",
            "created_at": MONDAY_9,
            **values,
        }
    )
    SendingAddress.objects.create(
        account=account, email_address=email, from_name=name, is_default=True, created_at=MONDAY_9
    )
    return account


def make_user(
    account: Account, email: str | None = None, password: str = "correct horse battery", role: str = "owner"
) -> User:
    user = User(email=(email or f"user{next(_numbers)}@example.com").lower(), created_at=MONDAY_9)
    user.set_password(password)
    user.save()
    members.join(account, user, role, MONDAY_9)
    return user


def make_key(account: Account, *, has_full_access: bool = True) -> tuple[ApiKey, str]:
    return create_key(account, "test", MONDAY_9, has_full_access=has_full_access)


def make_app(account: Account, *redirect_uris: str, is_public: bool = False, name: str = "Shop") -> Application:
    """An app whose secret nobody knows."""
    given = {"name": name, "redirect_uris": list(redirect_uris or ("https://shop.example/callback",))}
    kind = "public" if is_public else "confidential"
    return applications.create(account, None, given | {"client_type": kind}, MONDAY_9)[0]


def make_subscriber(account: Account, **values: Any) -> Subscriber:
    defaults = {
        "email_address": f"reader{next(_numbers)}@example.org",
        "first_name": "Rita",
        "created_at": MONDAY_9,
        "updated_at": MONDAY_9,
    }
    return Subscriber.objects.create(account=account, **(defaults | values))


def make_tag(account: Account, *subscribers: Subscriber, name: str | None = None) -> Tag:
    tag = Tag.objects.create(account=account, name=name or f"tag {next(_numbers)}", created_at=MONDAY_9)
    Tagging.objects.bulk_create(Tagging(tag=tag, subscriber=person, tagged_at=MONDAY_9) for person in subscribers)
    return tag


def make_sequence(account: Account, *emails: dict[str, Any], **values: Any) -> Sequence:
    """`emails`: one dict per email in order of position; published, 1 day, unless it says otherwise."""
    defaults = {
        "name": "Course",
        "sending_address": account.sending_addresses.get(is_default=True),
        "send_hour": 9,
        "time_zone": account.time_zone,
        "created_at": MONDAY_9,
        "updated_at": MONDAY_9,
    }
    sequence = Sequence.objects.create(account=account, **(defaults | values))
    for position, email in enumerate(emails):
        make_email(sequence, **{"position": position, **email})
    return sequence


def make_email(sequence: Sequence, **values: Any) -> SequenceEmail:
    defaults = {
        "subject": f"Email {values['position']}",
        "content": "<p>Hello {{ subscriber.first_name }}</p>",
        "delay_value": 1,
        "delay_unit": "days",
        "published": True,
        "created_at": MONDAY_9,
        "updated_at": MONDAY_9,
    }
    return SequenceEmail.objects.create(account_id=sequence.account_id, sequence=sequence, **(defaults | values))


def make_enrollment(
    sequence: Sequence, subscriber: Subscriber, now: datetime = MONDAY_9, source: enroll.Source = "api"
) -> Enrollment:
    """By the real door: an enrollment made by hand would not be one the engine knows."""
    return enroll.add(sequence, [subscriber.pk], source, now)[subscriber.pk].enrollment


def make_broadcast(subscriber: Subscriber, **values: Any) -> Delivery:
    """A broadcast to somebody, planned and ready: made by hand, since nothing plans one yet."""
    defaults = {"account_id": subscriber.account_id, "broadcast_id": next(_numbers), "planned_at": MONDAY_9}
    status = {"status": "planned", "ready_at": None if "status" in values else MONDAY_9}
    return Delivery.objects.create(subscriber=subscriber, **(defaults | status | values))


def place_of(delivery: Delivery) -> Enrollment:
    """Of the email of a sequence."""
    assert delivery.enrollment is not None
    return delivery.enrollment


def a_purchase(**values: Any) -> dict[str, Any]:
    """As a shop tells it: one line of a course for 50 USD."""
    line = {"name": "Course", "pid": "course", "lid": "1", "quantity": 1, "unit_price": 50, "sku": "C-1"}
    amounts = {"subtotal": 50, "tax": 4.5, "shipping": 0, "discount": 0, "total": 54.5}
    defaults = {
        "email_address": "reader@example.org",
        "transaction_id": f"t-{next(_numbers)}",
        "status": "paid",
        "currency": "USD",
        "transaction_time": "2026-11-20T10:00:00Z",
        "products": [line],
    }
    return {"purchase": {**amounts, **defaults, **values}}


def make_purchase(account: Account, **values: Any) -> Purchase:
    return purchases.upsert(account.pk, a_purchase(**values), MONDAY_9, source="test", cause=causes.API)


def a_location(**values: Any) -> dict[str, Any]:
    boise = {"city": "Boise", "state_province": "Idaho", "country_code": "US", "latitude": 43.62, "longitude": -116.2}
    return {"location": {**boise, "timezone": "America/Denver", **values}}
