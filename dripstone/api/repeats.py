"""`Idempotency-Key` on every POST: the same call, sent again, is answered again and not carried out again.

Around each view, past its key and its body: no view knows of it, and without the header it costs a look into a
dictionary. With it the view runs in one transaction, in which its own become savepoints, and its answer is kept in the
same one (accounts/repeats.py). A refusal, whatever its status, changes nothing and keeps nothing: the call may be
mended and sent with the same key.
"""

import hashlib
import re
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from django.db import transaction
from django.http import HttpResponse

from dripstone import clock, signing
from dripstone.accounts import repeats
from dripstone.api.auth import KitRequest
from dripstone.errors import Invalid

View = Callable[..., HttpResponse]

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
MOST_LETTERS = 255
_IN_META = "HTTP_IDEMPOTENCY_KEY"
_IN_PARTS = "dripstone_in_parts"
_KEY = re.compile(rf"[!-~]{{1,{MOST_LETTERS}}}")
_WRONG = f"Idempotency-Key must have 1 to {MOST_LETTERS} visible ASCII characters, and no spaces"


def once(view: View) -> View:
    """Around all views of an API."""
    in_parts = getattr(view, _IN_PARTS, False)

    @wraps(view)
    def answer(request: KitRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if _IN_META not in request.META or request.method != "POST":
            return view(request, *args, **kwargs)
        return _once(request, partial(view, request, *args, **kwargs), in_parts)

    return answer


def in_parts(view: View) -> View:
    """For a view that commits in between, and so cannot be one transaction with its answer (docs/reference/api.md)."""
    setattr(view, _IN_PARTS, True)
    return view


def _once(request: KitRequest, work: Callable[[], HttpResponse], in_parts: bool) -> HttpResponse:
    call = _call(request)
    with repeats.turn(call, in_parts=in_parts):
        if (kept := repeats.find(call, clock.now())) is not None:
            return _again(kept)
        response = work()
        if response.status_code < 400:
            answer = repeats.Answer(response.status_code, response["Content-Type"], response.content)
            repeats.keep(call, answer, clock.now())
        elif not in_parts:
            transaction.set_rollback(True)
    return response


def _call(request: KitRequest) -> repeats.Call:
    key = request.META[_IN_META].strip()
    if not _KEY.fullmatch(key):
        raise Invalid(_WRONG)
    said = f"{request.method} {request.get_full_path()} {hashlib.sha256(request.body).hexdigest()}"
    caller = request.auth
    return repeats.Call(caller.account.pk, str(caller.credential), key, signing.fingerprint("call", said))


def _again(kept: repeats.Answer) -> HttpResponse:
    response = HttpResponse(kept.content, status=kept.status, content_type=kept.content_type)
    response[REPLAYED] = "true"
    return response
