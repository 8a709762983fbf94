"""A preview of what is typed, without saving it: the form posts itself into a frame beside it, and a script does so
while one types. The message is made by the code that sends; its HTML is served alone, into a sandbox."""

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string

from dripstone.accounts.models import Account
from dripstone.content import schemes
from dripstone.engine.acts.previews import Preview
from dripstone.errors import Invalid, NotFound
from dripstone.given import FromText
from dripstone.subscribers import finding
from dripstone.subscribers.models import State, Subscriber
from dripstone.web.pages.inbox import framed

SOME = 8  # people to choose from


def readers(account: Account, typed: str = "") -> list[Subscriber]:
    """Those whose address begins so; of nothing typed the newest."""
    if typed.strip():
        return finding.by_address(account.pk, typed, SOME)
    return list(Subscriber.objects.filter(account=account, state=State.ACTIVE).order_by("-pk")[:SOME])


def shown(request: HttpRequest, account: Account, make: Callable[[FromText], Preview]) -> HttpResponse:
    """The HTML or the text of the message; or why it cannot be made. Raises Http404 for a reader who is not there.

    make   of whose mail it would be: `subscriber_id`
    """
    try:
        rendered = make(_reader(request, account)).rendered
    except NotFound:
        raise Http404 from None
    except Invalid as broken:
        return framed(render_to_string("library/_broken.html", {"problems": broken.messages}))
    view = request.POST.get("view", "")
    if view == "text":
        return framed(render_to_string("library/_text.html", {"text": rendered.text}))
    return framed(schemes.shown_in(rendered.html, schemes.DARK if view == "dark" else schemes.LIGHT))


def _reader(request: HttpRequest, account: Account) -> FromText:
    """`as`: an id, or how somebody's address begins; somebody invented unless one is named. Raises Invalid."""
    typed = (request.POST or request.GET).get("as", "").strip()
    if not typed or typed.isdecimal():
        return FromText(subscriber_id=typed)
    found = finding.by_address(account.pk, typed, 1)
    if not found:
        raise Invalid(f"No address begins with “{typed}”")
    return FromText(subscriber_id=str(found[0].pk))
