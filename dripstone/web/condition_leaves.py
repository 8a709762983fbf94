"""What one blank of a condition asks: the members of a leaf as controls of a form, and back.

A kind is what people choose ("wait for an email"); a type of leaf may have several. Members that a form does not show
stay in the leaf.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import QueryDict

from dripstone import words
from dripstone.accounts.models import Account
from dripstone.automations.models import Automation
from dripstone.content import subjects
from dripstone.errors import Problem
from dripstone.given import is_id
from dripstone.grammar import kinds as grammar
from dripstone.purchases.models import Product
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import CustomField, Form, Segment, Tag
from dripstone.web.condition_tree import Condition

PREFIX = "leaf-"  # of controls, so that they are no members of the page's own
SIGN = "sign"  # "yes", or "no": what the leaf says is denied
OFFERED = 12  # things to tick at a time; the others are found by searching
MOST_FIELDS = 1_000

Values = dict[str, Any]  # by control: a text, or a list of texts
Choices = list[tuple[Any, str]]


@dataclass(frozen=True, slots=True)
class Control:
    """what    a kind of `{% field %}`, or "things": ids that are searched for and ticked
    usual   what it shows in a new leaf
    thing   of which kind those are
    """

    name: str
    label: str
    what: str = "text"
    hint: str = ""
    choices: Callable[[Account], Choices] = lambda _: []
    usual: Any = ""
    thing: str = ""
    inputmode: str = ""

    @property
    def is_several(self) -> bool:
        return self.what in ("things", "checkboxes")


@dataclass(frozen=True, slots=True)
class Kind:
    """group     where it stands among the kinds to choose from
    label     there: "have a tag"
    yes, no   what it says, and its denial
    missing   why nobody is found by it; "" for what is recorded
    """

    key: str
    type: str
    group: str
    label: str
    yes: str
    no: str
    controls: tuple[Control, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A control as a form shows it.

    chosen, found   of things: (id, name) of those that are ticked, and of some that are not
    is_searched     there are more than are shown at a time
    is_cut          more of them have what was searched for
    """

    name: str
    label: str
    what: str
    hint: str
    choices: Choices
    thing: str = ""
    inputmode: str = ""
    find: str = ""
    chosen: tuple[tuple[int, str], ...] = ()
    found: tuple[tuple[int, str], ...] = ()
    is_searched: bool = False
    is_cut: bool = False


# --- The kinds ----------------------------------------------------------------------------------------------------


def _fixed(*choices: tuple[str, str]) -> Callable[[Account], Choices]:
    return lambda _: list(choices)


def _fields(account: Account) -> Choices:
    rows = CustomField.objects.filter(account=account).order_by(Lower("label"), "pk")
    return [("", "Choose a field"), *rows.values_list("pk", "label")[:MOST_FIELDS]]


def _things(label: str, thing: str, name: str = "ids", hint: str = "") -> Control:
    return Control(name, label, "things", hint, usual=[], thing=thing)


def _has(any_one: str, every: str) -> Control:
    return Control(
        "has", "If there are several", "radios", choices=_fixed(("any", any_one), ("all", every)), usual="any"
    )


DAYS = Control("within_days", "In the last … days", hint="A number. Leave it empty for any time.", inputmode="numeric")
AFTER = Control("after", "After", "date")
BEFORE = Control("before", "Before", "date")
AT_LEAST = Control(
    "count_greater_than_or_equal", "At least … times", hint="A number. Empty: once.", inputmode="numeric"
)
VALUE = Control("value", "Text")
HAVE, ARE, MAIL = "What is known of them", "Where they are", "Mail and more"
NOT_YET = "Nothing is recorded of this yet, so nobody is found by it. It is kept, and will work when it is recorded."

