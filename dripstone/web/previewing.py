"""A preview beside what one writes: as a real person, at the width of a phone or a desk, dark, and as plain text.

The message is the caller's to make, by the code that sends (engine/acts/previews.py). Its HTML is never part of our
page: a sandboxed frame shows it, served alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse

from dripstone.accounts.models import Account
from dripstone.content import schemes
from dripstone.engine.acts.previews import Preview
from dripstone.engine.models import Enrollment
from dripstone.errors import Invalid
from dripstone.given import MAX_ID
from dripstone.subscribers import finding
from dripstone.subscribers.models import State, Subscriber
from dripstone.web.frame import show
from dripstone.web.pages.inbox import framed

VIEWS = {"phone": "Phone", "desktop": "Desktop", "dark": "Dark", "text": "Text"}
SOME = 8  # people offered at a time


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose mail is shown. id None: somebody invented, of whom everything is known."""

    id: int | None
    name: str
    address: str


INVENTED = Reader(None, "Robin (invented)", "robin@example.com")


@dataclass(frozen=True, slots=True)
class Ways:
    """Addresses of the page that shows a preview: itself, the panel alone, the HTML alone, people to choose from."""

    page: str
    panel: str
    body: str
    people: str


def reader(request: HttpRequest, account: Account, sequence_id: int | None = None) -> Reader:
    """`?as=ID`; without it the newest person inside the sequence, else the newest that is mailed, else the invented.
    Raises Http404 for somebody who is not there."""
    wanted = request.GET.get("as", "")
    if wanted == "nobody":
        return INVENTED
    people = Subscriber.objects.filter(account=account)
    if wanted:
        is_id = wanted.isascii() and wanted.isdigit() and int(wanted[:20]) <= MAX_ID
        person = people.filter(pk=int(wanted)).first() if is_id else None
        if person is None:
            raise Http404
        return _reader(person)
    inside = Enrollment.objects.filter(sequence=sequence_id, status=Enrollment.Status.ACTIVE)
    newest = inside.order_by("-subscriber_id").values_list("subscriber_id", flat=True).first() if sequence_id else None
    person = people.filter(pk=newest).first() if newest else None
    person = person or people.filter(state=State.ACTIVE).order_by("-pk").first()
    return _reader(person) if person else INVENTED


def _reader(person: Subscriber) -> Reader:
    return Reader(person.pk, person.first_name or person.email_address, person.email_address)


def made(make: Callable[[], Preview]) -> Preview | Invalid:
    """What is broken cannot be shown; the panel says why."""
    try:
        return make()
    except Invalid as broken:
        return broken


def context(request: HttpRequest, ways: Ways, made: Preview | Invalid, reader: Reader, sender: str) -> dict[str, Any]:
    """For templates/editor/_preview.html, within a page or alone."""
    wanted = request.GET.get("view", "")
    view = wanted if wanted in VIEWS else "phone"
    who = "nobody" if reader.id is None else reader.id
    return {
        "ways": ways,
        "reader": reader,
        "view": view,
        "views": [(key, label, urlencode({"view": key, "as": who})) for key, label in VIEWS.items()],
        "query": urlencode({"view": view, "as": who}),
        "sender": sender,
        "preview": None if isinstance(made, Invalid) else made,
        "broken": made.messages if isinstance(made, Invalid) else [],
    }


def body(request: HttpRequest, made: Preview | Invalid) -> HttpResponse:
    """The HTML alone, for the frame: light, or dark by `?view=dark`, whatever the screen of who looks at it."""
    scheme = schemes.DARK if request.GET.get("view") == "dark" else schemes.LIGHT
    return framed("" if isinstance(made, Invalid) else schemes.shown_in(made.rendered.html, scheme))


def people(request: HttpRequest, account: Account, ways: Ways) -> HttpResponse:
    """Those whose address begins with `q`, to choose from; without it the newest."""
    typed = request.GET.get("q", "").replace("\0", "").strip().lower()
    context = {
        "ways": ways,
        "typed": typed,
        "found": finding.by_address(account.pk, typed, SOME) if typed else _newest(account),
        "view": request.GET.get("view", "phone"),
    }
    return show(request, "editor/_people.html", account, context)


def _newest(account: Account) -> list[Subscriber]:
    return list(Subscriber.objects.filter(account=account, state=State.ACTIVE).order_by("-pk")[:SOME])
