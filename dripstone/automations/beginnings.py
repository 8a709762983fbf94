"""A new automation from a template (templates.py), with the tags, fields and sequences that it names.

Takes       answers: names of things, ids of products, numbers, a day and an hour
Leaves      an automation, inactive, and the things that were missing
A crash here means there is neither: it is all one transaction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from dripstone.accounts.models import Account
from dripstone.automations import templates, verbs
from dripstone.automations.models import Automation
from dripstone.automations.templates import Question, Template
from dripstone.engine import schedule
from dripstone.engine.acts import edits
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.given import Checked, Given
from dripstone.grammar import kinds
from dripstone.purchases.models import Product
from dripstone.sequences.models import Sequence
from dripstone.subscribers import fields, tags
from dripstone.subscribers.models import CustomField, Tag

HOUR = "_hour"  # `day_hour`: beside the day of an instant


@dataclass(frozen=True, slots=True)
class Made:
    """things   what was missing and is there now: ("sequence", "Last chance")"""

    automation: Automation
    things: list[tuple[str, str]]


@transaction.atomic
def create(account: Account, key: str, given: Given, now: datetime, actor: str = verbs.OWNER) -> Made:
    """key     of a template
    given   `name`, and an answer for each question: of a thing its name, of a product its id; of an instant `day`
            (yyyy-mm-dd) and `day_hour`
    Raises Invalid with every problem by its member.
    """
    template = templates.BY_KEY.get(key)
    if template is None:
        raise Invalid.member("template", f"template must be one of: {', '.join(templates.BY_KEY)}")
    answers = _Answers(account, template, given, now, actor)
    found = answers.read()
    graph = template.graph(found)
    automation = verbs.create(account, {"name": answers.name, "reenter": "always", **graph}, now, actor)
    return Made(automation, answers.made)


class _Answers:
    def __init__(self, account: Account, template: Template, given: Given, now: datetime, actor: str) -> None:
        self.made: list[tuple[str, str]] = []
        self.name = template.name
        self._account, self._questions, self._now, self._actor = account, template.questions, now, actor
        self._read = Checked(given, required=[one.name for one in template.questions if not one.is_optional])

    def read(self) -> dict[str, Any]:
        """What is asked is checked as a whole before anything is made."""
        self._read.drop_nulls("name", *(one.name for one in self._questions if one.is_optional))
        if str(self._read.given.get("name") or "").strip():
            self._read.name("name")
        for one in self._questions:
            _READ[one.kind](self, one)
        values = self._read.sound()
        self.name = values.get("name", self.name)
        return {one.name: self._answer(one, values.get(one.name)) for one in self._questions}

    def _answer(self, one: Question, value: Any) -> Any:
        return self._thing(one, value) if one.kind in templates.MADE and value is not None else value

    # Readers

    def named(self, one: Question) -> None:
        if one.is_optional and not str(self._read.given.get(one.name) or "").strip():
            return
        self._read.name(one.name)
        name = self._read.values.get(one.name)
        if one.repeats and name is not None:
            self._refuse_once(one, name)

    def _refuse_once(self, one: Question, name: str) -> None:
        """The second time, a sequence that does not repeat sends nothing."""
        found = _sequence_named(self._account, name)
        if found is not None and not found.repeat:
            sentence = "sends nothing to those who have completed it: let it repeat in its settings, or name a new one"
            self._read.refuse(one.name, f"“{found.name}” {sentence}")

    def product(self, one: Question) -> None:
        if one.is_optional and not self._read.given.get(one.name):
            return
        self._read.id(one.name)
        pk = self._read.values.get(one.name)
        if pk is not None and not Product.objects.filter(account=self._account, pk=pk).exists():
            self._read.refuse(one.name, f"{one.name}: product {pk} does not exist")

    def number(self, one: Question) -> None:
        self._read.whole_number(one.name, one.least, one.most)

    def instant(self, one: Question) -> None:
        """Of the account's zone."""
        if not self._read.given.get(one.name):
            self._read.blank(one.name)
            return
        day = kinds.day(self._read, one.name)
        self._read.whole_number(f"{one.name}{HOUR}", 0, 23)
        hour = self._read.values.get(f"{one.name}{HOUR}", self._account.send_hour)
        if day is not None:
            self._read.values[one.name] = _instant(day, hour, ZoneInfo(self._account.time_zone))

    # Things

    def _thing(self, one: Question, name: str) -> int:
        found, is_new = _THINGS[one.kind](self, one, name)
        if is_new:
            self.made.append((one.kind, name))
        return found

    def tag(self, one: Question, name: str) -> tuple[int, bool]:
        tag, is_new = tags.create(self._account.pk, {"name": name}, self._now, cause=causes.of_actor(self._actor))
        return tag.pk, is_new

    def field(self, one: Question, name: str) -> tuple[int, bool]:
        cause = causes.of_actor(self._actor)
        field, is_new = fields.create(self._account.pk, {"label": name}, self._now, cause=cause)
        return field.pk, is_new

    def sequence(self, one: Question, name: str) -> tuple[int, bool]:
        """Without emails: its checks and the automation's say so until there are some."""
        found = _sequence_named(self._account, name)
        if found is not None:
            return found.pk, False
        given = {"name": name, "repeat": one.repeats}
        return edits.create_sequence(self._account, given, self._now, self._actor).sequence.pk, True


def _sequence_named(account: Account, name: str) -> Sequence | None:
    """The newest of that name."""
    rows = Sequence.objects.filter(account=account, deleted_at=None, name__iexact=name)
    return rows.order_by("-pk").first()


def _instant(day: date, hour: int, zone: ZoneInfo) -> str:
    return schedule.instant(datetime.combine(day, time(hour)), zone).astimezone(zone).isoformat()


_READ: Mapping[str, Callable[[_Answers, Question], None]] = {
    "tag": _Answers.named,
    "sequence": _Answers.named,
    "custom_field": _Answers.named,
    "product": _Answers.product,
    "days": _Answers.number,
    "instant": _Answers.instant,
}
_THINGS: Mapping[str, Callable[[_Answers, Question, str], tuple[int, bool]]] = {
    "tag": _Answers.tag,
    "custom_field": _Answers.field,
    "sequence": _Answers.sequence,
}


def names_there(account: Account) -> dict[str, list[str]]:
    """What there is of each kind that may be named, for a list to choose from."""
    sequences = Sequence.objects.filter(account=account, deleted_at=None).order_by("name")
    rows = {
        "tag": Tag.objects.filter(account=account).order_by("name").values_list("name", flat=True),
        "custom_field": CustomField.objects.filter(account=account).order_by("label").values_list("label", flat=True),
        "sequence": sequences.values_list("name", flat=True),
    }
    return {kind: list(dict.fromkeys(names[:1_000])) for kind, names in rows.items()}
