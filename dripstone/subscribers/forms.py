"""Forms: how people come in from a page. What a form asks, says and adds; and who is on it.

What happens when somebody signs up is in engine/acts/sign_ups.py, since it reaches into sequences and mail.
"""

import json
import secrets
from collections.abc import Callable, Collection, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from django.db import connection, transaction
from django.db.models import Q

from dripstone.events import types
from dripstone.events.causes import Cause
from dripstone.events.record import event, record
from dripstone.given import Checked, Given, is_page, unstorable
from dripstone.subscribers.models import (
    CustomField,
    Form,
    FormSubscription,
    Subscriber,
    Tag,
    WithOrigin,
    lock_person,
)

MAX_REFERRER = 8_192  # characters; what browsers and servers agree on for an address
MAX_ORIGIN = 2_000  # of a page, and
MAX_UTM = 200  # of a parameter, as a browser tells them
FORMATS = ("inline", "modal", "slide in", "sticky bar")  # of an embedded form
UTM = ("source", "medium", "campaign", "term", "content")

MAX_LINE = 255  # characters of a heading, a button, a subject
MAX_TEXT = 5_000
MAX_URL = 2_000
MAX_THINGS = 20  # tags that a form adds, sequences, fields it asks
MAX_HOURLY = 100_000
LINES = ("heading", "address_label", "name_label", "button", "confirmation_subject", "confirmation_button")
TEXTS = ("description", "confirmation_text", "thanks_text", "confirmed_text")
URLS = ("thanks_url", "confirmed_url")
IDS = ("field_ids", "tag_ids", "sequence_ids")

# What a form says where its owner has written nothing. {sender}: whom mail comes from
USUAL = {
    "heading": "Get emails from {sender}",
    "address_label": "Email address",
    "name_label": "First name",
    "button": "Sign up",
    "confirmation_subject": "Please confirm your subscription to {sender}",
    "confirmation_text": "Hello,\n\n{sender} has been asked to send emails to this address. Was that you? Then please"
    " confirm it:",
    "confirmation_button": "Confirm my subscription",
    "thanks_text": "Thank you. Look into your mailbox: if one more click is needed, the mail with it is on its way.",
    "confirmed_text": "You are subscribed. You can close this page.",
}


def said(form: Form | None, name: str, sender: str) -> str:
    """A text of the form's, or the usual one. None: no form asks, the API does"""
    return (getattr(form, name) if form else "") or USUAL[name].format(sender=sender)


# --- The form -----------------------------------------------------------------------------------------------------


def create(account_id: int, given: Given, now: datetime, *, sequence_ids: Collection[int] = frozenset()) -> Form:
    """given   `name`; `type` (an embedded form unless it says otherwise), `format`, and what `update` takes
    sequence_ids   the account's sequences, which this package cannot see

    Raises Invalid with every problem.
    """
    form = Form(account_id=account_id, uid=secrets.token_hex(5), created_at=now)
    _set(form, _sound(form, given, sequence_ids, required=("name",)))
    form.save()
    return form


def update(form: Form, given: Given, *, sequence_ids: Collection[int]) -> Form:
    """given   any member; ids that the form has already may be written back, whether they still exist or not

    Raises Invalid with every problem.
    """
    values = _sound(form, given, sequence_ids)
    _set(form, values)
    form.save(update_fields=list(values))
    return form


def trial(form: Form, given: Given, *, sequence_ids: Collection[int]) -> Form:
    """The form as it would be, not saved. Raises Invalid."""
    changed = copy(form)
    _set(changed, _sound(form, given, sequence_ids))
    return changed


