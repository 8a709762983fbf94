"""/settings/webhooks: who is told of what happens, with what was sent to them and what they answered."""

import json
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.calls import queue, reasons, secrets
from dripstone.calls.models import Call, Receiver
from dripstone.errors import Invalid
from dripstone.web import forms, paging
from dripstone.web.frame import owner, show
from dripstone.webhooks import endpoints, kinds, legacy, receivers
from dripstone.webhooks.models import Endpoint, Webhook

MADE = "made_webhook_secret"  # in the session: id of an endpoint and its secret, which was not shown yet
MOST_COUNTED = 1_000  # of those that failed
LISTS = ("events",)
DELIVERIES = ("delivery", "deliveries")

EVENTS = [
    (
        "People",
        [
            ("subscriber.created", "Somebody is on file for the first time"),
            ("subscriber.activated", "Somebody becomes active"),
            ("subscriber.subscribed_to_form", "Somebody signs up on a form"),
            ("subscriber.unsubscribed", "Somebody unsubscribes"),
            ("subscriber.bounced", "Somebody’s address bounces"),
            ("subscriber.complained", "Somebody complains"),
            ("subscriber.deleted", "Somebody is deleted"),
        ],
    ),
    (
        "Tags and fields of people",
        [
            ("subscriber.tag_added", "Somebody gets a tag"),
            ("subscriber.tag_removed", "Somebody loses a tag"),
            ("subscriber.custom_field_value_updated", "A field of somebody changes"),
        ],
    ),
    (
        "People in sequences",
        [
            ("subscriber.added_to_sequence", "Somebody enters a sequence"),
            ("subscriber.sequence_completed", "Somebody completes a sequence"),
            ("subscriber.removed_from_sequence", "Somebody is taken out of a sequence"),
        ],
    ),
    (
        "Purchases",
        [
            ("purchase.created", "A purchase is told of"),
            ("subscriber.product_purchased", "Somebody buys a product"),
        ],
    ),
    (
        "Sequences",
        [
            ("sequence.created", "A sequence is made"),
            ("sequence.published", "A sequence is switched on"),
            ("sequence.disabled", "A sequence is paused"),
            ("sequence.deleted", "A sequence is deleted"),
        ],
    ),
    (
        "Tags and fields",
        [
            ("tag.created", "A tag is made"),
            ("tag.deleted", "A tag is deleted"),
            ("custom_field.created", "A field is made"),
            ("custom_field.deleted", "A field is deleted"),
        ],
    ),
]


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def webhooks(request: HttpRequest, account: Account) -> HttpResponse:
    """POST makes an endpoint."""
    if request.method != "POST":
        return _list(request, account, forms.Form())
    try:
        row, secret = endpoints.create(account, forms.given(request, LISTS), clock.now())
    except Invalid as refused:
        return _list(request, account, forms.refused(request, refused, LISTS), status=422)
    request.session[MADE] = [row.pk, secret]
    return redirect("webhook_endpoint", row.pk)


def _list(request: HttpRequest, account: Account, form: forms.Form, status: int = 200) -> HttpResponse:
    context = {
        "section": "settings",
        "part": "webhooks",
        "form": form,
        "endpoints": endpoints.of(account).order_by("-pk"),
        "older": [(row, _about(row)) for row in legacy.of(account).order_by("-pk")],
        "events": EVENTS,
    }
    return show(request, "settings/webhooks.html", account, context, status=status)


def _about(row: Webhook) -> str:
    """`subscriber.tag_add, tag_id 50`."""
    member = kinds.LEGACY[row.event].member
    return f"{row.event}, {member} {row.thing_id}" if row.thing_id is not None else row.event


# --- One endpoint -------------------------------------------------------------------------------------------------


@owner
@require_safe
def endpoint(request: HttpRequest, account: Account, endpoint_id: int) -> HttpResponse:
    row = _endpoint(account, endpoint_id)
    made_id, secret = request.session.pop(MADE, (0, ""))
    is_overlap = receivers.overlaps(row, clock.now())
    context = {"endpoint": row, "secret": secret if made_id == row.pk else "", "is_overlap": is_overlap}
    return _one(request, account, row, context)


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def editing(request: HttpRequest, account: Account, endpoint_id: int) -> HttpResponse:
    row = _endpoint(account, endpoint_id)
    if request.method != "POST":
        values = {"name": row.name, "url": row.url, "description": row.description, "events": row.events}
        return _form(request, account, row, forms.Form(values))
    try:
        endpoints.update(row, forms.given(request, LISTS), clock.now())
    except Invalid as refused:
        return _form(request, account, row, forms.refused(request, refused, LISTS), status=422)
    messages.success(request, "Saved. What happens from now on is told like this.")
    return redirect("webhook_endpoint", row.pk)


def _form(request: HttpRequest, account: Account, row: Endpoint, form: forms.Form, status: int = 200) -> HttpResponse:
    context = {"section": "settings", "current": "true", "endpoint": row, "form": form, "events": EVENTS}
    return show(request, "settings/webhook_editing.html", account, context, status=status)