KINDS: Mapping[str, Kind] = {
    kind.key: kind
    for kind in (
        Kind("tags", grammar.TAGS, HAVE, "have a tag", "have", "do not have",
             (_things("Tags", "tag"), _has("one of them", "all of them"))),
        Kind("field", grammar.FIELD, HAVE, "have something in a field", "have", "do not have",
             (Control("subscriber_custom_field_id", "Field", "select", choices=_fields),
              Control("comparison", "What stands in it", "select", usual="is", choices=_fixed(
                  ("is", "is this text"), ("contains", "contains this text"), ("has_value", "is anything at all"),
                  ("greater_than", "is a number above"), ("greater_than_or_equal", "is a number from"),
                  ("less_than", "is a number below"), ("less_than_or_equal", "is a number up to"),
                  ("before", "is a date before"), ("after", "is a date after"),
                  ("days_from_now", "is a date so many days from now"))),
              Control("value", "Text, number or date", hint="A date as 2026-11-24. Empty for anything at all."))),
        Kind("state", grammar.STATE, HAVE, "are in a state", "are", "are not",
             (Control("states", "States", "checkboxes", usual=[], choices=_fixed(
                 ("active", "Active"), ("inactive", "Unconfirmed"), ("cancelled", "Unsubscribed"),
                 ("bounced", "Refused at delivery"), ("complained", "Complained"))),)),
        Kind("address", grammar.ADDRESS, HAVE, "have an address", "have", "do not have",
             (Control("comparison", "An address that", "select", usual="ends_with", choices=_fixed(
                 ("ends_with", "ends with"), ("contains", "contains"), ("is", "is"))),
              Control("value", "Text", hint="For everybody at one place: @example.org"))),
        Kind("since", grammar.SUBSCRIBED, HAVE, "came at a time", "came", "did not come",
             (Control("within_days", "In the last … days", hint="A number, or one of the dates below.",
                      inputmode="numeric"), AFTER, BEFORE)),
        Kind("origin", grammar.ATTRIBUTION, HAVE, "came from somewhere", "came", "did not come",
             (Control("origin", "What their first form noted", "select", usual="referrer", choices=_fixed(
                 ("referrer", "the page they came from"), ("utm_source", "utm_source"), ("utm_medium", "utm_medium"),
                 ("utm_campaign", "utm_campaign"), ("utm_term", "utm_term"), ("utm_content", "utm_content"))),
              Control("comparison", "And that", "select", usual="contains", choices=_fixed(
                  ("contains", "contains"), ("is", "is"), ("starts_with", "starts with"), ("ends_with", "ends with"),
                  ("has_value", "is anything at all"))),
              Control("value", "Text", hint="Empty for anything at all."))),
        Kind("sequence", grammar.SEQUENCES, ARE, "are or were in a sequence", "are", "are not",
             (Control("place", "How", "select", usual="inside", choices=_fixed(
                 ("inside", "are inside it"), ("completed", "completed it"), ("left", "left it"),
                 ("ever", "ever entered it"))), _things("Sequences", "sequence"))),
        Kind("waiting", grammar.SEQUENCES, ARE, "wait for an email", "wait", "do not wait",
             (_things("Emails", "email", "waiting_for"),)),
        Kind("automation", grammar.AUTOMATIONS, ARE, "are or were in an automation", "are", "are not",
             (Control("place", "How", "select", usual="inside", choices=_fixed(
                 ("inside", "are inside it"), ("completed", "walked it to its end"),
                 ("left", "left it before its end"), ("ever", "ever entered it"))),
              _things("Automations", "automation"))),
        Kind("forms", grammar.FORMS, ARE, "signed up by a form", "did", "did not",
             (_things("Forms", "form"), _has("one of them", "all of them"))),
        Kind("segments", grammar.SEGMENTS, ARE, "are in a segment", "are", "are not",
             (_things("Segments", "segment"), _has("one of them", "all of them"))),
        Kind("sent", grammar.SENT, MAIL, "were sent an email", "were", "were not",
             (_things("Emails", "email", "emails", "Tick none for any email."), AT_LEAST, DAYS, AFTER, BEFORE)),
        Kind("opens", grammar.OPENS, MAIL, "opened an email", "did", "did not", (AT_LEAST, DAYS), NOT_YET),
        Kind("clicks", grammar.CLICKS, MAIL, "clicked a link", "did", "did not", (AT_LEAST, DAYS), NOT_YET),
        Kind("delivered", grammar.DELIVERED, MAIL, "got an email delivered", "did", "did not",
             (AT_LEAST, DAYS), NOT_YET),
        Kind("purchases", grammar.PURCHASES, MAIL, "bought something", "did", "did not",
             (_things("Products", "product", "products", "Tick none for anything."), AT_LEAST,
              Control("total_greater_than_or_equal", "For at least … in all", inputmode="numeric",
                      hint="A whole number. Empty: however much."),
              Control("currency", "Currency", hint="Three capital letters, such as USD. Empty for any; amounts of "
                      "several currencies would be added up as numbers."), DAYS, AFTER, BEFORE)),
        Kind("location", grammar.LOCATION, MAIL, "are somewhere", "are", "are not",
             (Control("countries", "Countries", hint="Two capital letters each, with commas: DE, AT"),)),
    )
}  # fmt: skip


