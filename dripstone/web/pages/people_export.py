"""Everybody, or those whom a filter finds, as a CSV file.

Addresses of all people are what an account must not lose: who may only look does not take them along (docs/decisions/
exports.md). So the file itself is a POST, which viewers cannot send.
"""

from typing import cast
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.stats import people as stats
from dripstone.web import people_csv
from dripstone.web.forms import Form
from dripstone.web.frame import member, show
from dripstone.web.pages.people import asked

SPREADSHEET, PROGRAM = "spreadsheet", "program"
USES = [
    (SPREADSHEET, "A spreadsheet: with a mark for Excel, and an apostrophe before what it would take for a formula"),
    (PROGRAM, "A program: every value exactly as it is"),
]


@require_http_methods(["GET", "HEAD", "POST"])
@member
def people_export(request: HttpRequest, account: Account) -> HttpResponse:
    """The same address with the same query, asked or told."""
    this = asked(request, account, reverse("people"))
    if request.method == "POST" and not this.editor.problem:
        rows = this.rows()
        use = request.POST.get("use", SPREADSHEET)
        response = StreamingHttpResponse(
            people_csv.pieces(account, rows, for_spreadsheet=use != PROGRAM), content_type="text/csv; charset=utf-8"
        )
        day = clock.now().astimezone(ZoneInfo(account.time_zone)).date()
        response["Content-Disposition"] = f'attachment; filename="people-{day}.csv"'
        response["Cache-Control"] = "no-store"
        return cast("HttpResponse", response)  # Django has no name for both that its stubs know
    context = {
        "section": "people",
        "current": "true",
        "this": this,
        "editor": this.editor,
        "n_people": stats.of_account(account.pk, this.state or stats.EVERY_STATE),
        "form": Form({"use": SPREADSHEET}),
        "uses": USES,
        "query": this.query(),
        "back": f"{reverse('people')}{this.query()}",
    }
    return show(request, "people/export.html", account, context)
