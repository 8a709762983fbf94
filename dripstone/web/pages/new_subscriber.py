"""Add one person by hand: address, name, fields, tags, a sequence. Whatever this does beyond a new row is told first.

Somebody who is on file keeps what is known of them unless one says otherwise, and the state they have (R20).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.engine import enroll
from dripstone.engine.acts import entries
from dripstone.engine.models import Enrollment
from dripstone.errors import Invalid, Problem
from dripstone.given import FromText, plain_address
from dripstone.sequences.models import Sequence
from dripstone.subscribers import subscribe, tags
from dripstone.subscribers.models import CustomField, State, Subscriber, Tag
from dripstone.web import forms
from dripstone.web.forms import Form
from dripstone.web.frame import member, show
from dripstone.web.pages.new_person import ahead, said

LISTS = ("tags",)
FIELD = "field-"  # and the field's id
OFFERED_TAGS, OFFERED_FIELDS, OFFERED_SEQUENCES = 24, 12, 200
MAX_NEW_TAGS = 50
NO_MAIL = {
    State.CANCELLED: "They unsubscribed",
    State.BOUNCED: "Their mail server refused them for good",
    State.COMPLAINED: "They reported an email as spam",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is known of them, and was typed otherwise. key: of a field; "" is the name."""

    key: str
    known: str
    typed: str


@dataclass(slots=True)
class Plan:
    """What adding them would do.

    person        whoever has the address; None: somebody new
    differences   what stays as it is unless `overwrites`
    tags          those there are, and names of new ones
    """

    address: str
    person: Subscriber | None
    first_name: str
    fields: dict[str, str]  # by key
    differences: list[Difference]
    overwrites: bool
    tags: list[Tag | str] = field(default_factory=list)
    sequence: Sequence | None = None

    @property
    def given(self) -> dict[str, Any]:
        """For subscribe.upsert."""
        keeps = set() if self.overwrites else {one.key for one in self.differences}
        fields = {key: value for key, value in self.fields.items() if key not in keeps}
        name = {"first_name": self.first_name} if self.first_name and "" not in keeps else {}
        return {"email_address": self.address, "fields": fields, **name}


@require_http_methods(["GET", "HEAD", "POST"])
@member
def new_subscriber(request: HttpRequest, account: Account) -> HttpResponse:
    if request.method != "POST":
        return _form(request, account, Form({"sequence_id": request.GET.get("sequence", "")}))
    now = clock.now()
    try:
        plan = _plan(request, account)
        lines = list(_lines(plan, now))
        figure = _figure(plan, lines)
        if (lines or plan.person) and request.POST.get("seen") != figure:
            return _ask(request, account, plan, lines, figure)
        arrival = entries.add_to_account(
            account.pk, plan.given, plan.tags, plan.sequence, now, cause=forms.cause(request)
        )
    except Invalid as error:
        return _form(request, account, forms.refused(request, error, LISTS), 422)
    messages.success(request, _said(arrival, plan, account, now))
    return redirect(f"{reverse('people')}?q={arrival.person.email_address}")


# --- What was typed -----------------------------------------------------------------------------------------------


def _plan(request: HttpRequest, account: Account) -> Plan:
    """Raises Invalid with every problem. What was left blank is nothing that is known, and takes nothing away."""
    given = forms.given(request, LISTS)
    labels = dict(CustomField.objects.filter(account=account).values_list("pk", "key"))
    fields = {key: text for pk, key in labels.items() if (text := given.get(f"{FIELD}{pk}", "").strip())}
    name = given.get("first_name", "").strip()
    read = FromText({"email_address": given.get("email_address", ""), "first_name": name, "fields": fields})
    problems = []
    try:
        address = subscribe.check(read, is_new=True)["email_address"]
    except Invalid as error:
        address = plain_address(given.get("email_address", ""))
        problems += error.problems
    wanted, wrong = _tags(given, account)
    sequence, missing = _sequence(given.get("sequence_id", ""), account)
    if problems + wrong + missing:
        raise Invalid(problems=[*problems, *wrong, *missing])
    person = Subscriber.objects.filter(account=account, email_address=address).first()
    differences = list(_differences(person, name, fields, account)) if person else []
    return Plan(address, person, name, fields, differences, given.get("overwrite") == "on", wanted, sequence)


def _tags(given: FromText, account: Account) -> tuple[list[Tag | str], list[Problem]]:
    """Ticked ones, and names with commas; a name that there is, in any case, is that tag."""
    ids = [int(text) for text in given.get("tags", []) if text.isdigit() and len(text) < 19]
    ticked: list[Tag | str] = list(Tag.objects.filter(account=account, pk__in=ids).order_by(Lower("name")))
    names = list(dict.fromkeys(name for text in given.get("new_tags", "").split(",") if (name := text.strip())))
    if len(names) > MAX_NEW_TAGS:
        return ticked, [("new_tags", f"Name at most {MAX_NEW_TAGS} tags")]
    problems: list[Problem] = []
    for name in names:
        try:
            tags.check({"name": name})
        except Invalid as error:
            problems += [("new_tags", f"“{name[:40]}”: {sentence}") for sentence in error.messages]
    there = Tag.objects.filter(account=account).annotate(lower=Lower("name"))
    known = {tag.name.lower(): tag for tag in there.filter(lower__in=[name.lower() for name in names])}
    wanted: list[Tag | str] = [*ticked, *(known.get(name.lower(), name) for name in names)]
    return list(dict.fromkeys(wanted)), problems