def _set(form: Form, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(form, name, value)


def _sound(form: Form, given: Given, sequence_ids: Collection[int], required: Collection[str] = ()) -> dict[str, Any]:
    read = Checked(given, required=required)
    read.name("name")
    read.choice("type", Form.Type.values)
    read.choice_or_null("format", FORMATS)
    read.choice("status", Form.Status.values)
    read.choice("opt_in", Form.OptIn.values)
    for name in LINES:
        _text(read, name, MAX_LINE)
    for name in TEXTS:
        _text(read, name, MAX_TEXT)
    for name in URLS:
        _url(read, name)
    for name in ("is_plain", "asks_first_name"):
        read.flag(name)
    read.whole_number("hourly_limit", 1, MAX_HOURLY)
    own = {"field_ids": _ids_of(CustomField, form), "tag_ids": _ids_of(Tag, form)}
    own["sequence_ids"] = lambda asked: asked & set(sequence_ids)
    for name in IDS:
        _ids(read, form, name, own[name])
    return read.sound()


def _text(read: Checked, name: str, most: int) -> None:
    """null and blanks are the usual text."""
    read.text_or_null(name, most)
    if name in read.values:
        read.values[name] = (read.values[name] or "").strip()
        if name in LINES and "\n" in read.values[name]:
            read.wrong(name, "must be one line")


def _url(read: Checked, name: str) -> None:
    _text(read, name, MAX_URL)
    if (url := read.values.get(name)) and not is_page(url):
        read.wrong(name, "must be the address of a page, such as https://example.com/thanks")


def _ids(read: Checked, form: Form, name: str, known: Callable[[set[int]], set[int]]) -> None:
    read.ids_or_null(name)
    if name not in read.values:
        return
    ids = list(dict.fromkeys(read.values[name] or []))
    if len(ids) > MAX_THINGS:
        read.wrong(name, f"can't have more than {MAX_THINGS} entries")
    else:
        existing = known(set(ids)) | set(getattr(form, name))
        for pk in ids:
            if pk not in existing:
                read.refuse(name, f"{name}: {name.removesuffix('_ids')} {pk} does not exist")
    read.values[name] = ids


def _ids_of(model: type[CustomField] | type[Tag], form: Form) -> Callable[[set[int]], set[int]]:
    rows = model._default_manager.filter(account=form.account_id)
    return lambda asked: set(rows.filter(pk__in=asked).values_list("pk", flat=True)) if asked else set()


def set_status(form: Form, status: Form.Status) -> Form:
    """Archived and trashed forms take no sign-ups; nothing else changes, for whoever is on them."""
    Form.objects.filter(pk=form.pk).update(status=status)
    form.refresh_from_db(fields=["status"])
    return form


def is_open(form: Form) -> bool:
    return form.status == Form.Status.ACTIVE


CROWD_NOTED = timedelta(minutes=1)


def note_crowd(form: Form, now: datetime) -> None:
    """Somebody was turned away by `hourly_limit`: its owner wants to know. A row is written once a minute at most."""
    old = Q(crowded_at=None) | Q(crowded_at__lte=now - CROWD_NOTED) | Q(crowded_at__gt=now)
    Form.objects.filter(old, pk=form.pk).update(crowded_at=now)


# --- Where people came from ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
    """Of a sign-up. `utm`: by the names in UTM, those that are there."""

    referrer: str | None = None
    utm: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_page(cls, referrer: str | None) -> Self:
        """By its address alone."""
        found = utm_of(referrer)
        return cls(referrer or None, {name: value for name, value in found.items() if value})

    @classmethod
    def told(cls, referrer: str, utm: Mapping[str, str]) -> Self:
        """By a browser, or whoever says to be one. What cannot be kept is cut or left out; nobody is refused for it.

        utm   parameters that were told beside the page; those in its address count where one is missing
        """
        page = _cut(referrer, MAX_ORIGIN)
        page = page if is_page(page) else ""
        found = {name: value or "" for name, value in utm_of(page).items()}
        found |= {name: utm[name] for name in UTM if utm.get(name)}
        cut = {name: _cut(value, MAX_UTM) for name, value in found.items()}
        return cls(page or None, {name: value for name, value in cut.items() if value})

    def columns(self) -> dict[str, str | None]:
        return {"referrer": self.referrer, **{f"utm_{name}": self.utm.get(name) for name in UTM}}


def _cut(text: str, most: int) -> str:
    return "" if unstorable(text) else text.strip()[:most]


def utm_of(url: str | None) -> dict[str, str | None]:
    """`utm_source` and its like from the address of a page; None where absent. Any text will do."""
    try:
        query = parse_qs(urlsplit(url or "").query)
    except ValueError:
        query = {}
    return {name: query.get(f"utm_{name}", [None])[0] for name in UTM}


def origin_of(subscription: WithOrigin) -> Origin:
    """Rows of an earlier version have the page alone."""
    kept = {name: getattr(subscription, f"utm_{name}") for name in UTM}
    if any(kept.values()):
        return Origin(subscription.referrer, {name: value for name, value in kept.items() if value})
    return Origin.of_page(subscription.referrer)


# --- Who is on it -------------------------------------------------------------------------------------------------


def read_entry(read: Checked) -> None:
    """Checks what is given about a person who comes in: `referrer`, the page they came from."""
    read.text_or_null("referrer", MAX_REFERRER)


def read_origin(given: Given) -> Origin:
    """Of the `referrer`. Raises Invalid."""
    read = Checked(given)
    read_entry(read)
    return Origin.of_page(read.sound().get("referrer"))


def add(form: Form, person: Subscriber, given: Given, now: datetime, *, cause: Cause) -> tuple[FormSubscription, bool]:
    """Their place on the form, and whether it is new. The first `referrer` stays. Raises Invalid."""
    return join(form, person, read_origin(given), now, cause=cause)


@transaction.atomic
def join(
    form: Form, person: Subscriber, origin: Origin, now: datetime, *, cause: Cause, is_unconfirmed: bool = False
) -> tuple[FormSubscription, bool]:
    """Their place on the form, and whether they came in by this. The first origin stays.

    is_unconfirmed   they have to click first: they stand on the form, and have not come in
    """
    lock_person(person)
    row, is_new = FormSubscription.objects.get_or_create(
        form=form,
        subscriber=person,
        defaults={"added_at": now, "is_unconfirmed": is_unconfirmed, **origin.columns()},
    )
    if is_unconfirmed:
        return row, False
    if row.is_unconfirmed:
        row.is_unconfirmed, is_new = False, True
        row.save(update_fields=["is_unconfirmed"])
    if is_new:
        kind, account_id = types.SUBSCRIBED_TO_FORM, form.account_id
        record([event(kind, account_id, now, cause=cause, subscriber_id=person.pk, subject_id=form.pk)])
    return row, is_new


# Purpose: places on forms that are not there yet, in the order given. The people are locked, so nobody else makes them.
_JOIN_ALL = """
INSERT INTO subscribers_formsubscription (form_id, subscriber_id, added_at, is_unconfirmed, referrer,
                                          utm_source, utm_medium, utm_campaign, utm_term, utm_content)
SELECT form_id, subscriber_id, %(now)s, false, referrer, utm_source, utm_medium, utm_campaign, utm_term, utm_content
FROM json_to_recordset(%(asked)s) AS asked (n int, form_id bigint, subscriber_id bigint, referrer text, utm_source text,
                                            utm_medium text, utm_campaign text, utm_term text, utm_content text)
ORDER BY n
ON CONFLICT (form_id, subscriber_id) DO NOTHING RETURNING form_id, subscriber_id
"""
# Purpose: places on a form go. By form_subscription_once.
_LEAVE_ALL = """
DELETE FROM subscribers_formsubscription
WHERE form_id = %(form)s AND subscriber_id = ANY(%(people)s::bigint[]) RETURNING subscriber_id
"""
# Purpose: those who stood on a form and had to click come in without. By form_subscription_once.
_CONFIRM_ALL = """
UPDATE subscribers_formsubscription s SET is_unconfirmed = false
FROM unnest(%(forms)s::bigint[], %(people)s::bigint[]) AS asked (form_id, subscriber_id)
WHERE s.form_id = asked.form_id AND s.subscriber_id = asked.subscriber_id AND s.is_unconfirmed
RETURNING s.form_id, s.subscriber_id
"""

Pair = tuple[int, int]  # the ids of a form and of a person


def join_all(account_id: int, origins: Mapping[Pair, Origin], now: datetime, *, cause: Cause) -> set[Pair]:
    """What `join` does for one after the other, in so many statements whatever their number. In a transaction that has
    locked the people and held the forms, all the account's. Returns who came in by it."""
    asked = [
        {"n": n, "form_id": form_id, "subscriber_id": subscriber_id, **origin.columns()}
        for n, ((form_id, subscriber_id), origin) in enumerate(origins.items())
    ]
    pairs = {"forms": [form_id for form_id, _ in origins], "people": [person for _, person in origins]}
    with connection.cursor() as cursor:
        cursor.execute(_JOIN_ALL, {"asked": json.dumps(asked), "now": now})
        came_in = set(cursor.fetchall())
        cursor.execute(_CONFIRM_ALL, pairs)
        came_in |= set(cursor.fetchall())
    kind = types.SUBSCRIBED_TO_FORM
    record(
        event(kind, account_id, now, cause=cause, subscriber_id=subscriber_id, subject_id=form_id)
        for form_id, subscriber_id in origins
        if (form_id, subscriber_id) in came_in
    )
    return came_in


def leave_all(form_id: int, subscriber_ids: Collection[int]) -> set[int]:
    """These people are not on the form any more; returns those who were. In a transaction that has locked them. It is
    no event: Kit has none, and no trigger waits for it."""
    with connection.cursor() as cursor:
        cursor.execute(_LEAVE_ALL, {"form": form_id, "people": list(subscriber_ids)})
        return {pk for (pk,) in cursor.fetchall()}


def places(pairs: Collection[Pair]) -> dict[Pair, FormSubscription]:
    """Of people on forms, by form_subscription_once."""
    ids = {
        "form__in": {form_id for form_id, _ in pairs},
        "subscriber__in": {subscriber_id for _, subscriber_id in pairs},
    }
    found = {(row.form_id, row.subscriber_id): row for row in FormSubscription.objects.filter(**ids)}
    return {pair: found[pair] for pair in pairs}
