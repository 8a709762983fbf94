"""Checks the values of a sequence."""

from collections.abc import Iterable
from typing import Any

from django.db import models

from dripstone.accounts.models import Account
from dripstone.content.models import EmailTemplate
from dripstone.given import ABSENT, MAX_NAME, Checked, Given, as_number, as_numbers, is_id, is_whole
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Form, Segment, Tag

SOURCES: dict[str, type[models.Model]] = {"form": Form, "segment": Segment, "sequence": Sequence, "tag": Tag}
MAX_SOURCES = 1000  # ids per type: each is checked whenever a person is due


def check(account: Account, given: Given, sequence: Sequence | None) -> dict[str, Any]:
    """Sound values by model attribute, for the members that were given.

    sequence   the existing sequence; None for a new one, which needs a name, and where null means the default
    Raises Invalid with every problem.
    """
    body = Checked(given, required=("name",) if sequence is None else ())
    if sequence is None:
        body.drop_nulls(*(name for name in given if name != "name"))
    else:
        body.drop_empty("send_days")  # Kit's PHP SDK sends [] when its caller gave none
    body.words("name", MAX_NAME)
    _sending_address(body, account, sequence)
    template(body, account)
    body.days("send_days")
    body.whole_number("send_hour", 0, 23)
    body.time_zone("time_zone")
    for name in ("active", "repeat", "hold"):
        body.flag(name)
    _exclusions(body, account, sequence)
    return body.sound()


def _sending_address(body: Checked, account: Account, sequence: Sequence | None) -> None:
    """Null, which Kit may answer, means the account's default. A new sequence without a value gets the default too. One
    that is not verified is refused, unless the sequence has it already: values that were read may be written back."""
    value = body.take("email_address")
    if value is ABSENT:
        return
    of_account = account.sending_addresses.all()
    if value is None:
        found = of_account.filter(is_default=True).first()
    elif isinstance(value, str):
        found = next((row for row in of_account if row.email_address.lower() == value.strip().lower()), None)
    else:
        body.wrong("email_address", "must be a string")
        return
    if found is None:
        body.wrong("email_address", "must be one of the account's sending addresses")
    elif not found.is_verified and (sequence is None or found.pk != sequence.sending_address_id):
        body.wrong("email_address", "is not verified yet: the link in the mail that went to it does that")
    else:
        body.values["sending_address"] = found


def template(body: Checked, account: Account) -> None:
    """0 means none, like null: Kit's PHP SDK sends it when its caller gave none."""
    value = body.take("email_template_id", as_number)
    if value is None or (is_whole(value) and value == 0):
        body.values["email_template_id"] = None
    elif value is not ABSENT and not is_whole(value):
        body.wrong("email_template_id", "must be an integer")
    elif value is not ABSENT and not _is_template(account, value):
        body.refuse("email_template_id", "Email template not found")
    elif value is not ABSENT:
        body.values["email_template_id"] = value


def _is_template(account: Account, value: int) -> bool:
    return is_id(value) and EmailTemplate.objects.filter(account=account, pk=value).exists()


def _exclusions(body: Checked, account: Account, sequence: Sequence | None) -> None:
    """[{"type", "ids"}] in any order, types repeated or not → one entry per type, sorted by type, each id once."""
    name = "exclude_subscriber_sources"
    value = body.take(name)
    if not isinstance(value, list):
        if value is not ABSENT:
            body.wrong(name, "must be an array")
        return
    by_type: dict[str, list[int]] = {}
    for source in value:
        ids: Any = body.made(source.get("ids"), as_numbers) if isinstance(source, dict) else None
        if complaint := _complaint_of_shape(source, ids):
            body.wrong(name, complaint)
        else:
            by_type.setdefault(source["type"], []).extend(ids)
    unique = {kind: list(dict.fromkeys(ids)) for kind, ids in sorted(by_type.items())}
    for kind, ids in unique.items():
        for problem in _problems_of_ids(account, kind, ids, sequence):
            body.refuse(name, problem)
    body.values[name] = [{"type": kind, "ids": ids} for kind, ids in unique.items() if ids]


def _complaint_of_shape(source: Any, ids: Any) -> str | None:
    if not isinstance(source, dict):
        return "must be objects with type and ids"
    if not isinstance(source.get("type"), str) or source["type"] not in SOURCES:
        return f"type must be one of: {', '.join(SOURCES)}"
    if not isinstance(ids, list) or not all(is_whole(item) for item in ids):
        return "ids must be an array of integers"
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
    """Values that were read may be written back, even if the source has been deleted meanwhile."""
    stored = sequence.exclude_subscriber_sources if sequence else []
    return {item for source in stored if source["type"] == kind for item in source["ids"]}
