"""Snippets: made, changed, checked. Read when an email is sent, never copied into one."""

from datetime import datetime
from typing import Any

from django.db import transaction

from dripstone.accounts import names
from dripstone.content import html, liquid, trial, versions
from dripstone.content.compile import SnippetSource
from dripstone.content.models import Snippet
from dripstone.errors import Invalid
from dripstone.given import ABSENT, Checked, Given, as_part, as_text

# Where a snippet of each type has its text, and the column that keeps it.
_MEMBERS = {Snippet.Type.INLINE.value: "content", Snippet.Type.BLOCK.value: "document_attributes"}
_COLUMNS = {Snippet.Type.INLINE.value: "content", Snippet.Type.BLOCK.value: "value_html"}


@transaction.atomic
def create(account_id: int, given: Given, now: datetime, actor: str = versions.OWNER) -> Snippet:
    """given   `name`, `snippet_type`, and the text: Liquid in `content` of an inline snippet, Liquid HTML in
            `document_attributes.value_html` of a block; what belongs to the other type is ignored

    Raises Invalid with every problem, and for a snippet that would contain itself.
    """
    name, snippet_type, source = _new(given)
    names.lock(account_id)
    taken = set(Snippet.objects.filter(account_id=account_id).values_list("key", flat=True))
    key = names.free_key(key_for(name), "-", taken)
    _refuse_too_much(account_id, key, snippet_type, source)
    snippet = Snippet.objects.create(
        account_id=account_id,
        name=name,
        key=key,
        snippet_type=snippet_type,
        **{_COLUMNS[snippet_type]: source},
        created_at=now,
        updated_at=now,
    )
    versions.keep_snippet(snippet, now, actor)
    return snippet


@transaction.atomic
def update(snippet: Snippet, given: Given, now: datetime, actor: str = versions.OWNER) -> Snippet:
    """given   any of `name`, `archived`, and the text of its type

    The key stays whatever the name: emails refer to it. Raises Invalid as `create` does, and for another type.
    """
    values = _changes(given, snippet)
    names.lock(snippet.account_id)
    snippet.refresh_from_db()
    snippet.name = values.get("name", snippet.name)
    snippet.archived = values.get("archived", snippet.archived)
    source = values.get(_MEMBERS[snippet.snippet_type])
    if source is not None:
        _refuse_too_much(snippet.account_id, snippet.key, snippet.snippet_type, source)
        versions.keep_snippet(snippet, snippet.updated_at, versions.UNKNOWN)  # if it was written without one
        setattr(snippet, _COLUMNS[snippet.snippet_type], source)
        snippet.version += 1
    snippet.updated_at = now
    snippet.save()
    if source is not None:
        versions.keep_snippet(snippet, now, actor)
    return snippet


def restore(snippet: Snippet, number: int, now: datetime, actor: str = versions.OWNER) -> Snippet:
    """The text of a version, saved anew, which makes another version. Raises NotFound, and Invalid if it could not be
    saved today."""
    source = versions.numbered(snippet.versions.all(), number).source
    is_inline = snippet.snippet_type == Snippet.Type.INLINE
    text = source if is_inline else {"value_html": source}
    return update(snippet, {_MEMBERS[snippet.snippet_type]: text}, now, actor)


def check(snippet: Snippet) -> None:
    """Raises Invalid for a text that could not be saved."""
    member = _MEMBERS[snippet.snippet_type]
    text = snippet.source if member == "content" else {"value_html": snippet.source}
    read = Checked({member: text})
    _text(read, member)
    read.raise_problems()
    _refuse_too_much(snippet.account_id, snippet.key, snippet.snippet_type, snippet.source)


def delete(snippet: Snippet) -> None:
    """Whatever names it has nothing in its place from then on (R18). A new snippet of the same name gets its key, and
    stands there again."""
    snippet.delete()


def key_for(name: str) -> str:
    """Hyphenated: "Cat Fact of the Day" → "cat-fact-of-the-day"."""
    return names.key_for(name, "-", "snippet")


# --- What was given ----------------------------------------------------------------------------------------------


def _new(given: Given) -> tuple[str, str, str]:
    """Name, type and text. Raises Invalid."""
    read = Checked(given, required=("name", "snippet_type"))
    read.drop_nulls(*_MEMBERS.values())
    read.name("name")
    read.choice("snippet_type", Snippet.Type.values)
    needed = _MEMBERS.get(read.values.get("snippet_type", ""), "")
    for member in _MEMBERS.values():
        if not _text(read, member) and member == needed:
            read.blank(member)
    values = read.sound()
    return values["name"], values["snippet_type"], values[needed]


def _changes(given: Given, snippet: Snippet) -> dict[str, Any]:
    read = Checked(given, blanks={"archived": "archived can't be blank"})
    read.name("name")
    read.text("snippet_type")
    read.flag("archived")
    for member in _MEMBERS.values():
        _text(read, member, saved=getattr(snippet, _COLUMNS[snippet.snippet_type]) or "")
    values = read.sound()
    others = set(_MEMBERS.values()) - {_MEMBERS[snippet.snippet_type]}
    if values.get("snippet_type", snippet.snippet_type) != snippet.snippet_type or others & set(values):
        raise Invalid.member("snippet_type", "snippet_type cannot be changed")
    return values


def _text(read: Checked, member: str, saved: str = "") -> bool:
    """Reads Liquid that can be rendered, a block's from `value_html` inside. False: it is not there."""
    is_inline = member == "content"
    if read.take(member, as_text if is_inline else as_part) is ABSENT:
        return False
    if inside := read if is_inline else read.part(member, required=("value_html",)):
        name = member if is_inline else "value_html"
        inside.text(name)
        source = inside.values.get(name)
        for problem in liquid.check_new(source or "", saved=saved):
            inside.refuse(name, problem)
        if not is_inline and (complaint := html.complaint(source or "")):
            inside.wrong(name, complaint)
        if source is not None:
            read.values[member] = source
    return True


# --- Snippets in snippets -----------------------------------------------------------------------------------------


def _refuse_too_much(account_id: int, key: str, snippet_type: str, source: str) -> None:
    """Raises Invalid for a snippet that contains itself, or uses or does more than a message may."""

    def contents_of(keys: set[str]) -> dict[str, str]:
        return {row.key: row.source for row in Snippet.objects.filter(account_id=account_id, key__in=keys)}

    if problem := liquid.snippet_problem(key, source, contents_of):
        raise Invalid(problem)
    given = {key: SnippetSource(snippet_type, source)}
    if over := trial.problem(account_id, content=f"{{{{ snippet['{key}'] }}}}", snippets=given):
        raise Invalid.member(_MEMBERS[snippet_type], over[1])
