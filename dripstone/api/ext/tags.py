"""Tags: Kit deletes them in bulk alone."""

from django.http import HttpResponse
from ninja import Query, Router

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.ext.segments import Anyway
from dripstone.api.replies import no_content
from dripstone.conditions import uses
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.subscribers import tags
from dripstone.words import listed

router = Router(tags=["Tags"])


@router.delete("/tags/{int:id}", response={204: None}, summary="Delete a tag")
def delete_tag(request: KitRequest, id: int, query: Query[Anyway]) -> HttpResponse:
    """From everybody who has it. Refused while something names it, unless `anyway`: then its conditions are met by
    nobody, and its exclusions exclude everybody."""
    tag = lookup.row(request.auth.account.tags.all(), id)
    found = uses.of(("tag", tag.pk), tag.account_id)
    if found and not query.anyway:
        raise Invalid(
            f"The tag is used in {listed(one.words for one in found)}; "
            "with anyway=true it is deleted all the same, and nobody meets them any more"
        )
    tags.delete(tag, clock.now(), cause=causes.API)
    return no_content()
