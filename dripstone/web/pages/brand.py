"""/settings/brand: the account's colors, and the profile of who writes. Apps ask for both by the API."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from dripstone.accounts import brand as verbs
from dripstone.accounts.models import Account, CreatorProfile
from dripstone.errors import Invalid
from dripstone.images.models import Image
from dripstone.web import contrast, forms
from dripstone.web.forms import Form
from dripstone.web.frame import owner, show

PICTURES = 24  # to choose from


@dataclass(frozen=True, slots=True)
class Slot:
    """Room for a color. `swatch` is "" and `note` too, where it holds none."""

    number: int
    text: str
    swatch: str
    note: str


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def brand(request: HttpRequest, account: Account) -> HttpResponse:
    """POST has `colors`, as often as there are slots; empty ones are passed over."""
    if request.method != "POST":
        return _page(request, account)
    colors = [text.strip() for text in request.POST.getlist("colors") if text.strip()]
    try:
        verbs.set_colors(account, {"colors": colors})
    except Invalid as refused:
        return _page(request, account, colors=Form({"colors": colors}, refused.problems), status=422)
    messages.success(request, "Saved.")
    return redirect("settings_brand")


@owner
@require_POST
def profile(request: HttpRequest, account: Account) -> HttpResponse:
    try:
        verbs.write_profile(account, forms.given(request))
    except Invalid as error:
        return _page(request, account, profile=forms.refused(request, error), status=422)
    messages.success(request, "Saved.")
    return redirect("settings_brand")


@owner
@require_POST
def profile_deletion(request: HttpRequest, account: Account) -> HttpResponse:
    if verbs.delete_profile(account):
        messages.success(request, "The profile is gone: apps that ask for it are told that there is none.")
    return redirect("settings_brand")


def _page(
    request: HttpRequest,
    account: Account,
    *,
    colors: Form | None = None,
    profile: Form | None = None,
    status: int = 200,
) -> HttpResponse:
    known = verbs.profile_of(account)
    colors = colors or Form({"colors": account.colors})
    profile = profile or Form(_saved(known))
    context: dict[str, Any] = {
        "section": "settings",
        "part": "brand",
        "colors": colors,
        "slots": _slots(list(colors.values["colors"])),
        "form": profile,
        "profile": known,
        **_pictures(account, str(profile.values.get("image_url") or "")),
    }
    return show(request, "settings/brand.html", account, context, status=status)


def _saved(known: CreatorProfile | None) -> dict[str, Any]:
    return {name: getattr(known, name) for name in verbs.MEMBERS} if known else {}


def _slots(colors: list[str]) -> list[Slot]:
    """As many as there may be; of what is too much each keeps its own, so that nothing typed is lost."""
    texts = colors + [""] * (verbs.MAX_COLORS - len(colors))
    return [_slot(number, text) for number, text in enumerate(texts, 1)]


def _slot(number: int, text: str) -> Slot:
    is_color = bool(verbs.HEX.fullmatch(text))
    return Slot(number, text, text if is_color else "", contrast.in_words(text) if is_color else "")


def _pictures(account: Account, chosen: str) -> dict[str, Any]:
    """The newest ones, and the one that is chosen, however old; `elsewhere`: it is none of the account's."""
    rows = list(account.images.defer("content", "small").order_by("-pk")[:PICTURES])
    if chosen.startswith("/i/") and chosen not in {row.path for row in rows}:
        rows += _at(account, chosen)
    is_own = chosen in {row.path for row in rows}
    return {"pictures": rows, "chosen": chosen, "elsewhere": "" if is_own else chosen}


def _at(account: Account, path: str) -> list[Image]:
    digest = path.removeprefix("/i/").partition(".")[0]
    return list(account.images.filter(digest=digest).defer("content", "small"))
