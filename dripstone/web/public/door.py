"""/f/<uid>: the door of a form. Its own page, the posts of plain HTML on any site, and a script that puts it into one.

Whoever posts has no session and no cookie, so there is nothing for a forged request to abuse: no CSRF token is asked
for. The answer is the same for everybody, whether the address is on file, left, or is filled in by a robot; the front
lets it go at even times (front/evenly.py). docs/decisions/signing-up.md says what is said to whom.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from dripstone import clock, signing
from dripstone.engine.acts import sign_ups as acts
from dripstone.errors import BadRequest, Invalid
from dripstone.given import FromText, Given, unstorable
from dripstone.subscribers import door, forms, sign_ups
from dripstone.subscribers.forms import Origin
from dripstone.subscribers.models import Form
from dripstone.web import headers, who
from dripstone.web.forms import Form as Shown

HONEYPOT = "leave_empty"  # a member that no person fills in
STAMP = "at"  # when our page was made; a form on another site has none
QUICKEST = 0.3  # seconds, in which no person fills in a page, whatever their browser remembers
TOO_MANY = {
    "network": "Many people are signing up from your network. Try again in an hour.",
    "form": "Many people are signing up right now. Try again in some minutes.",
}
CLOSED = "This form is closed: nobody can sign up on it any more."
_FIELD = re.compile(r"fields\[([^\[\]]{1,255})\]")
_KIND = "page of a form"


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST", "OPTIONS"])
def page(request: HttpRequest, uid: str) -> HttpResponse:
    if request.method == "OPTIONS":
        return _preflight()
    form = _find(uid)
    if form is None:
        return _gone(request, None)
    if not forms.is_open(form):
        return _gone(request, form)
    if request.method == "POST":
        return _open_to_all(_post(request, form))
    return show(request, form, Shown(), _origin(request, request.GET))


def _find(uid: str) -> Form | None:
    return None if unstorable(uid) else Form.objects.select_related("account").filter(uid=uid).first()


# --- A post -------------------------------------------------------------------------------------------------------


def _post(request: HttpRequest, form: Form) -> HttpResponse:
    """Values first, and only then limits: nobody else's hour is filled by nonsense."""
    try:
        given = _given(request)
        origin = _origin(request, {**request.GET.dict(), **given})
        if _is_of_a_robot(form, given):
            return _thanks(request, form)
        asked = sign_ups.read(form, given, origin)
        if asked.is_of_a_robot:
            return _thanks(request, form)
        if crowd := door.full(form, who.network_of(request), clock.system_now()):
            return _crowded(request, form, given, origin, crowd)
        acts.ask(form, asked, clock.now())
    except Invalid as refused:
        return _refused(request, form, refused, origin)
    except BadRequest as unreadable:
        return JsonResponse({"errors": [str(unreadable)]}, status=400)
    return _thanks(request, form)


def _given(request: HttpRequest) -> Given:
    """Of JSON an object with `fields` in it; of a form `fields[company]`. Raises BadRequest, and Invalid."""
    if not _is_json(request.content_type or ""):
        fields = {found[1]: value for name, value in request.POST.items() if (found := _FIELD.fullmatch(name))}
        return FromText({**request.POST.dict(), "fields": FromText(fields)})
    try:
        document = json.loads(request.body)
    except (ValueError, RecursionError):
        raise BadRequest("The request body is not valid JSON") from None
    if not isinstance(document, dict):
        raise BadRequest("The request body must be a JSON object")
    return document


def _is_of_a_robot(form: Form, given: Given) -> bool:
    return bool(given.get(HONEYPOT)) or _is_too_quick(form, str(given.get(STAMP, "")))


def _is_too_quick(form: Form, stamp: str) -> bool:
    """Switched off together with the limits: a test fills a page in as fast as it likes."""
    made = signing.read(_KIND, stamp)
    if settings.DRIPSTONE_RATE_LIMITS is None or made is None or made[0] != form.pk:
        return False
    return 0 <= clock.system_now().timestamp() - made[1] / 1000 < QUICKEST


def _origin(request: HttpRequest, given: Mapping[str, Any]) -> Origin:
    """What stands in the form counts before what the browser says by itself."""
    referrer = given.get("referrer") or _referer(request)
    told = {name: given.get(f"utm_{name}") for name in forms.UTM}
    texts = {name: value for name, value in told.items() if isinstance(value, str)}
    return Origin.told(referrer if isinstance(referrer, str) else "", texts)


def _referer(request: HttpRequest) -> str:
    """The page that led here. Our own says nothing."""
    url = request.headers.get("Referer", "")
    try:
        is_ours = urlsplit(url).netloc in {request.get_host(), urlsplit(settings.DRIPSTONE_URL).netloc}
    except ValueError:
        return ""
    return "" if is_ours else url


# --- Answers ------------------------------------------------------------------------------------------------------


def _thanks(request: HttpRequest, form: Form) -> HttpResponse:
    text = forms.said(form, "thanks_text", form.account.name)
    if _wants_json(request):
        return JsonResponse({"status": "success", "message": text, "redirect_url": form.thanks_url or None})
    return HttpResponse(status=303, headers={"Location": form.thanks_url or reverse("form_thanks", args=[form.uid])})


def _refused(request: HttpRequest, form: Form, refused: Invalid, origin: Origin, status: int = 422) -> HttpResponse:
    if _wants_json(request):
        return JsonResponse({"errors": list(refused.messages)}, status=status)
    typed = {name: request.POST[name] for name in request.POST if name != HONEYPOT}
    return show(request, form, Shown(typed, list(refused.problems)), origin, status=status)


