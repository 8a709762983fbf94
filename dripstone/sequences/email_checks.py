"""Checks the values of an email of a sequence, and its position."""

from typing import Any

from dripstone import grammar
from dripstone.accounts.models import Account
from dripstone.content import html, liquid, trial
from dripstone.content.models import EmailTemplate
from dripstone.errors import Problem
from dripstone.given import ABSENT, Checked, Given, as_choice, as_items, as_number, is_whole
from dripstone.grammar import Condition
from dripstone.sequences import versions
from dripstone.sequences.known import known
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.sequences.sequence_checks import template

MAX_SUBJECT = 998  # a line of mail, in characters
MAX_PREVIEW = 2_000  # characters; readers are shown some 150 of what comes out
MAX_DAYS = 3 * 365
MAX_HOURS = MAX_DAYS * 24
MAX_POSITION = 1_000_000
UNITS = ("days", "hours")
PRINTED = {"subject": MAX_SUBJECT, "preview_text": MAX_PREVIEW, "content": liquid.MAX_SOURCE}


def check(account: Account, sequence: Sequence, given: Given, email: SequenceEmail | None) -> dict[str, Any]:
    """Sound values by model attribute, for the members that were given. `position` is there only when one was.

    email   the existing email; None for a new one, which needs subject and delay
    Raises Invalid with every problem.
    """
    body = Checked(given, required=("subject", "delay_value", "delay_unit") if email is None else ())
    # Null says "not given" where Kit's own requests send it: content in an update keeps the content (Kit's example).
    body.drop_nulls("published", "position", *(() if email is None else ("content",)))
    if email is not None:
        body.drop_empty("send_days")  # Kit's PHP SDK sends [] when its caller gave none
    printed(body, account, email)
    body.flag("published")
    _delay(body, email)
    _send_days(body, email)
    body.whole_number("position", 0, MAX_POSITION)
    if not body.problems:
        _first_alone_is_immediate(body, sequence, email)
    if not body.problems:
        _within_budget(body, account, sequence, email)
    return body.sound()


def problems_of(email: SequenceEmail, values: Given) -> list[Problem]:
    """Why these members of an existing email could not be saved; none: they can."""
    body = Checked(values)
    printed(body, email.account, email)
    if not body.problems:
        _within_budget(body, email.account, email.sequence, email)
    return body.problems


def filter_of(account: Account, email: SequenceEmail, given: Given) -> Condition | None:
    """The sound value of `filter`, the only member; null: everybody gets it. Raises Invalid with every problem.

    What was read may be written back, even if something that it names has been deleted meanwhile.
    """
    body = Checked(given)
    if "filter" not in given:
        body.refuse("filter", "filter can't be left out: give a condition, or null for everybody")
    exist, stays = known(account.pk), grammar.things(email.filter) if email.filter else frozenset()
    found = grammar.read(body, "filter", lambda kind, ids: {*exist(kind, ids), *(pk for of, pk in stays if of == kind)})
    body.raise_problems()
    return found


def printed(body: Checked, account: Account, email: SequenceEmail | None) -> None:
    """The members that a message is made of."""
    body.words("subject", MAX_SUBJECT)
    body.text_or_null("preview_text")
    body.text_or_null("content")
    for part, most in PRINTED.items():
        saved = (email and getattr(email, part)) or ""
        for problem in liquid.check_new(body.values.get(part) or "", part, saved, most):
            body.refuse(part, problem)
    if complaint := html.complaint(body.values.get("content") or ""):
        body.wrong("content", complaint)
    template(body, account)


def _within_budget(body: Checked, account: Account, sequence: Sequence, email: SequenceEmail | None) -> None:
    """What every message of this email would go over is refused now. Not asked about what stays as it is."""
    saved = {name: getattr(email, name, None) for name in versions.PRINTED}
    new = {name: body.values.get(name, value) for name, value in saved.items()}
    if new == saved:
        return
    over = trial.problem(
        account.pk,
        subject=new["subject"] or "",
        preview_text=new["preview_text"] or "",
        content=new["content"] or "",
        template_html=_template(account, sequence, new["email_template_id"]),
    )
    if over:
        body.refuse(*over)


def _template(account: Account, sequence: Sequence, template_id: int | None) -> str | None:
    """The HTML of the email's own template, else the sequence's, else the account's default."""
    rows = EmailTemplate.objects.filter(account=account)
    own = template_id or sequence.email_template_id
    found = (rows.filter(pk=own) if own else rows.filter(is_default=True)).first()
    return found.html if found else None


def _delay(body: Checked, email: SequenceEmail | None) -> None:
    value, unit = _value(body, email), _unit(body, email)
    if unit not in UNITS:
        body.wrong("delay_unit", f"must be one of: {', '.join(UNITS)}")
    if complaint := _complaint_of_delay(value, unit if unit in UNITS else ""):
        body.wrong("delay_value", complaint)
    else:
        body.values |= {"delay_value": value, "delay_unit": unit}


def _complaint_of_delay(value: Any, unit: str) -> str | None:
    low, high = (1, MAX_HOURS) if unit == "hours" else (0, MAX_DAYS)
    if value is None:
        return "can't be blank"
    if not is_whole(value):
        return "must be an integer"
    if value < 0 or (value > high and unit):
        return f"must be between {low} and {high} {unit or 'days'}"
    return "must be at least 1 when delay_unit is hours" if value < low else None


def _value(body: Checked, email: SequenceEmail | None) -> Any:
    value = body.take("delay_value", as_number)
    return email.delay_value if value is ABSENT and email else value


def _unit(body: Checked, email: SequenceEmail | None) -> Any:
    unit = body.take("delay_unit", as_choice)
    return email.delay_unit if unit is ABSENT and email else unit


def _send_days(body: Checked, email: SequenceEmail | None) -> None:
    """All seven days, like null, mean no override. Hours follow no days, so a change to hours drops the override."""
    days, is_hours = body.take("send_days", as_items), _unit(body, email) == "hours"
    if days is None or days is ABSENT:
        if days is None or is_hours:
            body.values["send_days"] = None
        return
    if is_hours:
        body.wrong("send_days", "can't be set on an hour-based email")
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
        body.wrong("delay_value", "must be greater than 0: only the first email of a sequence may be sent at once")
    elif leads and first.delay_value == 0:
        complaint = f"must come after email {first.pk}, which is sent at once: it has to stay the first"
        body.wrong("position", complaint)
