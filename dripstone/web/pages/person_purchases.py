"""/people/<id>/purchases: what one person bought, as their shop told it."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dripstone.accounts.models import Account
from dripstone.web import bought
from dripstone.web.frame import member, show
from dripstone.web.pages.person import about, person_of
from dripstone.web.paging import page


@require_safe
@member
def purchases(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    found = person_of(account, subscriber_id)
    rows = page(request, bought.of_person(found))
    context = about(found) | {"page": rows, "bought": bought.shown(rows.rows), "in_all": bought.in_all(found)}
    return show(request, "people/purchases.html", account, context)
