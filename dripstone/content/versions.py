"""Versions of templates and snippets: every text they had, when, and by whom."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from django.db import models

from dripstone.content.models import EmailTemplate, Snippet, SnippetVersion, TemplateVersion
from dripstone.errors import NotFound

OWNER = "owner"
UNKNOWN = ""  # who wrote what has no version: a server of the release before

Version = TypeVar("Version", bound=models.Model)


def of_template(template: EmailTemplate) -> list[TemplateVersion]:
    """The newest first."""
    keep_template(template, template.updated_at, UNKNOWN)
    return list(template.versions.order_by("-number"))


def of_snippet(snippet: Snippet) -> list[SnippetVersion]:
    """The newest first."""
    keep_snippet(snippet, snippet.updated_at, UNKNOWN)
    return list(snippet.versions.order_by("-number"))


def keep_template(template: EmailTemplate, at: datetime, actor: str) -> TemplateVersion:
    """The version that this template is now: the newest, or a new one if that says something else."""
    whose = {"account_id": template.account_id, "template_id": template.pk}
    return kept(TemplateVersion, whose, {"html": template.html}, saved_at=at, saved_by=actor)


def keep_snippet(snippet: Snippet, at: datetime, actor: str) -> SnippetVersion:
    whose = {"account_id": snippet.account_id, "snippet_id": snippet.pk}
    says = {"key": snippet.key, "snippet_type": snippet.snippet_type, "source": snippet.source}
    return kept(SnippetVersion, whose, says, saved_at=at, saved_by=actor)


def kept(model: type[Version], whose: Mapping[str, Any], says: Mapping[str, Any], **stamps: Any) -> Version:
    """The newest version of something, if it says this; else a new one. Whoever needs it at the same time gets the same
    row, without a lock."""
    rows = model._default_manager.filter(**whose)
    while True:
        newest = rows.order_by("-number").first()
        if newest is not None and all(getattr(newest, name) == value for name, value in says.items()):
            return newest
        number = getattr(newest, "number", 0) + 1
        new = model(number=number, **whose, **says, **stamps)
        model._default_manager.bulk_create([new], ignore_conflicts=True)


def numbered(rows: models.QuerySet[Version], number: int) -> Version:
    """Raises NotFound."""
    found = rows.filter(number=number).first()
    if found is None:
        raise NotFound
    return found
