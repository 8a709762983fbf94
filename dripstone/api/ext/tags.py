"""Tags: Kit deletes them in bulk alone."""

from django.http import HttpResponse
from ninja import Query, Router

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.ext.segments import Anyway, refuse_used
from dripstone.api.replies import no_content
from dripstone.events import causes
from dripstone.subscribers import tags

router = Router(tags=["Tags"])


@router.delete("/tags/{int:id}", response={204: None}, summary="Delete a tag")
def delete_tag(request: KitRequest, id: int, query: Query[Anyway]) -> HttpResponse:
    """From everybody who has it. Refused while something names it, unless `anyway`: then conditions about it are
    met by nobody, exclusions by it exclude everybody, rules do nothing with it, and automations pass it by."""
    tag = lookup.row(request.auth.account.tags.all(), id)
    if not query.anyway:
        refuse_used(("tag", tag.pk), tag.account_id)
    tags.delete(tag, clock.now(), cause=causes.API)
    return no_content()
