"""/people/readers: as whom the preview of a snippet or template may be shown, while one types an address."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dripstone.accounts.models import Account
from dripstone.web import sampling
from dripstone.web.frame import member, show


@require_safe
@member
def readers(request: HttpRequest, account: Account) -> HttpResponse:
    """Those whose address begins with what was typed, for the field's list."""
    found = sampling.readers(account, request.GET.get("as", ""))
    return show(request, "library/_readers.html", account, {"people": found})
