"""The form of one step of an automation: what people choose from, the controls of each, and back.

A kind of step is what people have in mind ("wait for a weekday"); a kind of node may have several. Names of controls
begin with `step-`. Triggers and acts have the controls that they have in a rule (rule_form.py); a condition is written
as a sentence with blanks, beside the form.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.http import QueryDict

from dripstone.accounts.models import Account
from dripstone.automations import kinds
from dripstone.automations.graph import BRANCHES, NEXT, NO, OTHERWISE, YES, GraphNode
from dripstone.errors import Invalid, Problem
from dripstone.given import as_number
from dripstone.rules import already
from dripstone.triggers import what, when
from dripstone.web import forms, rule_form
from dripstone.web.rule_form import ACTIONS, SEQUENCE, TRIGGERS, Control, Shown, Things
from dripstone.words import WEEKDAYS

PREFIX: Final = "step"
FILTER: Final = "filter"  # the condition of a form, as JSON

Typed = dict[str, Any]  # by control: text, or a list of texts
Settings = dict[str, Any]
Exits = dict[str, Any]

DO, WAIT, DECIDE, HAPPENS = "Do something", "Wait", "Go different ways", "Wait until something happens"


@dataclass(frozen=True, slots=True)
class Kind:
    """group    under which it is offered
    label    there: "Add a tag"
    also     more words by which a search finds it
    node     the kind of node it makes
    fixed    settings that go with the choice
    asks     for a condition
    """

    key: str
    node: str
    group: str
    label: str
    controls: tuple[Control, ...] = ()
    note: str = ""
    also: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    asks: bool = False

    @property
    def has_shares(self) -> bool:
        return self.key == "split_share"

    @property
    def is_event(self) -> bool:
        return self.node == kinds.EVENT


# --- Controls -----------------------------------------------------------------------------------------------------

_UNITS = tuple((unit, unit) for unit in kinds.UNITS)
_HOURS = tuple((str(hour), f"{hour}:00") for hour in range(24))
_HOUR = Control("hour", "At", "select", choices=_HOURS, usual="9")
_DAYS = tuple((day, day.capitalize()) for day in WEEKDAYS)
_FOR = (
    Control("for", "How long", usual="1", inputmode="numeric"),
    Control(
        "unit", "Unit", "select", choices=_UNITS, usual="days",
        hint="Days and weeks keep the hour of the day, whatever clocks do; minutes and hours simply pass.",
    ),
)  # fmt: skip
_WITHIN = (
    Control("within", "At most", hint="Empty: there is no limit.", inputmode="numeric"),
    Control("within_unit", "Unit of the limit", "select", choices=_UNITS, usual="days"),
)
_ALREADY = Control(
    "already", "Go on at once if it is so already", "checkbox",
    hint="Without it, only what happens from then on counts.",
)  # fmt: skip
_BESIDE = tuple(control for control in rule_form.DATES if control.name in ("custom_field_id", "days", "side"))
_NO_DATE = Control(
    "otherwise", "Whoever has no date there goes another way", "checkbox",
    hint="Without it, they go on at once.",
)  # fmt: skip
_AUTOMATION = Control("automation_id", "Automation", "thing")
_AND_LEAVE = Control("and_leave", "They leave this one then", "checkbox")

PULLS = "It also pulls people here who stand anywhere before it, as soon as it happens."
_ALSO: Mapping[str, str] = {
    kinds.TAG: "label",
    kinds.UNTAG: "remove label",
    kinds.FIELD: "custom value",
    kinds.FORM: "subscribe sign up",
    kinds.CALL: "webhook url http",
    kinds.MAIL_OWNER: "notify notification email me",
    kinds.UNSUBSCRIBE: "cancel stop",
}


def _act(key: str) -> Kind:
    kind = ACTIONS[key]
    label = kind.label[:1].upper() + kind.label[1:]
    return Kind(key, key, DO, label, kind.controls, kind.note, _ALSO[key])


def _event(key: str) -> Kind:
    kind = TRIGGERS[key]
    more = (*kind.controls, *((_ALREADY,) if _leaves_a_trace(key) else ()), *_WITHIN)
    note = f"{kind.note} {PULLS}".strip()
    return Kind(
        f"event_{key}", kinds.EVENT, HAPPENS, f"Somebody {kind.label}", more, note, "goal event until", {"trigger": key}
    )


def _leaves_a_trace(key: str) -> bool:
    """Of a changed field only where it is to have a certain value."""
    return not already.is_traceless({"trigger": key, "value": ""})


KINDS: Mapping[str, Kind] = {
    kind.key: kind
    for kind in (
        Kind("sequence", kinds.SEQUENCE, DO, "Put them into a sequence",
             (SEQUENCE,
              Control("wait", "They wait here", "select", choices=(
                  ("", "as suits the sequence"),
                  (kinds.COMPLETED, "until they have completed it"),
                  (kinds.LAST_EMAIL, "until they have had its last email"),
                  ("false", "not at all: they go on at once")),
                  hint="What suits it: until they are through it or, where it keeps people, had its last email.")),
             also="send emails course drip"),
        *(_act(key) for key in (what.TAG, what.UNTAG, what.FIELD, what.FORM)),
        Kind("move_in", kinds.MOVE, DO, "Put them into another automation", (_AUTOMATION, _AND_LEAVE),
             also="move start", fixed={"way": kinds.IN}),
        Kind("move_out", kinds.MOVE, DO, "Take them out of another automation", (_AUTOMATION,),
             also="move stop remove", fixed={"way": kinds.OUT}),
        *(_act(key) for key in (what.MAIL_OWNER, what.CALL, what.UNSUBSCRIBE)),
        Kind("wait_for", kinds.WAIT, WAIT, "Wait for some time", _FOR, also="delay pause minutes hours days weeks"),
        Kind("wait_weekday", kinds.WAIT, WAIT, "Wait for a weekday and hour",
             (Control("weekdays", "The next", "checkboxes", choices=_DAYS), _HOUR),
             "Strictly later: who comes on a Monday at nine waits a week for Monday at nine.",
             also="delay monday morning time of day"),
        Kind("wait_until", kinds.WAIT, WAIT, "Wait until a day and time",
             (Control("at", "Until", "datetime-local"),),
             "Whoever comes later goes on at once.", also="delay date launch"),
        Kind("wait_field", kinds.WAIT, WAIT, "Wait for the date in a field", (*_BESIDE, _HOUR, _NO_DATE),
             "A date that is past is no wait. A field that changes moves the date of whoever waits for it.",
             also="delay birthday custom"),
        Kind("condition", kinds.CONDITION, DECIDE, "Yes or no, by a condition", _WITHIN,
             "It is asked when they come here. With a limit they wait for it to become true, and go “no” when the "
             "time is over.",
             also="if filter branch check", asks=True),
        Kind("split_if", kinds.SPLIT, DECIDE, "Several ways, by conditions", (),
             "They go the first way that fits; further ways are added afterwards. Who fits none goes otherwise.",
             also="if filter branch segment", asks=True),
        Kind("split_share", kinds.SPLIT, DECIDE, "Several ways, by chance", (),
             "Whole percentages that add up to 100.", also="random percent test ab a/b split"),
        *(_event(key) for key in TRIGGERS if key != when.CANCELLED),
        Kind("event_date", kinds.EVENT, HAPPENS, "It is a day and time",
             (Control("at", "At", "datetime-local"), _ALREADY, *_WITHIN),
             "It pulls people here who stand anywhere before it.", "goal event launch", {"trigger": when.DATE}),
    )
}  # fmt: skip


def kind_of(node: GraphNode) -> Kind:
    """Whose form shows it."""
    settings = node.settings
    match node.kind:
        case kinds.WAIT:
            until = settings.get("until", {})
            is_day = "weekday" if "weekdays" in until else "until" if "at" in until else "field" if until else "for"
            return KINDS[f"wait_{is_day}"]
        case kinds.SPLIT:
            return KINDS["split_share" if "percent" in settings[BRANCHES][0] else "split_if"]
        case kinds.EVENT:
            return KINDS[f"event_{settings['trigger']}"]
        case kinds.MOVE:
            return KINDS[f"move_{settings['way']}"]
    return KINDS[node.kind]


def offered(q: str = "") -> list[tuple[str, list[Kind]]]:
    """What one may add, by group; narrowed by words that all stand somewhere in it."""
    words = q.lower().split()
    found = [kind for kind in KINDS.values() if all(word in _text_of(kind) for word in words)]
    groups = {group: [kind for kind in found if kind.group == group] for group in (DO, WAIT, DECIDE, HAPPENS)}
    return [(group, some) for group, some in groups.items() if some]


def _text_of(kind: Kind) -> str:
    return f"{kind.label} {kind.group} {kind.also}".lower()


def relatives(kind: Kind) -> list[Kind]:
    """Others that make the same kind of node: a step may change between them and keep its place."""
    same = {kinds.WAIT: True, kinds.EVENT: True, kinds.MOVE: True}.get(kind.node, False)
    return [one for one in KINDS.values() if same and one.node == kind.node and one != kind]


# --- From what is kept to what a form shows, and back ----------------------------------------------------------------


@dataclass(slots=True)
class Step:
    """What a form says about one step.

    typed      by control
    shares     of a split by chance: the percentage of each way, and its place among those there are ("" for a new one)
    condition  as JSON; of a kind that asks for one
    """

    kind: Kind
    typed: Typed
    shares: list[tuple[str, str]] = field(default_factory=list)
    condition: Any = None

    @classmethod
    def new(cls, kind: Kind, hour: int) -> "Step":
        typed: Typed = {control.name: control.usual for control in kind.controls}
        if "hour" in typed:
            typed["hour"] = str(hour)
        if kind.is_event:
            typed["already"] = "on" if kind.fixed["trigger"] in _ALREADY_BY_DEFAULT else ""
        return cls(kind, typed, [("50", ""), ("50", "")] if kind.has_shares else [])

    @classmethod
    def of(cls, node: GraphNode, zone: str) -> "Step":
        kind = kind_of(node)
        shares = [(str(one.get("percent")), str(place)) for place, one in enumerate(node.settings.get(BRANCHES, ()))]
        return cls(kind, _typed(kind, node, zone), shares if kind.has_shares else [], node.settings.get("if"))

    @classmethod
    def sent(cls, kind: Kind, post: QueryDict) -> "Step":
        """As a form was sent, with what its buttons say of shares."""
        typed = {control.name: _sent(post, control) for control in kind.controls}
        step = cls(kind, typed, list(_shares(post)) if kind.has_shares else [])
        do = post.get("do", "")
        if do == "add-share":
            step.shares.append(("0", ""))
        elif found := re.fullmatch(r"remove-share-(\d{1,2})", do):
            step.shares = [one for place, one in enumerate(step.shares) if place != int(found[1])]
        return step

    @property
    def settings(self) -> Settings:
        """As reading.py takes them, but for a condition."""
        return {**self.kind.fixed, **_made(self)}

    @property
    def otherwise(self) -> bool | None:
        """Whether it has that exit; None: the kind decides that by itself."""
        if self.kind.is_event:
            return bool(str(self.typed["within"]).strip())
        if self.kind.node == kinds.WAIT:
            return self.typed.get("otherwise") == "on"
        return None

    @property
    def exits(self) -> Exits:
        """Of a new one, all leading out."""
        match self.kind.key:
            case "condition":
                return {YES: None, NO: None}
            case "split_if":
                return {BRANCHES: [None], OTHERWISE: None}
            case "split_share":
                return {BRANCHES: [None for _ in self.shares]}
            case kinds.UNSUBSCRIBE:
                return {}
        return {NEXT: None} | ({OTHERWISE: None} if self.otherwise else {})


_ALREADY_BY_DEFAULT = (when.TAG_ADDED, when.FORM_JOINED, when.PURCHASED, when.FIELD_DATE, when.DATE)


def is_edit(post: QueryDict) -> bool:
    """A button of the form itself was pressed; nothing is to be saved."""
    return "share" in post.get("do", "")


def _sent(post: QueryDict, control: Control) -> Any:
    name = f"{PREFIX}-{control.name}"
    if control.what == "checkboxes":
        return [str(value) for value in post.getlist(name) if value]
    value = post.get(name, "")
    return "" if control.what == "checkbox" and value != "on" else value


def _shares(post: QueryDict) -> Iterator[tuple[str, str]]:
    place = 0
    while f"{PREFIX}-percent-{place}" in post:
        yield post.get(f"{PREFIX}-percent-{place}", ""), post.get(f"{PREFIX}-was-{place}", "")
        place += 1


def _typed(kind: Kind, node: GraphNode, zone: str) -> Typed:
    settings = node.settings
    typed = Step.new(kind, 0).typed
    if node.kind in kinds.ACTS:
        typed = _without_kind(rule_form.shown(ACTIONS[node.kind], node.action))
    elif node.kind == kinds.EVENT and kind.key != "event_date":
        typed |= _without_kind(rule_form.shown(TRIGGERS[settings["trigger"]], node.trigger))
    kept = {**settings, **settings.get("until", {})}
    named = ("sequence_id", "automation_id", "custom_field_id", "hour")
    typed |= {name: str(kept[name]) for name in named if name in kept}
    typed |= {"weekdays": kept["weekdays"]} if "weekdays" in kept else {}
    for name in ("already", "and_leave"):
        if name in typed:
            typed[name] = "on" if settings.get(name) else ""
    for name, unit in (("for", "unit"), ("within", "within_unit")):
        for found, value in settings.get(name, {}).items():
            typed |= {name: str(value), unit: found}
    if "wait" in settings:
        typed["wait"] = "false" if settings["wait"] is False else settings["wait"]
    if "at" in kept:
        typed["at"] = f"{datetime.fromisoformat(kept['at']).astimezone(ZoneInfo(zone)):%Y-%m-%dT%H:%M}"
    if kind.key == "wait_field":
        typed |= {"days": str(abs(kept["days"])), "side": "before" if kept["days"] < 0 else "after"}
        typed["otherwise"] = "on" if OTHERWISE in node.exits else ""
    return typed


def _without_kind(typed: Mapping[str, str]) -> Typed:
    return {name: value for name, value in typed.items() if name != rule_form.KIND}


def _made(step: Step) -> Settings:
    kind, typed = step.kind, step.typed
    match kind.key:
        case "sequence":
            wait = {"": {}, "false": {"wait": False}}.get(typed["wait"], {"wait": typed["wait"]})
            return _things(typed) | wait
        case "wait_for":
            return {"for": _span(typed["for"], typed["unit"])}
        case "wait_weekday":
            return {"until": {"weekdays": typed["weekdays"], "hour": as_number(typed["hour"])}}
        case "wait_until":
            return {"until": {"at": typed["at"]}}
        case "wait_field":
            return {"until": {**_things(typed), "days": _days(typed), "hour": as_number(typed["hour"])}}
        case "condition":
            return _within(typed)
        case "split_share":
            return {BRANCHES: [{"percent": as_number(percent)} for percent, _ in step.shares]}
        case "move_in" | "move_out":
            return _things(typed) | {"and_leave": typed.get("and_leave") == "on"}
        case "split_if":
            return {}
    if kind.is_event:
        return _event_made(kind, typed)
    return rule_form.members({rule_form.KIND: kind.key, **typed})


def _event_made(kind: Kind, typed: Typed) -> Settings:
    trigger = kind.fixed["trigger"]
    if trigger == when.DATE:
        made: Settings = {"at": typed["at"]}
    else:
        names = [rule_form.KIND, *(control.name for control in TRIGGERS[trigger].controls)]
        made = rule_form.trigger_of({name: typed.get(name, trigger) for name in names})
    has_already = not already.is_traceless({"trigger": trigger, **made}) or trigger == when.DATE
    return made | _within(typed) | ({"already": typed.get("already") == "on"} if has_already else {})


def _things(typed: Typed) -> Settings:
    names = ("sequence_id", "automation_id", "custom_field_id")
    return {name: as_number(str(typed[name])) for name in names if str(typed.get(name, "")).strip()}


def _days(typed: Typed) -> Any:
    days = as_number(typed["days"] or "0")
    return -days if typed["side"] == "before" and isinstance(days, int) else days


def _span(value: str, unit: str) -> Any:
    return {unit: as_number(value)} if value.strip() else None


def _within(typed: Typed) -> Settings:
    return {"within": _span(typed["within"], typed["within_unit"])} if typed["within"].strip() else {}


# --- What a page shows ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Share:
    """One way of a split by chance. number: from 1"""

    number: int
    label: str
    name: str
    was_name: str
    was: str
    remove: str


@dataclass(frozen=True, slots=True)
class Page:
    """form   values and problems of all controls"""

    step: Step
    form: forms.Form
    controls: list[Shown]
    shares: list[Share]
    is_cut: bool


def page(account: Account, step: Step, error: Invalid | None = None, *, key: str = "", own: int | None = None) -> Page:
    """error  why it could not be saved
    key    of its node, which the problems are looked for by
    own    id of the automation, into which no step moves anybody
    """
    things = Things(account)
    controls = [rule_form.control_shown(PREFIX, control, step.typed, things) for control in step.kind.controls]
    controls = [_without(one, own) if one.name == f"{PREFIX}-automation_id" else one for one in controls]
    values = {f"{PREFIX}-{name}": value for name, value in step.typed.items()}
    values |= {f"{PREFIX}-percent-{place}": percent for place, (percent, _) in enumerate(step.shares)}
    problems = [_problem(one, step.kind, key) for one in error.problems] if error else []
    return Page(step, forms.Form(values, problems), controls, list(_rows(step)), things.is_cut)


def _without(shown: Shown, own: int | None) -> Shown:
    return replace(shown, choices=[one for one in shown.choices if one[0] != own])


def _rows(step: Step) -> Iterator[Share]:
    for place, (_, was) in enumerate(step.shares):
        names = (f"{PREFIX}-percent-{place}", f"{PREFIX}-was-{place}")
        yield Share(place + 1, f"Way {place + 1}, percent", *names, was, f"remove-share-{place}")


def was_of(shares: Sequence[tuple[str, str]]) -> list[int | None]:
    """Of each way its place among those there were; None: it is new."""
    return [int(was) if was.isdigit() else None for _, was in shares]


# --- What was refused -----------------------------------------------------------------------------------------------

_NODE = re.compile(r"nodes\[\d+\]\.?(.*)")


def _problem(problem: Problem, kind: Kind, key: str) -> Problem:
    """`nodes[2].for.days`, beside its control and called as that is."""
    member, sentence = problem[0] or "", problem[1]
    found = _NODE.fullmatch(member)
    said = f"The node {key}: "
    if found is None or not sentence.startswith(said):
        return None, sentence
    path, sentence = found[1], sentence.removeprefix(said)
    name = _control_of(path)
    control = next((one for one in kind.controls if one.name == name), None)
    if control is None:
        return _of_no_control(path, sentence)
    if control.what == "thing" and sentence.endswith("can't be blank"):
        return f"{PREFIX}-{name}", f"Choose a {control.label.lower()}"
    return f"{PREFIX}-{name}", _called(path, sentence, control.label)


def _control_of(path: str) -> str:
    first, _, rest = path.partition(".")
    return rest or "weekdays" if first == "until" else first


def _of_no_control(path: str, sentence: str) -> Problem:
    if found := re.fullmatch(r"branches\[(\d+)\]\.percent", path):
        return f"{PREFIX}-percent-{found[1]}", _called(path, sentence, f"Way {int(found[1]) + 1}")
    if path.startswith("if") or ".if" in path:
        return FILTER, "Say what the condition is" if sentence.endswith("can't be blank") else sentence
    return None, _called(path, sentence, "The ways" if path == BRANCHES else "It")


def _called(path: str, sentence: str, label: str) -> str:
    return f"{label}{sentence.removeprefix(path)}" if sentence.startswith(path) else sentence
