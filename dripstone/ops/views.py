"""What machines ask an operator's server: is it ready, and how much did it do."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from dripstone import clock
from dripstone.ops import health
from dripstone.ops import metrics as ops_metrics


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when database, migrations and engine are ready; else 503 with a sentence per finding."""
    findings = list(health.findings(clock.system_now()))
    answer = {"status": "not ready" if findings else "ok", "findings": findings}
    return JsonResponse(answer, status=503 if findings else 200)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text. Counts over all accounts; no names, no addresses."""
    return HttpResponse(ops_metrics.text(clock.now()), content_type=CONTENT_TYPE_LATEST)
