from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.imports import arriving, files
from dripstone.web.frame import actor, member

@require_POST
@member
def new_file(request: HttpRequest, account: Account) -> HttpResponse:
    if (what := arriving.arrived(request.META)) is not None:
        arriving.finish(files.find(what.import_id), what, clock.now())
        return redirect(f"/imports/{what.import_id}")
    if (a := arriving.announced(request.META)) is None:
        return HttpResponse("Choose a file first", status=422)
    arriving.expect(request.META, files.begin(account, a.file_name, actor(request), clock.now()))
    return HttpResponse(status=202)
