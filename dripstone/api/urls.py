"""The index of the API: Kit's operations under /v4, ours under /ext/v1, their pages at /v4/docs and /ext/v1/docs."""

from typing import Any

from django.urls import URLPattern, URLResolver, path
from ninja import NinjaAPI
from ninja.errors import ValidationErrorContext

from dripstone.api import (
    accounts,
    custom_fields,
    email_templates,
    errors,
    ext_clock,
    ext_engine,
    ext_forecast,
    ext_impact,
    ext_inbox,
    ext_making,
    ext_people,
    ext_why,
    forms,
    segments,
    sequence_emails,
    sequence_subscribers,
    sequences,
    snippets,
    subscribers,
    tags,
)
from dripstone.api.auth import ApiKeyAuth
from dripstone.api.body import Checked, JsonParser


class KitApi(NinjaAPI):
    def validation_error_from_error_contexts(self, error_contexts: list[ValidationErrorContext[Any]]) -> Any:
        """A body that is not there has the problems of an empty one: "Name can't be blank"."""
        for context in error_contexts:
            for field in context.model.model_fields.values():
                if isinstance(field.annotation, type) and issubclass(field.annotation, Checked):
                    field.annotation.model_validate({})
        return super().validation_error_from_error_contexts(error_contexts)


def _api(title: str, description: str) -> KitApi:
    api = KitApi(
        title=title,
        description=description,
        version="4" if title.startswith("Kit") else "1",
        urls_namespace="kit" if title.startswith("Kit") else "ext",
        auth=ApiKeyAuth(),
        parser=JsonParser(),
    )
    errors.install(api)
    return api


kit = _api("Kit API v4, served by Dripstone", "Compatible with Kit's API. Send your key as `X-Kit-Api-Key`.")
kit.add_router("", accounts.router)
kit.add_router("", subscribers.router)
kit.add_router("", tags.router)
kit.add_router("", custom_fields.router)
kit.add_router("", forms.router)
kit.add_router("", segments.router)
kit.add_router("", sequences.router)
kit.add_router("", sequence_emails.router)
kit.add_router("", sequence_subscribers.router)
kit.add_router("", snippets.router)
kit.add_router("", email_templates.router)

ext = _api("Dripstone's own API", "What Kit has no call for. Same key, same errors, same paging as /v4.")
ext.add_router("", ext_clock.router)
ext.add_router("", ext_inbox.router)
ext.add_router("", ext_engine.router)
ext.add_router("", ext_making.router)
ext.add_router("", ext_people.router)
ext.add_router("", ext_forecast.router)
ext.add_router("", ext_impact.router)
ext.add_router("", ext_why.router)

urlpatterns: list[URLPattern | URLResolver] = [
    path("v4/", kit.urls),
    path("ext/v1/", ext.urls),
]
