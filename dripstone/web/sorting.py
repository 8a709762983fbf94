"""What the pages of tags, custom fields and segments share: where one is used, and asking before it goes."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from dripstone import words
from dripstone.accounts.models import Account
from dripstone.automations import uses as automation_uses
from dripstone.conditions import uses
from dripstone.conditions.uses import Use
from dripstone.content.subjects import readable
from dripstone.errors import Invalid
from dripstone.explain import automation_words, rule_words
from dripstone.foresight import losing
from dripstone.foresight.losing import Silenced
from dripstone.grammar import Thing
from dripstone.rules import uses as rule_uses
from dripstone.sequences.models import SequenceEmail
from dripstone.subscribers.models import CustomField, Segment, Tag
from dripstone.subscribers.models import Form as SignUpForm
from dripstone.uses.of import Graph, Reach, Uses
from dripstone.web import forms, library
from dripstone.web.forms import Form
from dripstone.web.frame import show
from dripstone.web.library import Place
from dripstone.web.templatetags.dripstone_words import STATE_PILLS


@dataclass(frozen=True, slots=True)
class Used:
    """Where a thing stands: in conditions, rules, automations, forms and, of a custom field, in what is printed.

    places   by heading
    printed  of a custom field: web/library.py
    any_field   what may print any field, since the key is made up while printing
    """

    uses: list[Use]
    places: dict[str, list[Place]]
    printed: library.Used | None = None
    any_field: library.Used | None = None
    rules: tuple[rule_uses.Use, ...] = ()
    automations: tuple[automation_uses.Use, ...] = ()

    @property
    def is_none(self) -> bool:
        return not self.places and self.is_unprinted

    @property
    def is_unprinted(self) -> bool:
        return self.printed is None or self.printed.reach.uses.is_none

    @property
    def without(self) -> str:
        """What becomes of the rules and automations that name it once it is gone; "" where none does."""
        return f"{rule_words.without(self.rules)} {automation_words.without(self.automations)}".strip()


def used(account: Account, thing: Thing, reach: Reach | None = None, unknown: Reach | None = None) -> Used:
    """reach     of a custom field's Liquid
    unknown   of Liquid that may print any field
    """
    found, of_rules = uses.of(thing, account.pk), rule_uses.of(thing, account.pk)
    of_automations = automation_uses.of(thing, account.pk)
    places = {
        heading: shown
        for heading, shown in {
            **{heading: list(_named(account, found, kind)) for kind, heading in _HEADINGS.items()},
            "Rules": list(_rules(account, of_rules)),
            "Automations": list(_automations(account, of_automations)),
            "Forms": list(_forms(account, thing)),
        }.items()
        if shown
    }
    printed = library.used(account, reach) if reach else None
    is_any = unknown is not None and not unknown.uses.is_none
    any_field = library.used(account, unknown) if unknown and is_any else None
    return Used(found, places, printed, any_field, tuple(of_rules), tuple(of_automations))


_HEADINGS = {"segment": "Segments", "exclusion": "Exclusions of sequences", "filter": "Filters of emails"}


def _named(account: Account, found: Iterable[Use], kind: str) -> Iterable[Place]:
    here = [use for use in found if use.kind == kind]
    names = _segments(account, here)
    emails = SequenceEmail.objects.select_related("sequence").in_bulk([use.pk for use in here if kind == "filter"])
    for use in here:
        notes = _through(use.through, names)
        if kind == "filter":
            email = emails[use.pk]
            notes.insert(0, email.sequence.name)
            url = reverse("email_filter", args=[email.sequence_id, email.pk])
            yield Place(readable(email.subject), url, ", ".join(notes))
        else:
            yield Place(use.name, _url(use), ", ".join(notes))


_PARTS = {"trigger": "it sets it off", "condition": "in its condition", "action": "in what it does"}


@dataclass(frozen=True, slots=True)
class Naming:
    """Rules, automations and conditions that name something."""

    rules: list[Place]
    automations: list[Place]
    conditions: list[Place]


def naming(account: Account, thing: Thing) -> Naming:
    """For pages that show nothing else of where it stands."""
    of_rules, of_automations = rule_uses.of(thing, account.pk), automation_uses.of(thing, account.pk)
    found = uses.of(thing, account.pk)
    asking = [place for kind in _HEADINGS for place in _named(account, found, kind)]
    return Naming(list(_rules(account, of_rules)), list(_automations(account, of_automations)), asking)


def _rules(account: Account, found: Iterable[rule_uses.Use]) -> Iterable[Place]:
    segments = _segments(account, found)
    for use in found:
        notes = ", ".join([*(_PARTS[part] for part in use.parts), *_through(use.through, segments)])
        yield Place(use.name, reverse("rule", args=[use.rule_id]), notes, "" if use.is_on else "Off")


def _automations(account: Account, found: Iterable[automation_uses.Use]) -> Iterable[Place]:
    segments = _segments(account, found)
    for use in found:
        notes = ["it lets people in"] if automation_uses.ENTRY in use.parts else []
        notes += [f"at {words.count(len(use.nodes), 'step')}"] if use.nodes else []
        notes += ["in what is not published yet"] if use.is_draft else []
        state = "" if use.is_active else use.status.capitalize()
        url = reverse("automation", args=[use.automation_id])
        yield Place(use.name, url, ", ".join([*notes, *_through(use.through, segments)]), state)


def _segments(account: Account, found: Iterable[Use | rule_uses.Use | automation_uses.Use]) -> dict[int, str]:
    """The names of those through which these name something."""
    ids = {pk for use in found for pk in use.through[:1]}
    return dict(Segment.objects.filter(account=account, pk__in=ids).values_list("pk", "name")) if ids else {}


def _through(ids: Collection[int], names: Mapping[int, str]) -> list[str]:
    return [f"through the segment {words.title(names[pk])}" for pk in list(ids)[:1] if pk in names]


def _forms(account: Account, thing: Thing) -> Iterable[Place]:
    """Those that add a tag, or ask for a field. Without it they go on as they are."""
    kind, pk = thing
    forms = account.forms.exclude(status=SignUpForm.Status.TRASHED).order_by("name")
    if kind == "tag":
        yield from (_form(form, "adds it") for form in forms.filter(tag_ids__contains=[pk]))
    if kind == "custom_field":
        yield from (_form(form, "asks for it") for form in forms.filter(field_ids__contains=[pk]))


def _form(form: SignUpForm, note: str) -> Place:
    return Place(form.name, reverse("form_settings", args=[form.pk]), note)


def _url(use: Use) -> str:
    return reverse("segment" if use.kind == "segment" else "sequence_settings", args=[use.pk])


def by_state(condition: dict[str, Any], counts: Counter[str]) -> list[tuple[str, int, str]]:
    """A word, how many people, and the list of them: of each state that there is."""
    url = people_with(condition)
    shown = ((state, label) for state, (_, label) in STATE_PILLS.items() if counts[state])
    return [(label, counts[state], f"{url}&{urlencode({'state': state})}") for state, label in shown]


def people_with(condition: dict[str, Any]) -> str:
    """The address of the list of people who meet it."""
    return f"{reverse('people')}?{urlencode({'filter': json.dumps(condition, separators=(',', ':'))})}"


# --- Deletion -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Loss:
    """A line of the question: whose mail stops."""

    n: int
    phrase: str
    sub: str
    url: str


def losses(account: Account, found: Used, now: datetime) -> list[Loss]:
    return [_loss(one, account, now) for one in losing.silenced(found.uses)]


def _loss(one: Silenced, account: Account, now: datetime) -> Loss:
    at = f"the next was to go {words.soon(one.next_at, account.time_zone, now)}" if one.next_at else ""
    if one.email is not None:
        name = words.title(readable(one.email.subject))
        who = words.agree(one.n_people, "person inside may come to", "people inside may come to")
        phrase = f"{who} {name}, and nobody gets it any more: they pass it over"
        return Loss(
            one.n_people, phrase, ", ".join(filter(None, [one.sequence.name, at])), library.email_url(one.email)
        )
    name = words.title(one.sequence.name)
    who = words.agree(one.n_people, "person is", "people are")
    phrase = f"{who} inside {name}, and everybody is excluded from it: they pass over all emails"
    sub = ", ".join(filter(None, [words.count(one.n_emails, "published email"), at]))
    return Loss(one.n_people, phrase, sub, reverse("sequence_settings", args=[one.sequence.pk]))


def figure(found: Used) -> str:
    """Of where it stands: used elsewhere by then, it is asked about again."""
    said: list[tuple[str, int]] = [(use.kind, use.pk) for use in found.uses]
    said += [("rule", use.rule_id) for use in found.rules]
    said += [("automation", use.automation_id) for use in found.automations]
    printed = library.figure(found.printed.reach) if found.printed else ""
    return hashlib.sha256(repr((sorted(said), printed)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be deleted. noun: "tag". facts: what goes with it"""

    noun: str
    name: str
    url: str
    listed: str
    heading: str
    facts: str
    notes: list[str] = field(default_factory=list)


