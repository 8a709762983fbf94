"""The objects that the request examples of Kit's API pages name, under the ids they have there.

No email is due here: the sequences are empty, hold drafts, or have no people in them.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.core.management.color import no_style
from django.db import connection
from django.db.models import Model

from dripstone.accounts import brand
from dripstone.accounts.models import Account, SendingAddress
from dripstone.calls import secrets
from dripstone.calls.models import Receiver
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.engine import enroll, transitions
from dripstone.events import causes
from dripstone.purchases import verbs as purchases
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers import fields, locations
from dripstone.subscribers.models import CustomField, Form, FormSubscription, Segment, Subscriber, Tag, Tagging
from dripstone.webhooks.models import Endpoint, Webhook

THEN = datetime(2023, 2, 17, 11, 43, 55, tzinfo=UTC)  # the instant of Kit's examples; their date filters lie around it
REFERRER = (
    "https://mywebsite.com/bfpromo/?utm_source=facebook&utm_medium=cpc&utm_campaign=black_friday"
    "&utm_term=car_owners&utm_content=get_10_off"
)
PAIR = {"created_at": THEN, "updated_at": THEN}

ADDRESSES = ["joe29@ck.lol", "joe927@ck.lol", "joe1150@ck.lol", "joe1180@ck.lol"]

FIELDS = {
    29: "Last name",
    30: "Birthday",
    31: "Source",
    32: "Role",
    33: "Company",
    34: "Postal code",
    35: "Website",
    36: "Social media",
    37: "How did you hear about us?",
    38: "Interests",
    39: "Phone number",
    40: "Enrolled in coaching",
    41: "Lead score",
    42: "Category",
    43: "Coupon",
    50: "Old customer number",  # the one the examples delete: no other example may need it
}
CATEGORY = "42"  # as a person's row names the field

TEMPLATES = {11: "Classic", 38: "Modern", 40: "Text only"}

TEMPLATE_HTML = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"></head>
<body style="margin: 0 auto; max-width: 600px; padding: 24px; font-family: Helvetica, Arial, sans-serif">
{{ message_content }}
<p style="color: #6b7280; font-size: 13px">{{ address }}<br>{{ unsubscribe_link }}</p>
</body>
</html>
"""

TAGS = {
    2: "Customer",
    3: "Lapsed customer",
    4: "Partner",
    46: "Signed up at the fair",
    140: "Webinar guest",
    141: "Early reader",
    170: "Spring launch",
    218: "Beta tester",
    241: "Asked for a demo",
    262: "Trial",
    284: "Waiting list",
}

FORMS = {248: "Black Friday", 287: "Footer sign-up", 311: "Launch list"}

SEGMENTS = {74: ("Customers who came back", [3]), 75: ("Customers", [2])}  # name, ids of tags

SEQUENCES = {
    24: "Welcome sequence",
    29: "Onboarding",
    30: "Product tour",
    49: "Win-back",
    61: "Spring series",
    82: "Old newsletter",
    110: "Getting started",
    133: "Welcome letters",
    158: "Tips and tricks",
    198: "After the webinar",
    222: "Retired course",
    269: "Evergreen sequence",
    307: "Customer stories",
    338: "Monthly digest",
}

# email id: (sequence id, subject, published). Published ones stand in sequences with nobody in them.
EMAILS = {
    6: (110, "Welcome to the series", True),
    7: (110, "Your first project", True),
    29: (133, "Welcome email", True),
    30: (158, "The shortcut nobody knows", False),
    79: (198, "Questions from the webinar", False),
    103: (222, "What we used to say", False),
    104: (307, "How a bakery fills its mornings", False),
    105: (338, "This month in short", False),
}

SNIPPETS = {25: ("Welcome message", "Hello {{ subscriber.first_name }}"), 60: ("Fact of the Day", "Did you know?")}

ENDPOINTS = {17: "Shop", 48: "Dashboard", 57: "Old dashboard", 78: "Chat", 95: "Ledger"}
WEBHOOKS = {31: "subscriber.subscriber_activate"}

