"""What machines ask an operator's server: is it ready, and how much did it do."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from dripstone import clock
from dripstone.ops import metrics as ops_metrics
from dripstone.ops import readiness


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when database, migrations and engine are ready and mail flows; else 503 with a sentence per finding."""
    status, findings = readiness.report()
    return JsonResponse({"status": status, "findings": findings}, status=200 if status == readiness.OK else 503)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text. Counts over all accounts; no names, no addresses."""
    return HttpResponse(ops_metrics.text(clock.now()), content_type=CONTENT_TYPE_LATEST)
