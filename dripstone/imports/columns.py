"""What the columns of a file mean: a guess, and what somebody says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dripstone.accounts import names
from dripstone.errors import Invalid
from dripstone.given import Checked
from dripstone.subscribers import fields
from dripstone.subscribers.models import CustomField

KINDS = ("email", "first_name", "field", "new_field", "tags", "created_at", "skip")
ONCE = ("email", "first_name", "created_at")  # no two columns can be that
MOST = 2_000

_EMAIL = {
    *("email", "email_address", "emailaddress", "e_mail", "e_mail_address", "mail", "mail_address", "subscriber_email"),
    *("subscriber", "e_mail_adresse", "adresse_e_mail", "adresse_email", "correo", "correo_electronico", "courriel"),
}
_FIRST_NAME = {"first_name", "firstname", "first", "fname", "given_name", "forename", "vorname", "prenom", "nombre"}
_NAME = {"name", "full_name"}
_TAGS = {"tags", "tag", "tag_names", "labels"}
_CREATED = {
    *("created_at", "created", "created_on", "subscribed_at", "subscribed_on", "subscribed", "date_subscribed"),
    *("subscription_date", "date_added", "added_at", "added", "optin_time", "opt_in_time", "confirm_time", "joined"),
    *("signup_date", "sign_up_date", "date_created", "subscribed_date"),
}
# Whether they may be mailed is for them to say, and never read from a file.
_NEVER = {
    *("status", "subscriber_status", "unsubscribed", "unsubscribed_at", "unsub_time", "canceled_at", "cancelled_at"),
    *("bounced", "bounced_at", "opted_out", "optout", "id", "subscriber_id", "uuid", "leid", "euid", "location"),
    "problem",
}
_STATES = {"active", "inactive", "cancelled", "canceled", "bounced", "complained", "subscribed", "unsubscribed"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a column goes.

    kind      one of KINDS
    field_id  of "field"
    label     of "new_field": of the custom field that is made, unless there is one
    """

    kind: str
    field_id: int | None = None
    label: str = ""

    def kept(self) -> dict[str, Any]:
        """As an import keeps it."""
        extra = {"field": ("field_id", self.field_id), "new_field": ("label", self.label)}
        return dict([("target", self.kind), *([extra[self.kind]] if self.kind in extra else [])])

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Target":
        return cls(kept["target"], kept.get("field_id"), kept.get("label", ""))


SKIP = Target("skip")


# --- A guess ------------------------------------------------------------------------------------------------------


def guessed(account_id: int, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Target]:
    """For each column; `titles` are "" where there is no header."""
    known: dict[str, int] = {}
    for field in CustomField.objects.filter(account_id=account_id).order_by("-pk"):
        known[field.label.lower()] = known[field.key] = field.pk
    texts = [[row[n].strip() for row in rows if n < len(row)] for n in range(len(titles))]
    found = [_of_title(title, column, known) for title, column in zip(titles, texts, strict=True)]
    if not any(one.kind == "email" for one in found):
        share = [sum("@" in text for text in column) for column in texts]
        if share and (most := max(share)):
            found[share.index(most)] = Target("email")
    if not any(one.kind == "first_name" for one in found):
        named = (n for n, title in enumerate(titles) if _key(title) in _NAME and found[n].kind == "new_field")
        if (n := next(named, None)) is not None:
            found[n] = Target("first_name")
    return _once(found)


def _of_title(title: str, column: Sequence[str], known: Mapping[str, int]) -> Target:
    key = _key(title)
    if key in _EMAIL:
        return Target("email")
    if key in _FIRST_NAME:
        return Target("first_name")
    if key in _TAGS:
        return Target("tags")
    if key in _CREATED:
        return Target("created_at")
    said = {text.lower() for text in column if text}
    if key in _NEVER or (key == "state" and said <= _STATES) or not key:
        return SKIP
    if (field_id := known.get(title.strip().lower()) or known.get(key)) is not None:
        return Target("field", field_id)
    label = names.plain(title).strip()
    return Target("new_field", label=label) if len(label) <= 255 else SKIP


def is_address_title(title: str) -> bool:
    return _key(title) in _EMAIL


def _key(title: str) -> str:
    return names.key_for(title, "_", "")


def _once(found: list[Target]) -> list[Target]:
    """The second column of the same meaning is passed over; tags may come from several."""
    seen: set[Any] = set()
    kept = []
    for one in found:
        mark = (one.kind, one.field_id, one.label.lower())
        kept.append(SKIP if mark in seen else one)
        if one.kind not in ("tags", "skip"):
            seen.add(mark)
    return kept


# --- What somebody says -------------------------------------------------------------------------------------------


def check(account_id: int, given: object, n_columns: int) -> list[Target]:
    """Raises Invalid, by member (`columns[3].field_id`)."""
    if not isinstance(given, list):
        raise Invalid.member("columns", "columns must be an array" if given is not None else "columns can't be blank")
    if len(given) != n_columns:
        raise Invalid.member("columns", f"columns must say for each of the {n_columns} columns what it is")
    read = Checked({})
    found = [_target(read, n, one) for n, one in enumerate(given)]
    read.raise_problems()
    _check_whole(read, account_id, found)
    read.raise_problems()
    return found


def _target(read: Checked, n: int, given: object) -> Target:
    inside = read.inside(f"columns[{n}]", given, required=("target",))
    if inside is None:
        return SKIP
    inside.choice("target", KINDS)
    kind = inside.values.get("target", "skip")
    if kind == "field":
        if inside.given.get("field_id") is None:
            inside.blank("field_id")
        inside.id("field_id")
        return Target("field", inside.values.get("field_id"))
    if kind == "new_field":
        if inside.given.get("label") is None:
            inside.blank("label")
        inside.name("label")
        label = names.plain(inside.values.get("label", ""))
        if "label" in inside.values and not label.strip():
            inside.blank("label")
        return Target("new_field", label=label)
    return Target(kind)


def _check_whole(read: Checked, account_id: int, found: Sequence[Target]) -> None:
    if not any(one.kind == "email" for one in found):
        read.refuse("columns", "One column must have the email addresses")
    known = fields.known(account_id, {one.field_id for one in found if one.field_id is not None})
    seen: dict[Any, int] = {}
    for n, one in enumerate(found):
        if one.kind == "field" and one.field_id not in known:
            read.refuse(f"columns[{n}].field_id", f"columns[{n}].field_id names no custom field of this account")
        if one.kind in ("tags", "skip"):
            continue
        mark = (one.kind, one.field_id, one.label.lower())
        if mark in seen:
            read.refuse(f"columns[{n}].target", f"Columns {seen[mark] + 1} and {n + 1} can't both be the same")
        seen.setdefault(mark, n)


def value_columns(targets: Iterable[Target]) -> list[int]:
    """The places of the columns that go into custom fields."""
    return [n for n, one in enumerate(targets) if one.kind in ("field", "new_field")]
