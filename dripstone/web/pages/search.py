"""/search: everything of an account by its name, from the head of every page; a page of its own without JavaScript."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dripstone.accounts.models import Account
from dripstone.postgresql import folded
from dripstone.web import searching
from dripstone.web.frame import member, show

AT_THE_HEAD, ON_THE_PAGE = 5, 20  # of each kind
HITS = "hits"  # the id of the list below the field


@require_safe
@member
def search(request: HttpRequest, account: Account) -> HttpResponse:
    typed = " ".join(request.GET.get("q", "").replace("\0", "").split())[: folded.LONGEST]
    is_part = request.headers.get("HX-Target") == HITS
    groups = searching.everything(account, typed, AT_THE_HEAD if is_part else ON_THE_PAGE) if typed else []
    context = {
        "section": "search",
        "typed": typed,
        "groups": groups,
        "in_words": searching.in_words(groups) if typed else "",
    }
    response = show(request, "search/_hits.html" if is_part else "search/page.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response