@owner
@require_POST
def test(request: HttpRequest, account: Account, endpoint_id: int) -> HttpResponse:
    row = _endpoint(account, endpoint_id)
    try:
        endpoints.send_test(row, clock.now())
    except Invalid as refused:
        messages.error(request, f"{refused}.")
    else:
        messages.success(request, "A made-up event is on its way. Load this page again to see the answer.")
    return redirect("webhook_endpoint", row.pk)


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def rotation(request: HttpRequest, account: Account, endpoint_id: int) -> HttpResponse:
    """GET asks."""
    row = _endpoint(account, endpoint_id)
    if request.method == "POST":
        request.session[MADE] = [row.pk, receivers.rotate(row.pk, clock.now(), force=True)]
        return redirect("webhook_endpoint", row.pk)
    facts = ["A new secret is made and shown once. For 24 hours deliveries carry the signatures of both."]
    if receivers.overlaps(row, clock.now()):
        facts.append("The secret from before the last rotation, which still signs, ends at once.")
    return _ask(request, account, row, f"Rotate the secret of {row.name}?", facts, "Rotate it")


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def revocation(request: HttpRequest, account: Account, endpoint_id: int) -> HttpResponse:
    """Of the secret from before a rotation. GET asks."""
    row = _endpoint(account, endpoint_id)
    if request.method == "POST":
        receivers.revoke_previous(row.pk)
        messages.success(request, "Only the new secret signs from now on.")
        return redirect("webhook_endpoint", row.pk)
    facts = ["Only the new secret signs from then on. Whoever still checks with the old one refuses what comes."]
    return _ask(request, account, row, f"Revoke the old secret of {row.name}?", facts, "Revoke it", is_grave=True)


# --- Any of them --------------------------------------------------------------------------------------------------


@owner
@require_safe
def older(request: HttpRequest, account: Account, webhook_id: int) -> HttpResponse:
    """One of before."""
    row = get_object_or_404(legacy.of(account), pk=webhook_id)
    return _one(request, account, row, {"webhook": row, "about": _about(row)})


@owner
@require_safe
def callbacks(request: HttpRequest, account: Account) -> HttpResponse:
    """Their secret, and what was called back."""
    row = queue.receiver_of_callbacks(account.pk, clock.now())
    is_overlap = receivers.overlaps(row, clock.now())
    return _one(request, account, row, {"secret": secrets.of(row) or "", "is_overlap": is_overlap})


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def callbacks_rotation(request: HttpRequest, account: Account) -> HttpResponse:
    row = queue.receiver_of_callbacks(account.pk, clock.now())
    if request.method == "POST":
        receivers.rotate(row.pk, clock.now(), force=True)
        return redirect("settings_callbacks")
    facts = ["A new secret is made. For 24 hours callbacks carry the signatures of both."]
    return _ask(request, account, row, "Rotate the secret of callbacks?", facts, "Rotate it")


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def activation(request: HttpRequest, account: Account, receiver_id: int) -> HttpResponse:
    """Of one that is switched off."""
    row = _receiver(account, receiver_id)
    if request.method == "POST":
        receivers.switch(row.pk, clock.now(), on=True)
        messages.success(request, "It is active, and hears of what happens from now on.")
        return redirect(_address(row))
    facts = ["It hears of what happens from then on. What happened while it was off is not told."]
    return _ask(request, account, row, f"Make {_name(row)} active?", facts, "Make it active")


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def deactivation(request: HttpRequest, account: Account, receiver_id: int) -> HttpResponse:
    row = _receiver(account, receiver_id)
    if request.method == "POST":
        receivers.switch(row.pk, clock.now(), on=False)
        messages.success(request, "It is disabled: nothing is sent to it.")
        return redirect(_address(row))
    facts = [_what_waits(row), "What happens while it is off is not told later."]
    return _ask(request, account, row, f"Disable {_name(row)}?", facts, "Disable it", is_grave=True)


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def deletion(request: HttpRequest, account: Account, receiver_id: int) -> HttpResponse:
    row = _receiver(account, receiver_id)
    if request.method == "POST":
        queue.delete(row, clock.now())
        messages.success(request, f"{_name(row)} is deleted.")
        return redirect("settings_webhooks")
    facts = [_what_waits(row), "Its deliveries are not shown any more. Its secret cannot be brought back."]
    return _ask(request, account, row, f"Delete {_name(row)}?", facts, "Delete it", is_grave=True)


@owner
@require_http_methods(["GET", "HEAD", "POST"])
def failed(request: HttpRequest, account: Account, receiver_id: int) -> HttpResponse:
    """Send all that failed again. GET asks."""
    row = _receiver(account, receiver_id, with_callbacks=True)
    if request.method == "POST":
        return _sent_again(request, row, None, redirect(_address(row)))
    n_failed = _n_failed(row)
    number = f"More than {MOST_COUNTED:,} deliveries" if n_failed > MOST_COUNTED else words.count(n_failed, *DELIVERIES)
    facts = [f"{number} that failed go again, beside what is new, with the same ids, and are tried for 41 hours each."]
    return _ask(request, account, row, f"Send all that failed to {_name(row)} again?", facts, "Send them again")