PEOPLE = {
    **{204 + n: f"subscriber{90 + n}@kit.dev" for n in range(3)},
    340: "akira@convertkit.dev",
    348: "benito@convertkit.dev",
    391: "alice@convertkit.dev",
    **{678 + n: f"subscriber{357 + n}@kit.dev" for n in range(3)},
    772: "camille@convertkit.dev",
    **{921 + n: f"subscriber{492 + n}@kit.dev" for n in range(3)},
    1012: "elliot@convertkit.dev",
    1105: "jamal@convertkit.dev",
    1133: "keiko@convertkit.dev",
    1137: "fatima@convertkit.dev",
    **{1138 + n: f"subscriber{632 + n}@kit.dev" for n in range(3)},
    1258: "gideon@convertkit.dev",
    1301: "hanna@convertkit.dev",
}

PURCHASE = {
    "email_address": "alice@convertkit.dev",
    "transaction_id": "512-41-4101",
    "status": "paid",
    "subtotal": 5.0,
    "tax": 0.0,
    "shipping": 0,
    "discount": 0.0,
    "total": 5.0,
    "currency": "USD",
    "transaction_time": "2023-02-17T11:43:55Z",
    "products": [
        {"name": "Tip", "pid": "111-75-7524", "lid": "000-13-0000", "quantity": 1, "unit_price": 5.0, "sku": None}
    ],
}
PURCHASE_ID = 15
LOCATED = 1133
LOCATION = {"city": "Boise", "state_province": "Idaho", "country_code": "US", "latitude": 43.62, "longitude": -116.2,
            "timezone": "America/Denver"}  # fmt: skip
PROFILE = {
    "name": "A Creator's Journey",
    "byline": "A Creator",
    "bio": "Follow my Journey as a Creator",
    "image_url": "https://convertkit.dev/image.jpg?fit=crop&h=320&w=320",
    "profile_url": "https://kit-greetings.kit.com/profile",
}
COLORS = ["#008000", "#FF0000"]

ON_FORM = {248: [678, 679, 680]}
IN_SEQUENCE = {269: [921, 922, 923]}
TAGGED = {2: [340, 391], 140: [1137], 141: [1137], 170: [1138, 1139, 1140], 262: [1301], 284: [391]}


def load(account: Account) -> None:
    """Everything above, as rows of this account. Ids given to others later follow on the highest."""
    addresses = [SendingAddress(account=account, email_address=each, created_at=THEN) for each in ADDRESSES]
    SendingAddress.objects.bulk_create(addresses)
    CustomField.objects.bulk_create(_fields(account))
    EmailTemplate.objects.bulk_create(_templates(account))
    Snippet.objects.bulk_create(_snippets(account))
    Tag.objects.bulk_create(Tag(id=pk, account=account, name=name, created_at=THEN) for pk, name in TAGS.items())
    Form.objects.bulk_create(_forms(account))
    Segment.objects.bulk_create(_segments(account))
    Subscriber.objects.bulk_create(_people(account))
    _sequences(account)
    _belongings()
    brand.set_colors(account, {"colors": COLORS})
    brand.write_profile(account, PROFILE)
    _purchase(account)
    _receivers(account)
    counted = [CustomField, EmailTemplate, Snippet, Tag, Form, Segment, Subscriber, Sequence, SequenceEmail, Receiver]
    _count_on_from(counted)


def _receivers(account: Account) -> None:
    """Switched off: the demo calls nobody."""
    off = {"account": account, "off": Receiver.WhyOff.OWNER, "off_at": THEN, "created_at": THEN, "listens_after": 0}
    signed = {
        "kind": Receiver.Kind.ENDPOINT,
        "url": "https://hooks.example.com/incoming",
        "events": ["subscriber.created"],
    }
    for pk, name in ENDPOINTS.items():
        Endpoint.objects.create(pk=pk, name=name, secret=secrets.sealed(secrets.make()), **signed, **off)
    for pk, event in WEBHOOKS.items():
        Webhook.objects.create(
            pk=pk, kind=Receiver.Kind.WEBHOOK, url="https://example.convertkit.dev/", event=event, **off
        )