def grouped() -> Iterator[tuple[str, list[Kind]]]:
    for group in (HAVE, ARE, MAIL):
        yield group, [kind for kind in KINDS.values() if kind.group == group]


def kind_of(leaf: Condition) -> Kind | None:
    """None for a leaf that no form has."""
    if leaf.get("type") == grammar.SEQUENCES:
        return KINDS["waiting" if leaf.get("waiting_for") else "sequence"]
    if leaf.get("type") == grammar.ATTRIBUTION and not _is_one_origin(leaf):
        return None
    if leaf.get("type") == grammar.LOCATION and "countries" not in leaf:
        return None
    return next((kind for kind in KINDS.values() if kind.type == leaf.get("type")), None)


def _is_one_origin(leaf: Condition) -> bool:
    return len(leaf["any"]) == 1 and leaf["any"][0]["type"] in grammar.ORIGINS


# --- From a leaf to what its form shows ---------------------------------------------------------------------------


def field_name(name: str) -> str:
    return PREFIX + name


def shown(kind: Kind, leaf: Condition) -> Values:
    """What the controls show of a leaf; {} is a new one."""
    values = {control.name: control.usual for control in kind.controls}
    if not leaf:
        return values
    match kind.key:
        case "origin":
            [one] = leaf["any"]
            return values | {"origin": one["type"], "comparison": one["comparison"], "value": one.get("value", "")}
        case "sent":
            emails = [pk for part in leaf.get("any", ()) if part["type"] == "emails" for pk in part["ids"]]
            values["emails"] = emails
        case "location":
            return {"countries": ", ".join(leaf["countries"])}
    said = {name: leaf[name] for name in values if leaf.get(name) is not None}
    return {name: _as_shown(value) for name, value in (values | said).items()}


def _as_shown(value: Any) -> Any:
    return [str(one) for one in value] if isinstance(value, list) else str(value)


def typed(kind: Kind, query: QueryDict) -> Values:
    """What was sent by the form, of controls that were there."""
    values: Values = {SIGN: query.get(field_name(SIGN), "yes")}
    for control in kind.controls:
        name = field_name(control.name)
        values[control.name] = (
            [one for one in query.getlist(name) if one] if control.is_several else query.get(name, "")
        )
    return values


def questions(kind: Kind, values: Values, account: Account, find: str) -> Iterator[Question]:
    yield Question(field_name(SIGN), "They", "radios", "", [("yes", kind.yes), ("no", kind.no)])
    for control in kind.controls:
        choices = control.choices(account)
        one = Question(
            field_name(control.name),
            control.label,
            control.what,
            control.hint,
            choices,
            control.thing,
            control.inputmode,
        )
        yield _with_things(one, values[control.name], account, find) if control.thing else one


def _with_things(one: Question, ticked: list[str], account: Account, find: str) -> Question:
    """Those that are ticked, and some to tick: an account has thousands of them."""
    ids = [int(text) for text in map(str, ticked) if text.isascii() and text.isdigit() and is_id(int(text[:20]))]
    rows = THINGS[one.thing](account, "")
    named = {row.pk: _title(row) for row in rows.filter(pk__in=ids)}
    others = list(THINGS[one.thing](account, find.strip()).exclude(pk__in=ids)[: OFFERED + 1])
    return Question(
        one.name,
        one.label,
        one.what,
        one.hint,
        [],
        one.thing,
        find=find,
        chosen=tuple((pk, named.get(pk, f"number {pk}, which is gone")) for pk in ids),
        found=tuple((row.pk, _title(row)) for row in others[:OFFERED]),
        is_searched=bool(find) or len(others) > OFFERED or len(ids) > OFFERED,
        is_cut=len(others) > OFFERED,
    )


