"""/v/<token>: whoever reads an address agrees that an account sends from it. GET only shows."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from dripstone import clock
from dripstone.accounts import sending_addresses
from dripstone.web.public import frame


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def verification(request: HttpRequest, token: str) -> HttpResponse:
    address = sending_addresses.of_link(frame.bare(token), clock.now())
    if address is None:
        return frame.show(request, "public/link_unknown.html", {"purpose": "verification"}, status=404)
    if request.method == "POST":
        sending_addresses.verify(address)
        return frame.private(redirect("verification", token))
    return frame.show(request, "public/verification.html", {"token": token, "address": address})