def _fields(account: Account) -> Iterable[CustomField]:
    for pk, label in FIELDS.items():
        key = fields.key_for(label)
        name = f"ck_field_{pk}_{key}"
        yield CustomField(id=pk, account=account, label=label, key=key, name=name, created_at=THEN)


def _templates(account: Account) -> Iterable[EmailTemplate]:
    for pk, name in TEMPLATES.items():
        yield EmailTemplate(id=pk, account=account, name=name, html=TEMPLATE_HTML, **PAIR)


def _snippets(account: Account) -> Iterable[Snippet]:
    for pk, (name, content) in SNIPPETS.items():
        key = name.lower().replace(" ", "-")
        kind = Snippet.Type.INLINE
        yield Snippet(id=pk, account=account, name=name, key=key, snippet_type=kind, content=content, **PAIR)


def _forms(account: Account) -> Iterable[Form]:
    for pk, name in FORMS.items():
        yield Form(id=pk, account=account, name=name, format="inline", uid=f"f049e3d{pk}", created_at=THEN)


def _segments(account: Account) -> Iterable[Segment]:
    for pk, (name, tag_ids) in SEGMENTS.items():
        saved = {"match": "all", "conditions": [{"type": "tag", "operator": "in", "ids": tag_ids}]}
        yield Segment(id=pk, account=account, name=name, filter=saved, created_at=THEN)


def _people(account: Account) -> Iterable[Subscriber]:
    for pk, address in PEOPLE.items():
        local = address.partition("@")[0]
        is_named = address.endswith("@convertkit.dev")
        yield Subscriber(
            id=pk,
            account=account,
            email_address=address,
            first_name=local.capitalize() if is_named else None,
            fields={CATEGORY: "One"} if pk % 3 == 0 else {},
            **PAIR,
        )


def _sequences(account: Account) -> None:
    sender = account.sending_addresses.get(is_default=True)
    Sequence.objects.bulk_create(
        Sequence(
            id=pk,
            account=account,
            name=name,
            sending_address=sender,
            send_hour=account.send_hour,
            time_zone=account.time_zone,
            **PAIR,
        )
        for pk, name in SEQUENCES.items()
    )
    SequenceEmail.objects.bulk_create(_emails(account))


def _emails(account: Account) -> Iterable[SequenceEmail]:
    positions: dict[int, int] = {}
    for pk, (sequence_id, subject, published) in EMAILS.items():
        position = positions.get(sequence_id, 0)
        positions[sequence_id] = position + 1
        values: dict[str, Any] = {"delay_value": 1, "delay_unit": "days", "published": published, **PAIR}
        yield SequenceEmail(
            id=pk,
            account=account,
            sequence_id=sequence_id,
            subject=subject,
            preview_text="Here's what to expect",
            content='<p>Hello {{ subscriber.first_name | default: "there" }}</p>',
            position=position,
            **values,
        )


def _belongings() -> None:
    """Who is on a form, has a tag, is in a sequence; and two people we may not mail, for the lists by state."""
    FormSubscription.objects.bulk_create(
        FormSubscription(form_id=form, subscriber_id=pk, referrer=REFERRER, added_at=THEN)
        for form, people in ON_FORM.items()
        for pk in people
    )
    Tagging.objects.bulk_create(
        Tagging(tag_id=tag, subscriber_id=pk, tagged_at=THEN) for tag, people in TAGGED.items() for pk in people
    )
    for sequence_id, people in IN_SEQUENCE.items():
        enroll.add(Sequence.objects.get(pk=sequence_id), people, "api", THEN)
    locations.pin(LOCATED, {"location": LOCATION}, THEN)
    transitions.bounce(205, THEN)
    transitions.cancel(206, THEN, cause=causes.SUBSCRIBER)


def _purchase(account: Account) -> None:
    """The next one gets the id that the examples name."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('purchases_purchase', 'id'), %s)", [PURCHASE_ID - 1])
    purchases.upsert(account.pk, {"purchase": PURCHASE}, THEN, source="Gumroad", cause=causes.API)


def _count_on_from(models: Iterable[type[Model]]) -> None:
    """PostgreSQL's id sequences know nothing of ids we chose."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), list(models)):
            cursor.execute(statement)
