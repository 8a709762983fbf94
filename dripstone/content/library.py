"""Snippets and email templates: made, changed, checked. Both are read when an email is sent, never copied into one."""

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction

from dripstone.accounts.models import Account
from dripstone.content import liquid
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.errors import Invalid

_MESSAGE_CONTENT = re.compile(r"\{\{-?\s*message_content\b")


# --- Snippets ---------------------------------------------------------------------------------------------------


@transaction.atomic
def create_snippet(account_id: int, name: str, snippet_type: str, source: str, now: datetime) -> Snippet:
    """source   Liquid text of an inline snippet, Liquid HTML of a block

    Raises Invalid for broken Liquid and for a snippet that would contain itself.
    """
    _lock(account_id)
    key = _free_key(account_id, name)
    _check_source(account_id, key, source)
    return Snippet.objects.create(
        account_id=account_id,
        name=name,
        key=key,
        snippet_type=snippet_type,
        **_source_columns(snippet_type, source),
        created_at=now,
        updated_at=now,
    )


@transaction.atomic
def update_snippet(
    snippet: Snippet,
    now: datetime,
    *,
    name: str | None = None,
    archived: bool | None = None,
    source: str | None = None,
) -> Snippet:
    """None leaves a thing as it is. The key stays whatever the name: emails refer to it."""
    _lock(snippet.account_id)
    snippet.refresh_from_db()
    snippet.name = snippet.name if name is None else name
    snippet.archived = snippet.archived if archived is None else archived
    if source is not None:
        _check_source(snippet.account_id, snippet.key, source)
        for column, value in _source_columns(snippet.snippet_type, source).items():
            setattr(snippet, column, value)
        snippet.version += 1
    snippet.updated_at = now
    snippet.save()
    return snippet


def key_for(name: str) -> str:
    """ASCII, lower case, hyphenated: "Cat Fact of the Day" → "cat-fact-of-the-day"."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-") or "snippet"


def _lock(account_id: int) -> None:
    """One snippet write per account at a time: two at once could close a circle, or take the same key."""
    Account.objects.select_for_update(no_key=True).get(pk=account_id)


def _free_key(account_id: int, name: str) -> str:
    taken = set(Snippet.objects.filter(account_id=account_id).values_list("key", flat=True))
    key, number = key_for(name), 2
    while key in taken:
        key, number = f"{key_for(name)}-{number}", number + 1
    return key


def _source_columns(snippet_type: str, source: str) -> dict[str, Any]:
    return {"content": source} if snippet_type == Snippet.Type.INLINE else {"value_html": source}


def _check_source(account_id: int, key: str, source: str) -> None:
    """Raises Invalid."""
    if problems := liquid.check(source):
        raise Invalid(problems)
    if way := liquid.snippet_cycle(key, source, _source_of(account_id)):
        raise Invalid(f"A snippet cannot contain itself: {' → '.join(way)}")


def _source_of(account_id: int) -> Callable[[str], str | None]:
    def source_of(key: str) -> str | None:
        other = Snippet.objects.filter(account_id=account_id, key=key).first()
        return (other.value_html if other.snippet_type == Snippet.Type.BLOCK else other.content) if other else None

    return source_of


# --- Templates --------------------------------------------------------------------------------------------------


def template_problems(html: str) -> list[str]:
    """Why this cannot be a template; [] when it can."""
    problems = liquid.check(html, "html")
    if not problems and not _MESSAGE_CONTENT.search(html):
        problems.append("html must contain {{ message_content }}")
    return problems


@transaction.atomic
def create_template(
    account_id: int, name: str, html: str, now: datetime, *, category: str = "HTML", is_default: bool = False
) -> EmailTemplate:
    """A new default takes the place of the old one. Raises Invalid."""
    if problems := template_problems(html):
        raise Invalid(problems)
    if is_default:
        EmailTemplate.objects.filter(account_id=account_id, is_default=True).update(is_default=False, updated_at=now)
    return EmailTemplate.objects.create(
        account_id=account_id,
        name=name,
        html=html,
        category=category,
        is_default=is_default,
        created_at=now,
        updated_at=now,
    )