def _title(row: Any) -> str:
    if isinstance(row, SequenceEmail):
        return f"{row.sequence.name}: {words.title(subjects.readable(row.subject))}"
    return str(row.name)


def _named(rows: QuerySet[Any], find: str) -> QuerySet[Any]:
    return (rows.filter(name__icontains=find) if find else rows).order_by(Lower("name"), "pk")


def _emails(account: Account, find: str) -> QuerySet[SequenceEmail]:
    rows = SequenceEmail.objects.filter(account=account, deleted_at=None, sequence__deleted_at=None)
    found = rows.filter(subject__icontains=find) | rows.filter(sequence__name__icontains=find) if find else rows
    return found.defer("content").select_related("sequence").order_by(Lower("sequence__name"), "sequence", "position")


THINGS: Mapping[str, Callable[[Account, str], QuerySet[Any]]] = {
    "product": lambda account, find: _named(Product.objects.filter(account=account), find),
    "tag": lambda account, find: _named(Tag.objects.filter(account=account), find),
    "form": lambda account, find: _named(Form.objects.filter(account=account), find),
    "segment": lambda account, find: _named(Segment.objects.filter(account=account), find),
    "sequence": lambda account, find: _named(Sequence.objects.filter(account=account, deleted_at=None), find),
    "automation": lambda account, find: _named(Automation.objects.filter(account=account), find),
    "email": _emails,
}


# --- From what was typed to a leaf --------------------------------------------------------------------------------


def made(kind: Kind, values: Values, old: Condition, account: Account) -> Condition:
    """The leaf, for the grammar to check: a text that is no number stays text."""
    said = {control.name: _as_member(control, values[control.name]) for control in kind.controls}
    match kind.key:
        case "waiting":
            said |= {"place": "inside", "ids": _sequences_of(said["waiting_for"], account)}
        case "origin":
            said = {"any": [_without_nothing({"type": said.pop("origin"), **said})]}
        case "sent":
            others = [part for part in old.get("any", ()) if part["type"] != "emails"]
            emails = said.pop("emails")
            said["any"] = [*([{"type": "emails", "ids": emails}] if emails else []), *others] or None
        case "location":
            said["countries"] = [text.strip() for text in values["countries"].split(",")]
        case "purchases":
            said["products"] = said["products"] or None
            said["currency"] = (said["currency"] or "").upper() or None
        case "field" if said["comparison"] == "has_value":
            said["value"] = None
    return _without_nothing({**old, "type": kind.type, **said})


def _without_nothing(leaf: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in leaf.items() if value is not None}


def _as_member(control: Control, value: Any) -> Any:
    if control.what == "things":
        return [_number(one) for one in value]
    if control.is_several:
        return list(value)
    text = value.strip()
    if control.inputmode == "numeric" or control.name == "subscriber_custom_field_id":
        return _number(text) if text else None
    return text or None


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


def _sequences_of(email_ids: list[Any], account: Account) -> list[int]:
    ids = [pk for pk in email_ids if is_id(pk)]
    rows = SequenceEmail.objects.filter(account=account, pk__in=ids)
    return sorted(set(rows.values_list("sequence_id", flat=True)))


def problem(kind: Kind, found: Problem, top: str) -> Problem:
    """One of the grammar beside its control, in words for who sees only that. top: `filter.all[0].`, of this leaf."""
    member, sentence = found
    if not member or not f"{member}.".startswith(top):
        return None, sentence
    name = member.removeprefix(top).rpartition(".")[2].partition("[")[0]
    control = next((one for one in kind.controls if one.name == name), kind.controls[0])
    if control.is_several:
        return field_name(control.name), "Choose at least one"
    if sentence.endswith("must be given"):
        return field_name(control.name), "Say a number of days, or a date"
    return field_name(control.name), f"{control.label}: {sentence.removeprefix(member).strip()}"
