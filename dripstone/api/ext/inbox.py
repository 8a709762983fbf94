"""Ours: the mail that inbox:// caught, for tests and rehearsals."""

from typing import Any

from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone.api.auth import KitRequest
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import no_content, reply
from dripstone.senders import inbox

router = Router(tags=["Inbox"])


class InboxFilters(Paging):
    to: str | None = None


class MessagesAnswer(TypedDict):
    messages: list[dict[str, Any]]
    pagination: Pagination


@router.get("/inbox", response=MessagesAnswer, summary="List captured messages")
def list_messages(request: KitRequest, filters: Query[InboxFilters]) -> HttpResponse:
    """Oldest first."""
    found = page(inbox.messages(request.auth.account.pk, filters.to), filters, "id")
    return reply(200, messages=list(inbox.shapes(found.rows)), pagination=found.pagination)


@router.delete("/inbox", response={204: None}, summary="Empty the inbox")
def empty_inbox(request: KitRequest) -> HttpResponse:
    inbox.messages(request.auth.account.pk).delete()
    return no_content()
