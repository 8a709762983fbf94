"""What happened in the account, the newest first, by kind and by cause.

A filter may fit few events of a million: a page looks at so many at a time, and says where it stopped.
"""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dripstone.accounts.models import Account
from dripstone.events import log, types
from dripstone.events.models import Event
from dripstone.explain import event_words
from dripstone.subscribers.models import Subscriber
from dripstone.web import paging
from dripstone.web.frame import member, show

LOOKED_AT = 20_000  # events, for one page of a filter

KINDS = {
    types.SUBSCRIBER_CREATED: "Came on file",
    types.SUBSCRIBER_ACTIVATED: "Became active",
    types.SUBSCRIBER_RESUBSCRIBED: "Came back",
    types.SUBSCRIBER_UNSUBSCRIBED: "Unsubscribed",
    types.SUBSCRIBER_BOUNCED: "Refused at delivery",
    types.SUBSCRIBER_COMPLAINED: "Reported as spam",
    types.SUBSCRIBER_DELETED: "Was deleted",
    types.SUBSCRIBED_TO_FORM: "Signed up by a form",
    types.FORM_FILLED_IN_AGAIN: "Filled in a form again",
    types.TAG_ADDED: "Got a tag",
    types.TAG_REMOVED: "Lost a tag",
    types.FIELD_VALUE_UPDATED: "A field was set",
    types.ADDED_TO_SEQUENCE: "Entered a sequence",
    types.SEQUENCE_COMPLETED: "Completed a sequence",
    types.REMOVED_FROM_SEQUENCE: "Left a sequence",
    types.SEQUENCE_END_REACHED: "Reached the end of a sequence and stayed",
    types.PRODUCT_PURCHASED: "Bought something",
    types.SENT_INTO_AUTOMATION: "Was moved into an automation",
    types.SENT_OUT_OF_AUTOMATION: "Was moved out of an automation",
}
CAUSES = {
    "owner": "By hand",
    "api": "By API",
    "subscriber": "By themselves",
    "form": "By a form",
    "import": "By an import",
    "bulk": "By a bulk action",
    "rule": "By a rule",
    "automation": "By an automation",
    log.TIME: "By a date or an email",
}


@dataclass(frozen=True, slots=True)
class Happened:
    """person   None: it is about nobody, or they are gone"""

    at: datetime
    what: str
    person: Subscriber | None


@require_safe
@member
def activity(request: HttpRequest, account: Account) -> HttpResponse:
    kind, cause = request.GET.get("kind", ""), request.GET.get("cause", "")
    kind, cause = kind if kind in KINDS else "", cause if cause.partition(" ")[0] in CAUSES else ""
    before = paging.number(request.GET.get("before", ""))
    rows, older = _page(account.pk, kind, cause, before)
    chosen = {"kind": kind, "cause": cause}
    context = {
        "section": "activity",
        "current": "page",
        "happened": _told(rows, account.pk),
        "kinds": KINDS,
        "causes": CAUSES,
        "kind": kind,
        "cause": cause,
        "cause_kind": cause.partition(" ")[0],
        "newest": "?" + urlencode(chosen) if before is not None else "",
        "older": "?" + urlencode(chosen | {"before": older}) if older is not None else "",
        "stopped": older is not None and len(rows) < paging.PER_PAGE,
        "looked_at": LOOKED_AT,
        "keeps_days": settings.DRIPSTONE_KEEP_EVENTS_DAYS,
    }
    return show(request, "activity.html", account, context)


def _page(account_id: int, kind: str, cause: str, before: int | None) -> tuple[list[Event], int | None]:
    """The events, and before which the next page begins; None: there is no more."""
    rows = log.matching(account_id, kind=kind, cause=cause)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    edge = log.edge(account_id, before, LOOKED_AT) if kind or cause else None
    if edge is not None:
        rows = rows.filter(pk__gt=edge)
    found = list(rows.order_by("-pk")[: paging.PER_PAGE + 1])
    if len(found) > paging.PER_PAGE:
        return found[: paging.PER_PAGE], found[paging.PER_PAGE - 1].pk
    return found, None if edge is None else edge + 1


def _told(rows: list[Event], account_id: int) -> list[Happened]:
    names = event_words.names_of(rows, account_id)
    people = Subscriber.objects.filter(account=account_id).in_bulk(
        {row.subscriber_id for row in rows if row.subscriber_id}
    )
    return [
        Happened(row.occurred_at, event_words.sentence(row, names), people.get(row.subscriber_id or 0)) for row in rows
    ]