def _crowded(request: HttpRequest, form: Form, given: Given, origin: Origin, crowd: str) -> HttpResponse:
    if crowd == "form":
        forms.note_crowd(form, clock.now())
    response = _refused(request, form, Invalid(TOO_MANY[crowd]), origin, status=429)
    response["Retry-After"] = str(door.SLOT)
    return response


def _gone(request: HttpRequest, form: Form | None) -> HttpResponse:
    """404 for a form that never was, 410 for one that was archived or deleted."""
    status = 404 if form is None else 410
    if _wants_json(request):
        return _open_to_all(JsonResponse({"errors": ["Not Found" if form is None else CLOSED]}, status=status))
    context = {"is_public": True, "sender": form.account.name if form else ""}
    return _open_to_all(render(request, "public/form_gone.html", context, status=status))


def show(
    request: HttpRequest, form: Form, shown: Shown, origin: Origin, *, status: int = 200, is_preview: bool = False
) -> HttpResponse:
    """Its page. In a preview nothing is sent."""
    context = {"form": form, "shown": shown, "is_preview": is_preview, **parts(form, shown), **_hidden(form, origin)}
    template = "public/form_plain.html" if form.is_plain else "public/form.html"
    response = render(request, template, {"is_public": True, **context}, status=status)
    response["X-Robots-Tag"] = "all"
    response["Referrer-Policy"] = "strict-origin-when-cross-origin"
    return allow_leaving(response, form.thanks_url)


def parts(form: Form, shown: Shown | None = None) -> dict[str, Any]:
    """What the page and what is pasted into another have in common."""
    said = {name: forms.said(form, name, form.account.name) for name in forms.USUAL}
    return {
        "said": said,
        "action": f"{settings.DRIPSTONE_URL}/f/{form.uid}",
        "fields": list(_fields(form, shown or Shown())),
        "honeypot": HONEYPOT,
        "language": form.account.language,
        "direction": form.account.direction,
    }


def _fields(form: Form, shown: Shown) -> Iterator[dict[str, str]]:
    for one in sign_ups.asked_fields(form):
        name = f"fields[{one.name}]"
        problem = shown.problem(f"fields.{one.key}") or ""
        yield {
            "id": one.name,
            "name": name,
            "label": one.label,
            "value": shown.values.get(name, ""),
            "problem": problem,
        }


def _hidden(form: Form, origin: Origin) -> dict[str, Any]:
    """How somebody found our page goes along with what they type, since the post comes from the page itself."""
    columns = {name: value for name, value in origin.columns().items() if value}
    stamp = signing.make(_KIND, form.pk, int(clock.system_now().timestamp() * 1000))
    return {"hidden": {**columns, STAMP: stamp}}


def allow_leaving(response: HttpResponse, url: str) -> HttpResponse:
    """A form's answer may lead to a page of the owner's. Browsers count that, and where it redirects, as the form's."""
    if url:
        policy = headers.content_security_policy()
        response["Content-Security-Policy"] = policy.replace("form-action 'self'", "form-action 'self' https: http:")
    return response


@require_safe
def thanks(request: HttpRequest, uid: str) -> HttpResponse:
    form = _find(uid)
    if form is None:
        return _gone(request, None)
    text = forms.said(form, "thanks_text", form.account.name)
    context = {"is_public": True, "text": text, "sender": form.account.name, "language": form.account.language}
    return render(request, "public/form_thanks.html", context)


# --- For other sites ----------------------------------------------------------------------------------------------


@require_safe
def script(request: HttpRequest, uid: str) -> HttpResponse:
    """/f/<uid>/index.js: puts the form where its <script> stands, and sends it without leaving the page. It sets no
    cookie and tells us nothing but where the page is."""
    form = _find(uid)
    is_there = form is not None and forms.is_open(form)
    text = _script(form) if form is not None and is_there else "/* This form is closed. */\n"
    response = HttpResponse(text, content_type="text/javascript; charset=utf-8", status=200 if form else 404)
    response["Cache-Control"] = "public, max-age=300"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return _open_to_all(response)


def _script(form: Form) -> str:
    found = parts(form)
    labels = [(one["name"], one["label"]) for one in found["fields"]]
    spec = {
        "uid": form.uid,
        "action": found["action"],
        "heading": found["said"]["heading"],
        "description": form.description,
        "addressLabel": found["said"]["address_label"],
        "nameLabel": found["said"]["name_label"] if form.asks_first_name else "",
        "fields": labels,
        "button": found["said"]["button"],
        "honeypot": HONEYPOT,
    }
    return render_to_string("public/form.js", {"spec": json.dumps(spec)})


def _wants_json(request: HttpRequest) -> bool:
    accept = request.headers.get("Accept", "")
    return _is_json(request.content_type or "") or ("application/json" in accept and "text/html" not in accept)


def _is_json(content_type: str) -> bool:
    return content_type.lower().endswith("json")


def _preflight() -> HttpResponse:
    response = HttpResponse(status=204)
    response["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
    response["Access-Control-Allow-Headers"] = "Content-Type, Accept"
    response["Access-Control-Max-Age"] = "86400"
    return _open_to_all(response)


def _open_to_all(response: HttpResponse) -> HttpResponse:
    """Scripts of any site may read it: it says the same to everybody, and no cookie goes along."""
    response["Access-Control-Allow-Origin"] = "*"
    response.headers.setdefault("Cache-Control", "no-store")
    return response
