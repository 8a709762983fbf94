"""The index of the API: Kit's operations under /v4, ours under /ext/v1, their pages at /v4/docs and /ext/v1/docs; and
both as tools for agents at /mcp."""

from types import ModuleType
from typing import Any

from django.urls import URLPattern, URLResolver, path
from ninja import NinjaAPI
from ninja.errors import ValidationErrorContext
from ninja.openapi.schema import OpenAPISchema

from dripstone.api import description, errors, oauth, repeats
from dripstone.api.auth import ApiKeyAuth
from dripstone.api.body import Asked, JsonParser
from dripstone.api.ext import (
    automation_people,
    automation_test_runs,
    automations,
    bulk_actions,
    bulk_jobs,
    clock,
    creator_profile,
    deletions,
    deliveries,
    enrollments,
    events,
    forecast,
    impact,
    imports,
    inbox,
    place_impact,
    products,
    reports,
    rules,
)
from dripstone.api.ext import email_templates as ext_email_templates
from dripstone.api.ext import forms as ext_forms
from dripstone.api.ext import segments as ext_segments
from dripstone.api.ext import sequence_emails as ext_sequence_emails
from dripstone.api.ext import sequences as ext_sequences
from dripstone.api.ext import subscribers as ext_subscribers
from dripstone.api.ext import tags as ext_tags
from dripstone.api.ext import webhook_endpoints as ext_webhook_endpoints
from dripstone.api.mcp import door
from dripstone.api.v4 import (
    accounts,
    bulk,
    custom_fields,
    email_templates,
    forms,
    locations,
    purchases,
    segments,
    sequence_emails,
    sequence_subscribers,
    sequences,
    snippets,
    subscriber_filter,
    subscribers,
    tags,
    webhook_endpoints,
    webhooks,
)

KIT = (
    accounts,
    subscribers,
    locations,
    subscriber_filter,
    tags,
    custom_fields,
    forms,
    segments,
    sequences,
    sequence_emails,
    sequence_subscribers,
    snippets,
    email_templates,
    webhook_endpoints,
    webhooks,
    purchases,
    bulk,
)
OURS = (
    creator_profile,
    clock,
    inbox,
    enrollments,
    deliveries,
    ext_sequences,
    reports,
    events,
    ext_sequence_emails,
    forecast,
    impact,
    place_impact,
    ext_subscribers,
    deletions,
    products,
    ext_tags,
    ext_forms,
    ext_segments,
    ext_email_templates,
    ext_webhook_endpoints,
    bulk_jobs,
    bulk_actions,
    imports,
    rules,
    automations,
    automation_people,
    automation_test_runs,
)


class KitApi(NinjaAPI):
    def validation_error_from_error_contexts(self, error_contexts: list[ValidationErrorContext[Any]]) -> Any:
        """A missing body is reported as an empty one would be: "Name can't be blank"."""
        for context in error_contexts:
            for field in context.model.model_fields.values():
                if isinstance(field.annotation, type) and issubclass(field.annotation, Asked):
                    field.annotation.model_validate({})
        return super().validation_error_from_error_contexts(error_contexts)

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**options)
        description.complete(schema)
        return schema


def _api(title: str, summary: str, version: str, namespace: str, resources: tuple[ModuleType, ...]) -> KitApi:
    api = KitApi(
        title=title,
        description=summary,
        version=version,
        urls_namespace=namespace,
        auth=ApiKeyAuth(),
        parser=JsonParser(),
    )
    errors.install(api)
    api.add_decorator(repeats.once)
    for resource in resources:
        api.add_router("", resource.router)
    return api


kit = _api(
    "Kit API v4, served by Dripstone", "Compatible with Kit's API. Send your key as `X-Kit-Api-Key`.", "4", "kit", KIT
)
ext = _api(
    "Dripstone's own API", "What Kit has no call for. Same key, same errors, same paging as /v4.", "1", "ext", OURS
)

urlpatterns: list[URLPattern | URLResolver] = [
    *oauth.urlpatterns,
    path("v4/", kit.urls),
    path("ext/v1/", ext.urls),
    path("mcp", door.server({"/v4": kit, "/ext/v1": ext})),
]