@owner
@require_safe
def delivery(request: HttpRequest, account: Account, delivery_id: int) -> HttpResponse:
    call = _call(account, delivery_id)
    row = call.receiver
    context = {
        "section": "settings",
        "current": "true",
        "call": call,
        "body": _readable(bytes(call.body)),
        "attempts": call.attempts.order_by("-number"),
        "reason": reasons.WORDS.get(call.reason, ""),
        "words": reasons.WORDS,
        "name": _name(row),
        "address": _address(row),
        "receiver": row,
        "is_over": call.status in (Call.Status.DONE, Call.Status.FAILED),
    }
    return show(request, "settings/webhook_delivery.html", account, context)


def _readable(body: bytes) -> str:
    """Indented, if it is JSON, as it is sent without."""
    text = body.decode("utf-8", "replace")
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except ValueError:
        return text


@owner
@require_POST
def again(request: HttpRequest, account: Account, delivery_id: int) -> HttpResponse:
    call = _call(account, delivery_id)
    return _sent_again(request, call.receiver, [call.pk], redirect("webhook_delivery", call.pk))


def _sent_again(request: HttpRequest, row: Receiver, call_ids: list[int] | None, answer: HttpResponse) -> HttpResponse:
    try:
        n = receivers.send_again(row, clock.now(), call_ids)
    except Invalid as refused:
        messages.error(request, f"{refused}.")
    else:
        said = f"{words.count(n, *DELIVERIES)} on the way again." if n else "There was nothing to send again."
        messages.success(request, said)
    return answer


def _one(request: HttpRequest, account: Account, row: Receiver, context: dict[str, Any]) -> HttpResponse:
    """A receiver and its deliveries, by calls_call_of_receiver or calls_call_failed."""
    shows_failed = request.GET.get("show") == "failed"
    rows = receivers.deliveries(row).defer("body")
    page = paging.page(request, rows.filter(status=Call.Status.FAILED) if shows_failed else rows)
    n_failed = _n_failed(row)
    shared = {
        "section": "settings",
        "current": "true",
        "receiver": row,
        "name": _name(row),
        "kind": row.kind,
        "page": page,
        "words": reasons.WORDS,
        "shows_failed": shows_failed,
        "n_failed": min(n_failed, MOST_COUNTED),
        "has_more_failed": n_failed > MOST_COUNTED,
    }
    return show(request, "settings/webhook.html", account, shared | context)


def _ask(
    request: HttpRequest,
    account: Account,
    row: Receiver,
    title: str,
    facts: list[str],
    button: str,
    *,
    is_grave: bool = False,
) -> HttpResponse:
    context: dict[str, Any] = {"section": "settings", "current": "true", "title": title, "button": button}
    context |= {"facts": facts, "is_grave": is_grave, "name": _name(row), "back": _address(row)}
    return show(request, "settings/webhook_question.html", account, context)


def _what_waits(row: Receiver) -> str:
    waits = receivers.deliveries(row).filter(status=Call.Status.PLANNED)[: MOST_COUNTED + 1].count()
    if waits > MOST_COUNTED:
        return f"More than {MOST_COUNTED:,} deliveries wait for it; they are not sent."
    if not waits:
        return "Nothing waits for it."
    return f"{words.count(waits, *DELIVERIES)} waiting for it {'is' if waits == 1 else 'are'} not sent."


def _n_failed(row: Receiver) -> int:
    """Up to one more than is said."""
    return receivers.deliveries(row).filter(status=Call.Status.FAILED)[: MOST_COUNTED + 1].count()


def _name(row: Receiver) -> str:
    if row.kind == Receiver.Kind.CALLBACK:
        return "Callbacks"
    return row.endpoint.name if row.kind == Receiver.Kind.ENDPOINT else row.webhook.event


def _address(row: Receiver) -> str:
    if row.kind == Receiver.Kind.CALLBACK:
        return reverse("settings_callbacks")
    return reverse("webhook_endpoint" if row.kind == Receiver.Kind.ENDPOINT else "older_webhook", args=[row.pk])


def _endpoint(account: Account, endpoint_id: int) -> Endpoint:
    return get_object_or_404(endpoints.of(account), pk=endpoint_id)


def _receiver(account: Account, receiver_id: int, *, with_callbacks: bool = False) -> Receiver:
    """What cannot be switched off or deleted is not found, where that is the question."""
    row = get_object_or_404(receivers.of(account), pk=receiver_id)
    if row.kind == Receiver.Kind.CALLBACK and not with_callbacks:
        raise Http404
    return row


def _call(account: Account, delivery_id: int) -> Call:
    rows = Call.objects.filter(receiver__account=account, receiver__deleted_at=None)
    return get_object_or_404(rows.select_related("receiver"), pk=delivery_id)
