"""The form of a rule: triggers and actions as rows, each with the controls of its kind, and back.

A row is added, removed and moved by a button that sends the whole form and gets it back, so that it works without
JavaScript; nothing is saved until *Save* is pressed. Names of controls: `actions-1-tag_id`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import QueryDict

from dripstone.accounts.models import Account
from dripstone.automations.models import Automation
from dripstone.errors import Invalid, Problem
from dripstone.given import as_number, is_id
from dripstone.purchases.models import Product
from dripstone.rules.models import Rule
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import CustomField, Form, Tag
from dripstone.triggers import reading, what, when
from dripstone.web import forms

Part = Literal["triggers", "actions"]
Kept = dict[str, Any]  # a trigger or an action, as rules keep it
Typed = dict[str, str]  # by control; and "kind"
Choices = list[tuple[Any, str]]

SHOWN = 1_000  # things in a list; the API takes any
KIND = "kind"


@dataclass(frozen=True, slots=True)
class Control:
    """what   a kind of `{% field %}`; "thing": one of the account's, by name
    empty  of a thing: what choosing none says; "" where one has to be chosen
    """

    name: str
    label: str
    what: str = "text"
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    usual: str = ""
    empty: str = ""
    inputmode: str = ""
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """label   what happens to somebody, or what is done: "gets a tag" """

    key: str
    label: str
    controls: tuple[Control, ...] = ()
    note: str = ""


def _thing(name: str, label: str, empty: str = "") -> Control:
    return Control(name, label, "thing", empty=empty)


TAG, SEQUENCE, FIELD = _thing("tag_id", "Tag"), _thing("sequence_id", "Sequence"), _thing("custom_field_id", "Field")
TO = Control(
    "to", "To what", "select", choices=(("", "anything"), ("value", "this text"), ("nothing", "nothing: it is emptied"))
)
DATES = (
    FIELD,
    Control("days", "Days", hint="0 is the day itself.", usual="0", inputmode="numeric"),
    Control("side", "Before or after", "select", choices=(("after", "after the date"), ("before", "before the date"))),
    Control("hour", "At", "select", choices=tuple((str(hour), f"{hour}:00") for hour in range(24)), usual="9"),
    Control("yearly", "Every year", "checkbox"),
)
LIQUID = "Liquid is filled in for each person: {{ subscriber.first_name }}."

TRIGGERS: Mapping[str, Kind] = {
    kind.key: kind
    for kind in (
        Kind(when.TAG_ADDED, "gets a tag", (TAG,)),
        Kind(when.TAG_REMOVED, "loses a tag", (TAG,)),
        Kind(when.FORM_JOINED, "signs up by a form", (_thing("form_id", "Form", "any form"),)),
        Kind(when.SEQUENCE_ENTERED, "enters a sequence", (SEQUENCE,)),
        Kind(when.SEQUENCE_COMPLETED, "completes a sequence", (SEQUENCE,)),
        Kind(when.SEQUENCE_LEFT, "leaves a sequence before its end", (SEQUENCE,)),
        Kind(when.PURCHASED, "buys a product", (_thing("product_id", "Product", "anything"),)),
        Kind(when.FIELD_CHANGED, "has a field changed",
             (FIELD, TO, Control("value", "Text", hint="If it is to be this text."))),
        Kind(when.FIELD_DATE, "reaches the date in a field", DATES),
        Kind(when.BECAME_ACTIVE, "becomes active"),
        Kind(when.CANCELLED, "unsubscribes"),
        Kind(when.LINK_CLICKED, "clicks a link",
             (Control("url", "Address of the link", "url", hint="Empty: any link."),),
             "Nothing is recorded of this yet, so nothing sets it off. It is kept, and will work when it is recorded."),
    )
}  # fmt: skip
ACTIONS: Mapping[str, Kind] = {
    kind.key: kind
    for kind in (
        Kind(what.TAG, "add a tag", (TAG,)),
        Kind(what.UNTAG, "take a tag away", (TAG,)),
        Kind(what.ENTER_SEQUENCE, "put them into a sequence", (SEQUENCE,)),
        Kind(what.LEAVE_SEQUENCE, "take them out of a sequence", (SEQUENCE,)),
        Kind(what.MOVE, "move them into or out of an automation",
             (_thing("automation_id", "Automation"),
              Control("way", "Which way", "select", choices=(("in", "into it"), ("out", "out of it")), usual="in"))),
        Kind(what.FIELD, "set a field",
             (FIELD, Control("value", "To", hint=f"Empty: the field is emptied. {LIQUID}"))),
        Kind(what.FORM, "put them on a form", (_thing("form_id", "Form"),)),
        Kind(what.MAIL_OWNER, "mail the owners",
             (Control("text", "Text", "textarea", f"At most one mail a minute, with a count. {LIQUID}", rows=3),)),
        Kind(what.CALL, "call an address",
             (Control("url", "Address", "url", "A POST with JSON goes there, signed as callbacks are. It is public."),
              Control("body", "Body", "textarea", "JSON, with Liquid inside its texts. Empty: who, and by which rule.",
                      rows=4))),
        Kind(what.UNSUBSCRIBE, "unsubscribe them", note="From everything, and nothing can follow it."),
    )
}  # fmt: skip
KINDS: Mapping[Part, Mapping[str, Kind]] = {"triggers": TRIGGERS, "actions": ACTIONS}
MEMBER: Mapping[Part, str] = {"triggers": "trigger", "actions": "kind"}  # that names the kind of a kept one


# --- A draft ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Draft:
    """What a form says. fresh: the row that was just added or moved, `actions-1`, where one goes on"""

    name: str = ""
    rows: dict[Part, list[Typed]] = field(default_factory=lambda: {"triggers": [], "actions": []})
    fresh: str = ""

    @classmethod
    def of(cls, rule: Rule) -> "Draft":
        triggers = [shown(TRIGGERS[one["trigger"]], one) for one in rule.triggers]
        actions = [shown(ACTIONS[one["kind"]], one) for one in rule.actions]
        return cls(rule.name, {"triggers": triggers, "actions": actions})

    @classmethod
    def typed(cls, post: QueryDict) -> "Draft":
        """Of what was sent. A kind that was chosen and not yet added is a row, too: nobody has to press twice."""
        draft = cls(post.get("name", ""), {part: list(_rows(post, part)) for part in KINDS})
        do = post.get("do", "")
        for part in KINDS:
            if do in ("save", "condition", f"add-{part}"):
                draft._add(part, post.get(f"new-{part}", ""))
        draft._change(do)
        return draft

    def _add(self, part: Part, kind: str) -> None:
        if kind in KINDS[part]:
            self.rows[part].append(shown(KINDS[part][kind], {}))
            self.fresh = f"{part}-{len(self.rows[part]) - 1}"

    def _change(self, do: str) -> None:
        found = re.fullmatch(r"(remove|up|down)-(triggers|actions)-(\d{1,3})", do)
        if found is None:
            return
        verb, part, place = found[1], _part(found[2]), int(found[3])
        rows = self.rows[part]
        if place >= len(rows):
            return
        row = rows.pop(place)
        if verb != "remove":
            place = max(place - 1, 0) if verb == "up" else place + 1
            rows.insert(place, row)
            self.fresh = f"{part}-{min(place, len(rows) - 1)}"
        else:
            self.fresh = part

    def given(self) -> dict[str, Any]:
        """As `rules.verbs` takes it."""
        return {
            "name": self.name,
            "triggers": [trigger_of(row) for row in self.rows["triggers"]],
            "actions": [_action(row) for row in self.rows["actions"]],
        }


def _part(name: str) -> Part:
    return "triggers" if name == "triggers" else "actions"


def is_edit(post: QueryDict) -> bool:
    """A button of the form itself was pressed; nothing is to be saved."""
    return post.get("do", "save") not in ("save", "condition")


def _rows(post: QueryDict, part: Part) -> Iterator[Typed]:
    for place in range(reading.MOST + 1):
        kind = KINDS[part].get(post.get(f"{part}-{place}-{KIND}", ""))
        if kind is None:
            return
        names = [KIND, *(control.name for control in kind.controls)]
        yield {name: post.get(f"{part}-{place}-{name}", "") for name in names}


# --- From what is kept to what a row shows, and back ----------------------------------------------------------------


def shown(kind: Kind, kept: Kept) -> Typed:
    """{}: a new one."""
    typed: Typed = {KIND: kind.key} | {control.name: control.usual for control in kind.controls}
    typed |= {name: _text(kept[name]) for name in typed if name != KIND and kept.get(name) is not None}
    if kind.key == when.FIELD_CHANGED and "value" in kept:
        typed["to"] = "value" if kept["value"] else "nothing"
    if kind.key == when.FIELD_DATE and kept:
        typed |= {"days": str(abs(kept["days"])), "side": "before" if kept["days"] < 0 else "after"}
    return typed


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, indent=2)
    return str(value)


def trigger_of(row: Typed) -> Kept:
    kept: Kept = {"trigger": row[KIND]} | members(row)
    match row[KIND]:
        case when.FIELD_CHANGED:
            to, value = kept.pop("to", ""), kept.pop("value", "")
            if to:
                kept["value"] = value if to == "value" else ""
        case when.FIELD_DATE:
            is_before = kept.pop("side") == "before"
            kept["yearly"] = row["yearly"] in ("on", "true")
            if isinstance(kept.get("days"), int):
                kept["days"] *= -1 if is_before else 1
    return kept


def _action(row: Typed) -> Kept:
    return {"kind": row[KIND]} | members(row)


NUMBERS = ("days", "hour", *reading.MEMBERS)


def members(row: Typed) -> Kept:
    said = {name: value for name, value in row.items() if name != KIND and value.strip()}
    return {name: as_number(value) if name in NUMBERS else value for name, value in said.items()}


# --- What a page shows ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """A control of a row."""

    name: str
    label: str
    what: str
    hint: str
    choices: Choices
    inputmode: str
    rows: int


@dataclass(frozen=True, slots=True)
class Row:
    """number   from 1"""

    part: Part
    place: int
    kind: Kind
    controls: list[Shown]
    is_first: bool
    is_last: bool
    is_fresh: bool

    @property
    def prefix(self) -> str:
        return f"{self.part}-{self.place}"

    @property
    def number(self) -> int:
        return self.place + 1


@dataclass(frozen=True, slots=True)
class Page:
    """form   values and problems of all controls"""

    draft: Draft
    form: forms.Form
    triggers: list[Row]
    actions: list[Row]
    new_triggers: Choices
    new_actions: Choices
    is_cut: bool


def page(account: Account, draft: Draft, error: Invalid | None = None) -> Page:
    things = Things(account)
    values: dict[str, Any] = {"name": draft.name}
    for part, rows in draft.rows.items():
        for place, row in enumerate(rows):
            values |= {f"{part}-{place}-{name}": value for name, value in row.items()}
    problems = [_problem(one, draft) for one in error.problems] if error else []
    triggers, actions = (list(_rows_shown(part, draft, things)) for part in KINDS)
    return Page(
        draft,
        forms.Form(values, problems),
        triggers,
        actions,
        [("", "Choose what happens"), *((kind.key, f"somebody {kind.label}") for kind in TRIGGERS.values())],
        [("", "Choose what is done"), *((kind.key, kind.label) for kind in ACTIONS.values())],
        things.is_cut,
    )


def _rows_shown(part: Part, draft: Draft, things: "Things") -> Iterator[Row]:
    rows = draft.rows[part]
    for place, row in enumerate(rows):
        kind = KINDS[part][row[KIND]]
        controls = [control_shown(f"{part}-{place}", control, row, things) for control in kind.controls]
        is_fresh = draft.fresh == f"{part}-{place}"
        yield Row(part, place, kind, controls, place == 0, place == len(rows) - 1, is_fresh)


def control_shown(prefix: str, control: Control, row: Typed, things: "Things") -> Shown:
    choices: Choices = list(control.choices)
    if control.what == "thing":
        choices = things.choices(control, row[control.name])
    kind = "select" if control.what == "thing" else control.what
    name = f"{prefix}-{control.name}"
    return Shown(name, control.label, kind, control.hint, choices, control.inputmode, control.rows)


class Things:
    """What the lists offer, read once for each kind."""

    ROWS: Mapping[str, tuple[Callable[[Account], QuerySet[Any]], str]] = {
        "tag_id": (lambda account: Tag.objects.filter(account=account), "name"),
        "form_id": (lambda account: Form.objects.filter(account=account).exclude(status=Form.Status.TRASHED), "name"),
        "sequence_id": (lambda account: Sequence.objects.filter(account=account, deleted_at=None), "name"),
        "product_id": (lambda account: Product.objects.filter(account=account), "name"),
        "custom_field_id": (lambda account: CustomField.objects.filter(account=account), "label"),
        "automation_id": (lambda account: Automation.objects.filter(account=account), "name"),
    }

    def __init__(self, account: Account) -> None:
        self._account = account
        self._found: dict[str, Choices] = {}
        self.is_cut = False

    def choices(self, control: Control, chosen: str) -> Choices:
        """With the one that is chosen, wherever it stands."""
        found = self._offered(control.name)
        known = {str(pk) for pk, _ in found}
        more = [self._other(control.name, chosen)] if chosen and chosen not in known else []
        return [("", control.empty or "Choose…"), *more, *found]

    def _offered(self, name: str) -> Choices:
        if name not in self._found:
            rows, column = self.ROWS[name]
            found = rows(self._account).order_by(Lower(column), "pk").values_list("pk", column)[: SHOWN + 1]
            self._found[name] = list(found)
            self.is_cut = self.is_cut or len(self._found[name]) > SHOWN
        return self._found[name][:SHOWN]

    def _other(self, name: str, chosen: str) -> tuple[Any, str]:
        rows, column = self.ROWS[name]
        pk = as_number(chosen)
        named = rows(self._account).filter(pk=pk).values_list(column, flat=True).first() if is_id(pk) else None
        return chosen, f"number {chosen[:20]}, which is gone" if named is None else str(named)


# --- What was refused -----------------------------------------------------------------------------------------------

_PLACE = re.compile(r"(triggers|actions)\[(\d+)\](?:\.(\w+))?")


def _problem(problem: Problem, draft: Draft) -> Problem:
    """`triggers[0].tag_id` beside its control, called as that is."""
    member, sentence = problem[0] or "", problem[1]
    if member in KINDS:
        least = "Say when it fires" if member == "triggers" else "Say what it does"
        return f"new-{member}", _plain(member, sentence, "It") if draft.rows[_part(member)] else least
    found = _PLACE.match(member)
    if found is None:
        return forms.for_a_page(problem)
    part, place, name = _part(found[1]), int(found[2]), found[3] or KIND
    kind = KINDS[part][draft.rows[part][place][KIND]]
    control = next((one for one in kind.controls if one.name == name), None)
    if control is None:
        return f"{part}-{place}-{KIND}", _plain(member, sentence, kind.label.capitalize())
    if control.what == "thing" and sentence.endswith("can't be blank"):
        return f"{part}-{place}-{name}", f"Choose a {control.label.lower()}"
    return f"{part}-{place}-{name}", _plain(member, sentence, control.label)


def _plain(member: str, sentence: str, label: str) -> str:
    """Without the member's name, which is for those who write JSON."""
    return f"{label}{sentence.removeprefix(member)}" if sentence.startswith(member) else sentence