def ask_to_delete(request: HttpRequest, account: Account, subject: Subject, found: Used, now: datetime) -> HttpResponse:
    """A POST that was not carried out says why."""
    context = {
        "section": "people",
        "current": "true",
        "subject": subject,
        "used": found,
        "losses": losses(account, found, now),
        "without": found.without,
        "seen": figure(found),
        "is_again": request.method == "POST",
    }
    return show(request, "sorting/deletion.html", account, context, 409 if request.method == "POST" else 200)


def is_settled(request: HttpRequest, found: Used) -> bool:
    """It was asked about, as things are."""
    return request.method == "POST" and request.POST.get("seen") == figure(found)


def show_list(
    request: HttpRequest, account: Account, name: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """As a page, or the rows alone for htmx."""
    is_rows = request.headers.get("HX-Target") == "found"
    response = show(
        request, f"sorting/{'_' if is_rows else ''}{name}.html", account, {"section": "people"} | context, status
    )
    response["Vary"] = "HX-Target, Cookie"
    return response


def made(
    request: HttpRequest,
    noun: str,
    create: Callable[[], tuple[Tag | CustomField, bool]],
    again: Callable[[Form, int], HttpResponse],
    said: str,
) -> HttpResponse:
    """A tag or field, by the form below their list. again: the list with what was refused"""
    try:
        thing, is_new = create()
    except Invalid as refused:
        return again(forms.refused(request, refused), 422)
    title = words.title(str(thing))
    if not is_new:
        messages.info(request, f"There is a {noun} {title} already.")
        return redirect(noun, thing.pk)
    messages.success(request, f"The {noun} {title} is there. {said}")
    return redirect(f"{noun}s")


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted, for a page of its own."""

    name: str
    url: str
    listed: str
    heading: str


def show_count(request: HttpRequest, account: Account, counted: Counted, n: int, said: str) -> HttpResponse:
    """How many people there are: a page, a sentence of the thing's own page, or the number alone for a list.

    said   "3 people are in it now."
    """
    target = request.headers.get("HX-Target", "")
    name = "_count" if target == "n-people" else "_cell" if target.startswith("count-") else "count"
    context = {"section": "people", "current": "true", "counted": counted, "n": n, "said": said}
    response = show(request, f"sorting/{name}.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


def tallies(
    account: Account, things: Collection[Thing], printed: Mapping[Thing, Uses] | None = None
) -> dict[Thing, str]:
    """ "2 segments, 1 exclusion, 4 emails" of each, in a list. printed: of custom fields"""
    found, rules = uses.of_each(things, account.pk), rule_uses.of_each(things, account.pk)
    automations = automation_uses.of_each(things, account.pk)
    return {one: _tally(found[one], len(rules[one]), len(automations[one]), (printed or {}).get(one)) for one in things}


def _tally(found: Iterable[Use], n_rules: int, n_automations: int, printed: Uses | None) -> str:
    kinds = [use.kind for use in found]
    counts = [
        (kinds.count("segment"), "segment"),
        (kinds.count("exclusion"), "exclusion"),
        (kinds.count("filter"), "filter"),
        (n_rules, "rule"),
        (n_automations, "automation"),
    ]
    said = [words.count(n, noun) for n, noun in counts if n]
    if printed is not None and (text := library.tally(printed)):
        said.append(text)
    return ", ".join(said)


def reaches(account: Account, key: str) -> tuple[Reach, Reach]:
    """Of a custom field: what prints it, and what may print any."""
    graph = Graph(account.pk)
    return graph.reach(graph.of_field(key)), graph.reach(graph.of_any_field())