def _sequence(text: str, account: Account) -> tuple[Sequence | None, list[Problem]]:
    if not text:
        return None, []
    is_id = text.isascii() and text.isdigit() and len(text) < 19
    found = Sequence.objects.filter(account=account, pk=int(text), deleted_at=None).first() if is_id else None
    return found, [] if found else [("sequence_id", "This sequence is not there any more")]


def _differences(person: Subscriber, name: str, fields: dict[str, str], account: Account) -> Iterator[Difference]:
    if name and person.first_name and name != person.first_name:
        yield Difference("", person.first_name, name)
    for one in CustomField.objects.filter(account=account, key__in=fields).order_by(Lower("label")):
        known = str(person.fields.get(str(one.pk)) or "")
        if known and known != fields[one.key]:
            yield Difference(one.key, known, fields[one.key])


# --- What it would do ---------------------------------------------------------------------------------------------


def _lines(plan: Plan, now: datetime) -> Iterator[str]:
    """As sentences; nothing for somebody new who enters no sequence."""
    person = plan.person
    if person is not None and (why := NO_MAIL.get(State(person.state))):
        stays = "They stay as they are: nothing is sent to them, and only they can come back, by signing up again."
        if person.state == State.COMPLAINED:
            stays = "They stay as they are: nothing is sent to them."
        yield f"{why}. {stays}"
    if person is not None and person.state == State.INACTIVE:
        yield "They have yet to confirm their address: nothing is sent to them before they do."
    if new := [one for one in plan.tags if isinstance(one, str)]:
        yield f"{words.listed(words.title(name) for name in new)}: {words.agree(len(new), 'a new tag', 'new tags')}."
    if plan.sequence is not None:
        yield from _of_sequence(plan, plan.sequence)


def _of_sequence(plan: Plan, sequence: Sequence) -> Iterator[str]:
    title = words.title(sequence.name)
    person = plan.person
    if person is None:
        yield f"They enter {title}."
        return
    if person.state in NO_MAIL:
        yield f"They do not enter {title}."
        return
    place = Enrollment.objects.filter(sequence=sequence, subscriber=person).first()
    if place is None:
        yield f"They enter {title}."
        return
    change = enroll.change_for(place.status, sequence.repeat, "owner")
    yield {
        "nothing": f"They are or were in {title} already, and nothing changes there.",
        "restart": f"They were in {title}, and begin it anew.",
        "continue": f"They were taken out of {title}, and go on where they left off.",
        "enter": f"They enter {title}.",
    }[change]


def _figure(plan: Plan, lines: list[str]) -> str:
    """Of what was told: if it is another one by now, it is told again."""
    told = [plan.address, plan.person.pk if plan.person else 0, plan.first_name, plan.fields, lines]
    told += [[one.key, one.known, one.typed] for one in plan.differences]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def _said(arrival: entries.Arrival, plan: Plan, account: Account, now: datetime) -> str:
    person = arrival.person
    who = person.first_name or person.email_address
    if arrival.entry is not None and plan.sequence is not None:
        return said(arrival.entry, plan.sequence, account, now)
    if person.state in NO_MAIL:
        return f"{who} is on file. Nothing is sent to them: {NO_MAIL[State(person.state)].lower()}."
    return f"{who} is on file now." if arrival.is_new else f"{who} was on file already; the rest is noted."


# --- Pages --------------------------------------------------------------------------------------------------------


def _form(request: HttpRequest, account: Account, form: Form, status: int = 200) -> HttpResponse:
    listed = Tag.objects.filter(account=account).order_by(Lower("name"), "pk")
    fields = CustomField.objects.filter(account=account).order_by(Lower("label"), "pk")
    sequences = Sequence.objects.filter(account=account, deleted_at=None).order_by(Lower("name"), "pk")
    context = {
        "section": "people",
        "current": "true",
        "form": form,
        "tag_choices": list(listed.values_list("pk", "name")[:OFFERED_TAGS]),
        "has_more_tags": listed.count() > OFFERED_TAGS,
        "fields": [(f"{FIELD}{pk}", label) for pk, label in fields.values_list("pk", "label")[:OFFERED_FIELDS]],
        "has_more_fields": fields.count() > OFFERED_FIELDS,
        "sequences": [("", "None"), *sequences.values_list("pk", "name")[:OFFERED_SEQUENCES]],
    }
    return show(request, "people/new.html", account, context, status)


def _ask(request: HttpRequest, account: Account, plan: Plan, lines: list[str], figure: str) -> HttpResponse:
    goes_in = plan.sequence is not None and any(line.startswith("They enter") for line in lines)
    labels = dict(CustomField.objects.filter(account=account).values_list("key", "label"))
    context = {
        "section": "people",
        "current": "true",
        "plan": plan,
        "lines": lines,
        "labels": [(labels.get(one.key, "First name"), one) for one in plan.differences],
        "seen": figure,
        "members": [
            (name, value)
            for name in request.POST
            if name not in forms.NOT_MEMBERS and name != "overwrite"
            for value in request.POST.getlist(name)
        ],
        "sequence": plan.sequence,
        "ahead": ahead(plan.sequence, clock.now()) if goes_in and plan.sequence else None,
        "goes_in": goes_in,
    }
    return show(request, "people/adding.html", account, context)
