"""An email as one person would get it, before it is saved or sent: to look at, or as a test to users of the account.

Takes       an email of a sequence, with members that need not be saved
Leaves      nothing, or a notice for each address: it belongs to nobody's place and is in no statistics
The message is made by the code that sends (letters.py, content/compile.py), as for a delivery that does not exist.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dripstone.accounts import members
from dripstone.accounts.models import Account
from dripstone.content import gaps, trial
from dripstone.content.compile import Envelope, Person, Rendered
from dripstone.content.liquid_cost import OverBudget
from dripstone.engine import identity, letters, notices, render
from dripstone.engine.models import Delivery
from dripstone.errors import Invalid, NotFound
from dripstone.given import ABSENT, Checked, Given, as_items, plain_address
from dripstone.sequences import email_checks, verbs, versions
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import CustomField, Subscriber

MOST_ADDRESSES = 10
CLIPPED_AT = 102_400  # bytes of HTML after which Gmail hides the rest of a message

_NO_DELIVERY = 0


@dataclass(frozen=True, slots=True)
class Preview:
    rendered: Rendered
    warnings: list[str]


def of(sequence: Sequence, email_id: int, given: Given, now: datetime, *, shows_gaps: bool = False) -> Preview:
    """given   any of `subject`, `preview_text`, `content`, `email_template_id` (saved or not); `subscriber_id`
    shows_gaps   where a person's value is empty, say so (gaps.py); not in `data`

    Raises NotFound for an email or subscriber that is not there, and Invalid for what could not be saved.
    """
    email = verbs.email_of(sequence, email_id)
    values = _read(sequence.account, email, given).sound()
    rendered = _rendered(sequence.account, email, values, now, gaps.GAP if shows_gaps else "")
    return Preview(rendered, [*rendered.warnings, *_about_size(rendered)])


def send_test(sequence: Sequence, email_id: int, given: Given, now: datetime) -> list[Delivery]:
    """given   the same, and `to`: addresses of users of the account; left out, its first user

    Raises the same, and Invalid for other addresses, for more than ten, and for a message that is too long.
    """
    account, email = sequence.account, verbs.email_of(sequence, email_id)
    body = _read(account, email, given)
    _addresses(body, account)
    values = body.sound()
    rendered = _rendered(account, email, values, now)
    written = notices.Written(rendered.subject, rendered.text, rendered.html)
    addresses = values.get("to") or [_owner(account)]
    return notices.test(account, sequence.sending_address, addresses, written, now)


def _read(account: Account, email: SequenceEmail, given: Given) -> Checked:
    body = Checked(given)
    body.drop_nulls("content", "subscriber_id", "to")  # null keeps the content in an update too
    email_checks.printed(body, account, email)
    body.id("subscriber_id")
    return body


def _addresses(body: Checked, account: Account) -> None:
    given = body.take("to", as_items)
    if given is ABSENT:
        return
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        body.wrong("to", "must be an array of email addresses")
        return
    addresses = list(dict.fromkeys(plain_address(one) for one in given))
    users = set(members.users_of(account).values_list("email", flat=True))
    if not 1 <= len(addresses) <= MOST_ADDRESSES:
        body.wrong("to", f"must have 1 to {MOST_ADDRESSES} addresses")
    elif not users.issuperset(addresses):
        body.wrong("to", "must be addresses of users of this account")
    else:
        body.values["to"] = addresses


def _owner(account: Account) -> str:
    first = members.users_of(account).first()
    if first is None:
        raise Invalid("to can't be left out: the account has no user")
    return first.email


def _rendered(account: Account, email: SequenceEmail, values: dict[str, Any], now: datetime, gap: str = "") -> Rendered:
    letter = letters.of_email(_changed(email, values), now)
    if letter is None:
        raise Invalid("The sending address cannot be written in a mail header")
    reader = _person(account, values.get("subscriber_id"))
    try:
        rendered = letter.compiled.render(reader, _envelope(letter), gap=gap)
    except OverBudget as over:
        raise Invalid.member(over.part, trial.sentence(over)) from None
    return _with_gaps(rendered) if gap else rendered


def _with_gaps(rendered: Rendered) -> Rendered:
    return replace(
        rendered,
        subject=gaps.in_text(rendered.subject),
        preview_text=gaps.in_text(rendered.preview_text),
        text=gaps.in_text(rendered.text),
        html=gaps.in_html(rendered.html),
    )


def _changed(email: SequenceEmail, values: dict[str, Any]) -> SequenceEmail:
    """Never saved."""
    for name in versions.PRINTED:
        if name in values:
            setattr(email, name, values[name])
    return email


def _envelope(letter: letters.Letter) -> Envelope:
    """Of no delivery, so that its link takes nobody out of anything."""
    return Envelope(
        message_id=identity.message_id(_NO_DELIVERY),
        date=letter.date,
        unsubscribe_url=identity.example_unsubscribe_url(),
        list_id=letter.list_id,
    )


def _person(account: Account, subscriber_id: int | None) -> Person:
    if subscriber_id is None:
        return _example(account)
    own = Subscriber.objects.filter(account=account, pk=subscriber_id).values_list("pk", flat=True)
    for person, _ in render.people(own, [account.pk]).values():
        return person
    raise NotFound


def _example(account: Account) -> Person:
    """Somebody of whom everything is known: each custom field says what it is."""
    fields = CustomField.objects.filter(account=account)
    return Person(0, "robin@example.com", "Robin", {field.key: f"[{field.label}]" for field in fields})


def _about_size(rendered: Rendered) -> list[str]:
    size = len(rendered.html.encode())
    return [f"The HTML has {size // 1024} KB: Gmail hides what comes after the first 100"] if size > CLIPPED_AT else []
