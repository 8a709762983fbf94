"""/images: the pictures of an account's emails. The editor uploads here too, and is answered in JSON."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.errors import Invalid
from dripstone.images import store
from dripstone.images.encode import CONTENT_TYPES, Kind
from dripstone.images.models import Image
from dripstone.uses import of as uses
from dripstone.web import library
from dripstone.web.frame import member, show
from dripstone.web.paging import page

PER_PAGE = 48
A_YEAR = 365 * 24 * 60 * 60  # seconds


@require_http_methods(["GET", "HEAD", "POST"])
@member
def images(request: HttpRequest, account: Account) -> HttpResponse:
    if request.method != "POST":
        return _listed(request, account)
    return _upload(request, account) if request.accepts("text/html") else _upload_one(request, account)


def _listed(request: HttpRequest, account: Account, problems: list[str] | None = None) -> HttpResponse:
    n_images, n_bytes = store.used(account.pk)
    found, graph = page(request, account.images.defer("content", "small"), PER_PAGE), uses.Graph(account.pk)
    context = {
        "section": "library",
        "images_page": found,
        "rows": [(row, library.tally(graph.of_image(row.digest))) for row in found.rows],
        "n_images": n_images,
        "n_bytes": n_bytes,
        "most_images": settings.DRIPSTONE_MAX_IMAGES,
        "most_bytes": settings.DRIPSTONE_MAX_IMAGES_MB * 1_000_000,
        "problems": problems or [],
    }
    return show(request, "images/list.html", account, context, status=422 if problems else 200)


def _upload(request: HttpRequest, account: Account) -> HttpResponse:
    """From the page: each picture for itself; one that is refused keeps no other out."""
    files = request.FILES.getlist("image")
    if not files:
        return _listed(request, account, ["Choose a picture first"])
    added, problems = 0, []
    for file in files:
        try:
            store.add(account.pk, file.read(), file.name or "", clock.now())
            added += 1
        except Invalid as refused:
            problems.append(f"{words.title(file.name or '')}: {refused}")
    if added:
        messages.success(request, f"{words.count(added, 'picture')} added.")
    return _listed(request, account, problems) if problems else redirect("images")


def _upload_one(request: HttpRequest, account: Account) -> HttpResponse:
    """From the editor."""
    file = request.FILES.get("image")
    try:
        if file is None:
            raise Invalid.member("image", "Choose a picture first")
        image = store.add(account.pk, file.read(), file.name or "", clock.now())
    except Invalid as refused:
        return JsonResponse({"errors": refused.messages}, status=422)
    return JsonResponse({"url": store.url(image), "width": image.width, "height": image.height}, status=201)


@require_safe
@member
def image(request: HttpRequest, account: Account, image_id: int) -> HttpResponse:
    found = _find(account, image_id)
    used = library.used(account, uses.of_image(found))
    context = {"section": "library", "current": "true", "image": found, "url": store.url(found), "used": used}
    return show(request, "images/detail.html", account, context)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def deletion(request: HttpRequest, account: Account, image_id: int) -> HttpResponse:
    """GET asks, POST does it, unless other emails show it by now."""
    found = _find(account, image_id)
    reach = uses.of_image(found)
    if request.method != "POST" or request.POST.get("seen") != library.figure(reach):
        context = {
            "image": found,
            "used": library.used(account, reach),
            "seen": library.figure(reach),
            "is_in_profile": store.in_profile(found).exists(),
        }
        return library.show_deletion(request, account, "images/deletion.html", context)
    store.delete(found)
    messages.success(request, f"{words.title(found.name)} is deleted.")
    return redirect("images")


@require_safe
@member
def small(request: HttpRequest, account: Account, image_id: int) -> HttpResponse:
    """For the list. What stands behind an id never changes, so a browser may keep it."""
    content = store.small(_find(account, image_id))
    response = HttpResponse(content, content_type=_type_of(content))
    response["Cache-Control"] = f"private, max-age={A_YEAR}, immutable"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _type_of(content: bytes) -> str:
    kind = {b"\xff\xd8": Kind.JPG, b"GI": Kind.GIF}.get(content[:2], Kind.PNG)
    return CONTENT_TYPES[kind]


def _find(account: Account, image_id: int) -> Image:
    return get_object_or_404(account.images.defer("content", "small"), pk=image_id)
