"""The root of every URL. Kit's API and ours come first, then what operators ask for, then the pages."""

from django.urls import URLPattern, URLResolver, include, path

from dripstone.ops import views as ops

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", ops.healthz),
    path("metrics", ops.metrics),
    path("", include("dripstone.api.urls")),  # /v4/… and /ext/v1/…
    path("", include("dripstone.web.urls")),
]
