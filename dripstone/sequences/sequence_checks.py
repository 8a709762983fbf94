"""What a sequence may say of itself."""

from collections.abc import Iterable
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django.db import models

from dripstone.accounts.models import Account
from dripstone.content.models import EmailTemplate
from dripstone.given import Checked, Given, is_id
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Form, Segment, Tag

SOURCES: dict[str, type[models.Model]] = {"form": Form, "segment": Segment, "sequence": Sequence, "tag": Tag}
MAX_NAME = 255
MAX_SOURCES = 1000  # ids per type: each is looked at whenever somebody is due


def check(account: Account, given: Given, sequence: Sequence | None) -> dict[str, Any]:
    """Sound values by model attribute, for the members that were given.

    sequence   what is there already, None for a new one: then the name is asked for and null asks for a default
    Raises Invalid with every problem.
    """
    body = Checked(given if sequence is not None else {"name": None, **given})
    if sequence is None:
        body.drop_nulls(*(name for name in body.given if name != "name"))
    body.words("name", MAX_NAME)
    _sending_address(body, account)
    template(body, account)
    if "send_days" in body.given:
        body.days("send_days")
    body.whole_number("send_hour", 0, 23)
    _time_zone(body)
    for name in ("active", "repeat", "hold"):
        body.flag(name)
    if "exclude_subscriber_sources" in body.given:
        _exclusions(body, account, sequence)
    body.raise_problems()
    return body.values


def _sending_address(body: Checked, account: Account) -> None:
    """Null, as Kit may answer it, means the account's default; so does a new sequence without one."""
    value = body.given.get("email_address")
    if value is None and "email_address" not in body.given:
        return
    of_account = account.sending_addresses.all()
    if value is None:
        found = of_account.filter(is_default=True).first()
    elif isinstance(value, str):
        found = next((row for row in of_account if row.email_address.lower() == value.strip().lower()), None)
    else:
        body.refuse("email_address must be a string")
        return
    if found is None:
        body.refuse("email_address must be one of the account's sending addresses")
    else:
        body.values["sending_address"] = found


def template(body: Checked, account: Account) -> None:
    if "email_template_id" not in body.given:
        return
    value = body.given["email_template_id"]
    if value is None:
        body.values["email_template_id"] = None
    elif not isinstance(value, int) or isinstance(value, bool):
        body.refuse("email_template_id must be an integer")
    elif not is_id(value) or not EmailTemplate.objects.filter(account=account, pk=value).exists():
        body.refuse("Email template not found")
    else:
        body.values["email_template_id"] = value


def _time_zone(body: Checked) -> None:
    if "time_zone" not in body.given:
        return
    value = body.given["time_zone"]
    if isinstance(value, str) and value in _zones():
        body.values["time_zone"] = value
    else:
        body.refuse("time_zone must be an IANA time zone, such as America/New_York")


@cache
def _zones() -> frozenset[str]:
    """Reading the zones' folders takes longer than all the rest of a request."""
    return frozenset(available_timezones())


def _exclusions(body: Checked, account: Account, sequence: Sequence | None) -> None:
    """[{"type", "ids"}] in any order, types repeated or not → one entry per type, sorted by type, each id once."""
    value = body.given["exclude_subscriber_sources"]
    if not isinstance(value, list):
        body.refuse("exclude_subscriber_sources must be an array")
        return
    problems: list[str] = []
    by_type: dict[str, list[int]] = {}
    for source in value:
        problem = _problem_of_shape(source)
        if problem:
            problems.append(problem)
        else:
            by_type.setdefault(source["type"], []).extend(source["ids"])
    unique = {kind: list(dict.fromkeys(ids)) for kind, ids in sorted(by_type.items())}
    for kind, ids in unique.items():
        problems += _problems_of_ids(account, kind, ids, sequence)
    body.problems += dict.fromkeys(problems)
    body.values["exclude_subscriber_sources"] = [{"type": kind, "ids": ids} for kind, ids in unique.items() if ids]


def _problem_of_shape(source: object) -> str | None:
    name = "exclude_subscriber_sources"
    if not isinstance(source, dict):
        return f"{name} must be objects with type and ids"
    if not isinstance(source.get("type"), str) or source["type"] not in SOURCES:
        return f"{name} type must be one of: {', '.join(SOURCES)}"
    ids = source.get("ids")
    if not isinstance(ids, list) or any(not isinstance(item, int) or isinstance(item, bool) for item in ids):
        return f"{name} ids must be an array of integers"
    return None


def _problems_of_ids(account: Account, kind: str, ids: list[int], sequence: Sequence | None) -> Iterable[str]:
    if len(ids) > MAX_SOURCES:
        yield f"exclude_subscriber_sources takes at most {MAX_SOURCES} ids of a type"
        return
    if sequence is not None and kind == "sequence" and sequence.pk in ids:
        yield "exclude_subscriber_sources can't contain the sequence itself"
    known = _known(account, kind, ids) | _excluded_already(sequence, kind)
    for item in ids:
        if item not in known:
            yield f"exclude_subscriber_sources: {kind} {item if is_id(item) else 'id out of range'} does not exist"


def _known(account: Account, kind: str, ids: list[int]) -> set[int]:
    rows = SOURCES[kind]._default_manager.filter(account=account, pk__in=[item for item in ids if is_id(item)])
    if kind == "sequence":
        rows = rows.filter(deleted_at=None)
    return set(rows.values_list("pk", flat=True))


def _excluded_already(sequence: Sequence | None, kind: str) -> set[int]:
    """What was read may be written back, even when the source has been deleted meanwhile."""
    stored = sequence.exclude_subscriber_sources if sequence else []
    return {item for source in stored if source["type"] == kind for item in source["ids"]}
