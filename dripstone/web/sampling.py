"""A preview of what is typed, without saving it: the form posts itself into a frame beside it, and a script does so
while one types. The message is made by the code that sends; its HTML is served alone, into a sandbox."""

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string

from dripstone.accounts.models import Account
from dripstone.content import schemes
from dripstone.engine.acts.previews import Preview
from dripstone.errors import Invalid, NotFound
from dripstone.given import FromText
from dripstone.subscribers.models import State, Subscriber
from dripstone.web.pages.inbox import framed

SOME = 8  # people to choose from: the newest


def context(account: Account) -> dict[str, Any]:
    people = Subscriber.objects.filter(account=account, state=State.ACTIVE).order_by("-pk")[:SOME]
    return {"people": list(people.values_list("pk", "first_name", "email_address"))}


def reader(request: HttpRequest) -> FromText:
    """Whose mail it would be; somebody invented unless one is chosen."""
    return FromText(subscriber_id=(request.POST or request.GET).get("as", ""))


def shown(request: HttpRequest, make: Callable[[], Preview]) -> HttpResponse:
    """The HTML or the text of the message; or why it cannot be made. Raises Http404 for a reader who is not there."""
    try:
        rendered = make().rendered
    except NotFound:
        raise Http404 from None
    except Invalid as broken:
        return framed(render_to_string("library/_broken.html", {"problems": broken.messages}))
    view = request.POST.get("view", "")
    if view == "text":
        return framed(render_to_string("library/_text.html", {"text": rendered.text}))
    return framed(schemes.shown_in(rendered.html, schemes.DARK if view == "dark" else schemes.LIGHT))
