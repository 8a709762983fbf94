"""What an email of a sequence may say of itself, and where it may stand."""

from typing import Any

from dripstone.accounts.models import Account
from dripstone.content import liquid
from dripstone.given import Checked, Given, is_whole
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.sequences.sequence_checks import template

MAX_SUBJECT = 998  # a line of mail, in characters
MAX_DAYS = 3 * 365
MAX_HOURS = MAX_DAYS * 24
MAX_POSITION = 1_000_000
UNITS = ("days", "hours")
PRINTED = ("subject", "preview_text", "content")


def check(account: Account, sequence: Sequence, given: Given, email: SequenceEmail | None) -> dict[str, Any]:
    """Sound values by model attribute, for the members that were given. `position` is there only when one was.

    email   what is there already, None for a new one: then subject and delay are asked for
    Raises Invalid with every problem.
    """
    required = {"subject": None, "delay_value": None, "delay_unit": None} if email is None else {}
    body = Checked({**required, **given})
    # Null says "not given" where Kit's own requests send it: content in an update keeps the content (Kit's example).
    body.drop_nulls("published", "position", *(() if email is None else ("content",)))
    body.words("subject", MAX_SUBJECT)
    body.words_or_null("preview_text")
    body.words_or_null("content")
    for part in PRINTED:
        body.problems += liquid.check(body.values.get(part) or "", part)
    template(body, account)
    body.flag("published")
    _delay(body, email)
    _send_days(body, email)
    body.whole_number("position", 0, MAX_POSITION)
    if not body.problems:
        _first_alone_is_immediate(body, sequence, email)
    body.raise_problems()
    return body.values


def _delay(body: Checked, email: SequenceEmail | None) -> None:
    value: Any = body.given.get("delay_value", email.delay_value if email else None)
    unit: Any = body.given.get("delay_unit", email.delay_unit if email else None)
    if unit not in UNITS:
        body.refuse(f"delay_unit must be one of: {', '.join(UNITS)}")
    low, high = (1, MAX_HOURS) if unit == "hours" else (0, MAX_DAYS)
    if value is None:
        body.refuse("delay_value can't be blank")
    elif not is_whole(value):
        body.refuse("delay_value must be an integer")
    elif value < 0 or (value > high and unit in UNITS):
        body.refuse(f"delay_value must be between {low} and {high} {unit if unit in UNITS else 'days'}")
    elif value < low:
        body.refuse("delay_value must be at least 1 when delay_unit is hours")
    else:
        body.values |= {"delay_value": value, "delay_unit": unit}


def _send_days(body: Checked, email: SequenceEmail | None) -> None:
    """All seven days are no override, and so is null. Hours know no days: a change to hours drops the override."""
    unit = body.given.get("delay_unit", email.delay_unit if email else None)
    if body.given.get("send_days") is None:
        if "send_days" in body.given or unit == "hours":
            body.values["send_days"] = None
        return
    if unit == "hours":
        body.refuse("send_days can't be set on an hour-based email")
    body.days("send_days")
    if len(body.values.get("send_days", [])) == 7:
        body.values["send_days"] = None


def _first_alone_is_immediate(body: Checked, sequence: Sequence, email: SequenceEmail | None) -> None:
    """0 days only on the lowest position, drafts counted (R3, R10)."""
    others = sequence.emails.filter(deleted_at=None)
    first = (others.exclude(pk=email.pk) if email else others).order_by("position").first()
    if first is None:
        return
    position = body.values.get("position", email.position if email else None)  # None: after the last
    leads = position is not None and position <= first.position
    if body.values["delay_value"] == 0 and not leads:
        body.refuse("delay_value must be greater than 0: only the first email of a sequence may be sent at once")
    elif leads and first.delay_value == 0:
        body.refuse(f"position must come after email {first.pk}, which is sent at once: it has to stay the first")
