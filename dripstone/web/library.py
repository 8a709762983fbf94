"""What the pages of snippets, templates and images share: where something is used, and asking before a change of it
reaches people."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from dripstone import words
from dripstone.accounts.models import Account
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.content.subjects import readable
from dripstone.errors import Invalid, Problem
from dripstone.given import as_number, is_id
from dripstone.sequences.models import SequenceEmail
from dripstone.uses.models import Mentions
from dripstone.uses.of import Reach, Through, Uses
from dripstone.web.asking import DIALOG
from dripstone.web.forms import NOT_MEMBERS, Form
from dripstone.web.frame import show

SHOWN = 50  # of each kind; an account may have thousands
NAMED = 6  # emails in a question
MAX_VERSION = 2**31  # numbers of versions are integers of the database


@dataclass(frozen=True, slots=True)
class Place:
    """Something that uses it. note: where it is, and through what. state: for a pill"""

    name: str
    url: str
    note: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Used:
    """What stands in the card *Where it is used*."""

    reach: Reach
    emails: list[Place]
    n_more_emails: int
    templates: list[Place]
    snippets: list[Place]

    @property
    def sentence(self) -> str:
        return in_words(self.reach)


def used(account: Account, reach: Reach) -> Used:
    """The names behind ids: three queries."""
    uses = reach.uses
    names = _Names(account, reach)
    emails = list(names.emails())
    n_more = len(uses.emails) + len(uses.drafts) - len(emails)
    return Used(reach, emails, n_more, list(names.templates()), list(names.snippets()))


class _Names:
    def __init__(self, account: Account, reach: Reach) -> None:
        uses = reach.uses
        all_of_them = (uses.emails, uses.drafts, uses.templates, uses.snippets)
        through = {one for using in all_of_them for one in using.values() if one}
        self._uses = uses
        self._named = reach.named
        self._account = account
        self._templates = self._rows(EmailTemplate, uses.templates, through, Mentions.Source.TEMPLATE)
        self._snippets = self._rows(Snippet, uses.snippets, through, Mentions.Source.SNIPPET)

    def _rows(self, model: Any, using: Mapping[int, Through], through: set[Any], source: str) -> dict[int, str]:
        ids = {*using, *(pk for kind, pk in through if kind == source)}
        rows = model.objects.filter(account=self._account, pk__in=ids) if ids else model.objects.none()
        return dict(rows.order_by("name").values_list("pk", "name"))

    def emails(self) -> Iterator[Place]:
        """Published ones first, those of a sequence together."""
        rows = SequenceEmail.objects.filter(account=self._account).select_related("sequence").defer("content")
        shown = rows.in_bulk(self._named)
        for email in (shown[pk] for pk in self._named if pk in shown):
            using = self._uses.emails if email.pk in self._uses.emails else self._uses.drafts
            notes = filter(None, [email.sequence.name, self._through(using[email.pk])])
            state = "Unpublished changes" if email.pk in self._uses.drafts else "" if email.published else "Draft"
            yield Place(readable(email.subject), email_url(email), ", ".join(notes), state)

    def templates(self) -> Iterator[Place]:
        for pk, name in list(self._templates.items())[:SHOWN]:
            if pk in self._uses.templates:
                yield Place(name, reverse("template", args=[pk]), self._through(self._uses.templates[pk]))

    def snippets(self) -> Iterator[Place]:
        for pk, name in list(self._snippets.items())[:SHOWN]:
            if pk in self._uses.snippets:
                yield Place(name, reverse("snippet", args=[pk]), self._through(self._uses.snippets[pk]))

    def _through(self, through: Through) -> str:
        if through is None:
            return ""
        source, pk = through
        name = (self._templates if source == Mentions.Source.TEMPLATE else self._snippets).get(pk, "")
        return f"through the {source} {words.title(name)}"


def email_url(email: SequenceEmail) -> str:
    return reverse("sequence_email", args=[email.sequence_id, email.pk])


def in_words(reach: Reach) -> str:
    """ "4 published emails in 2 sequences have it; 1,204 people are still to get one of them". "": no published one."""
    if not reach.n_published:
        return ""
    emails = words.count(reach.n_published, "published email")
    where = f" in {words.count(reach.n_sequences, 'sequence')}" if reach.n_sequences > 1 else ""
    has = words.agree(reach.n_published, "has", "have")
    if not reach.n_people:
        return f"{emails}{where} {has} it; nobody is waiting for one of them"
    one = "it" if reach.n_published == 1 else "one of them"
    twice = ", counted in each sequence" if reach.n_sequences > 1 else ""
    return f"{emails}{where} {has} it; {words.people(reach.n_people, 'is', 'are')} still to get {one}{twice}"


# --- Lists -------------------------------------------------------------------------------------------------------


def typed(request: HttpRequest) -> str:
    """What is searched for."""
    return request.GET.get("q", "").replace("\0", "").strip()


def version_asked_for(request: HttpRequest) -> int | None:
    """`?version=3`; None: the text of today."""
    number = as_number(request.GET.get("version", ""))
    return number if is_id(number) and number < MAX_VERSION else None


def tally(uses: Uses) -> str:
    """ "4 emails, 1 template", in a list."""
    n_emails = len(uses.emails) + len(uses.drafts)
    counts = ((n_emails, "email"), (len(uses.templates), "template"), (len(uses.snippets), "snippet"))
    return ", ".join(words.count(n, noun) for n, noun in counts if n)


def show_list(request: HttpRequest, account: Account, name: str, context: dict[str, Any]) -> HttpResponse:
    """As a page, or the rows alone for htmx."""
    is_rows = request.headers.get("HX-Target") == "found"
    response = show(request, f"library/{'_' if is_rows else ''}{name}.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


def show_deletion(request: HttpRequest, account: Account, template: str, context: dict[str, Any]) -> HttpResponse:
    """A POST that was not carried out says why."""
    context = {"section": "library", "current": "true", "is_again": request.method == "POST"} | context
    return show(request, template, account, context, 409 if request.method == "POST" else 200)


# --- Asking first ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """title    "Change “Footer”?"
    facts    what follows for people
    button   what pressing it does
    back     where "Cancel" leads, if nothing was typed that one could go back to
    """

    title: str
    facts: str
    button: str
    back: str = ""


def figure(reach: Reach) -> str:
    """Of the emails a question told about: with others in their place it is asked again."""
    ids = ",".join(map(str, sorted(reach.uses.emails | reach.uses.drafts)))
    return hashlib.sha256(f"{reach.n_published}:{ids}".encode()).hexdigest()[:16]


def must_ask(request: HttpRequest, reach: Reach) -> bool:
    """It reaches people, and these have not been told about."""
    return reach.n_people > 0 and request.POST.get("seen") != figure(reach)


def ask_about_change(
    request: HttpRequest, account: Account, name: str, reach: Reach, *, back: str = "", button: str = "Save the change"
) -> HttpResponse:
    """back   as in Question"""
    emails = words.count(reach.n_published, "published email")
    facts = "Emails that are still to go have the new text. What was sent stays as it was."
    return ask(request, account, Question(f"Change {words.title(name)} in {emails}?", facts, button, back), reach)


def ask_about_default(
    request: HttpRequest, account: Account, template: EmailTemplate, reach: Reach, *, wants: bool
) -> HttpResponse:
    title = f"Make {words.title(template.name)} the default?" if wants else "Go without a default template?"
    which = "it" if wants else "the built-in one"
    facts = f"Emails without a template of their own get {which}, from their next sending on."
    button, back = "Make it the default" if wants else "Go without", reverse("template", args=[template.pk])
    return ask(request, account, Question(title, facts, button, back), reach)


def ask(request: HttpRequest, account: Account, question: Question, reach: Reach) -> HttpResponse:
    context = {
        "question": question,
        "seen": figure(reach),
        "is_again": bool(request.POST.get("seen")),
        "used": used(account, reach),
        "named": NAMED,
    }
    return in_dialog(request, account, "question", context)


def overtaken(request: HttpRequest, account: Account, name: str, theirs: str, version: int) -> HttpResponse:
    """Somebody saved another text after this page was opened: nothing was saved, and both texts are shown."""
    context = {"name": name, "theirs": theirs, "version": version}
    return in_dialog(request, account, "overtaken", context, status=409)


def refuse(
    request: HttpRequest,
    account: Account,
    error: Invalid,
    names: Mapping[str, str],
    page: Callable[[Form, int], HttpResponse],
) -> HttpResponse:
    """In a dialog for htmx, so that the page stays as it is; else the page again, with what was typed.

    names  of members, as the form calls them
    """
    form = Form(dict(members(request)), problems(error, names))
    if is_part(request):
        return in_dialog(request, account, "refused", {"problems": form.problems}, status=422)
    return page(form, 422)


def in_dialog(
    request: HttpRequest, account: Account, name: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """Within the page for htmx, as a page of its own without."""
    about = {"section": "library", "current": "true", "action": request.get_full_path(), "members": members(request)}
    part = f"library/_{name}.html"
    template = part if is_part(request) else "library/asking.html"
    response = show(request, template, account, about | {"part": part} | context, status)
    response["Vary"] = "HX-Target, Cookie"
    return response


def is_part(request: HttpRequest) -> bool:
    return request.headers.get("HX-Target") == DIALOG


def members(request: HttpRequest) -> list[tuple[str, str]]:
    """What was typed, to be sent once more."""
    return [(name, str(value)) for name, value in request.POST.items() if name not in {*NOT_MEMBERS, "act"}]


def text_of(request: HttpRequest, name: str, saved: str) -> str | None:
    """What was typed into a textarea; None if it is what was there. Browsers send every line end as two characters."""
    typed_text = request.POST.get(name, saved).replace("\r\n", "\n")
    return None if typed_text == saved.replace("\r\n", "\n") else typed_text


def as_typed(request: HttpRequest) -> Form:
    return Form(dict(members(request)))


def tried(verb: Callable[[], object]) -> None:
    """Done and undone at once. Raises what the verb raises."""
    with transaction.atomic():
        verb()
        transaction.set_rollback(True)


def problems(error: Invalid, names: Mapping[str, str]) -> list[Problem]:
    """With members as the form calls them, and in words of people: no `document_attributes.value_html`."""
    return [_problem(member or "", sentence, names) for member, sentence in error.problems]


def _problem(member: str, sentence: str, names: Mapping[str, str]) -> Problem:
    for name, field in names.items():
        if member == name:
            label = "The name" if field == "name" else "The text"
            said = re.sub(r" in (content|html|value_html|document_attributes\S*)\b", "", sentence)
            return field, re.sub(rf"^({re.escape(name)}|value_html)\b", label, said)
    return member or None, sentence
