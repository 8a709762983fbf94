"""What exactly a letter is made of: an edition, found or made once for each combination of texts.

Takes       emails as they were read for a letter, with template, snippets and sender
Leaves      a row for each, and the versions it names if a server of the release before left none
A crash here means an edition that no delivery names. The next letter of the same texts finds it.
"""

import hashlib
import json
import re
from collections.abc import Hashable, Iterable, Mapping
from collections.abc import Sequence as Series
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from django.db import connection

from dripstone.content.compile import EmailSource, SnippetSource
from dripstone.content.liquid import pieces
from dripstone.content.models import SnippetVersion
from dripstone.engine import queries
from dripstone.engine.models import Edition

# `snippet.hello`, `snippet['hello']`. Where `snippet` stands otherwise, as in `snippet[subscriber.city]`, any may be
# meant.
_SNIPPET = re.compile(r"""\bsnippet\b(?:\.([\w-]+)|\[\s*(?:'([^']*)'|"([^"]*)")\s*\])?""")

Key = TypeVar("Key", bound=Hashable)


class Template(NamedTuple):
    """As it was read. `change`: its counter of changes, so that a text that came back is another edition."""

    id: int
    change: int
    html: str


class Snippet(NamedTuple):
    id: int
    change: int
    key: str
    kind: str
    source: str


class Print(NamedTuple):
    """All that a letter is made of. `template_id` is the email's own; `template` may be its sequence's or account's."""

    account_id: int
    email_id: int
    change: int
    subject: str
    preview_text: str | None
    content: str | None
    template_id: int | None
    template: Template | None
    snippets: tuple[Snippet, ...]
    from_name: str
    from_address: str
    postal_address: str
    time_zone: str
    language: str
    direction: str


def of(prints: Mapping[Key, Print], now: datetime) -> dict[Key, int]:
    """Ids of their editions. A fixed number of statements, one if all are there."""
    if not prints:
        return {}
    used = {key: one._replace(snippets=_used(one)) for key, one in prints.items()}
    digests = {key: _digest(one) for key, one in used.items()}
    missing = {digests[key]: one for key, one in used.items()}
    found = _found(missing)
    missing = {digest: one for digest, one in missing.items() if digest not in found}
    if missing:
        _make(missing, now)
        found |= _found(missing)
    return {key: found[digest] for key, digest in digests.items()}


def source(edition: Edition) -> EmailSource:
    """What compile_email takes, as it was when the edition was made."""
    text, template = edition.email_version, edition.template_version
    return EmailSource(
        subject=text.subject,
        preview_text=text.preview_text,
        content=text.content,
        template_html=None if template is None else template.html,
        snippets={one.key: SnippetSource(one.snippet_type, one.source) for one in snippets(edition)},
        from_name=edition.from_name,
        from_address=edition.from_address,
        postal_address=edition.postal_address,
        language=edition.language,
        direction=edition.direction,
    )


def snippets(edition: Edition) -> list[SnippetVersion]:
    return list(SnippetVersion.objects.filter(pk__in=edition.snippet_versions).order_by("key"))


# --- What is used -------------------------------------------------------------------------------------------------


def _used(one: Print) -> tuple[Snippet, ...]:
    """The snippets that the letter may use, directly or through others, in the order of their keys. An edit of another
    one makes no edition."""
    known = {snippet.key: snippet for snippet in one.snippets}
    used: dict[str, Snippet] = {}
    texts = (one.subject, one.preview_text, one.content, one.template and one.template.html)
    sources = [text for text in texts if text]
    while sources and len(used) < len(known):
        new = {key for source in sources for key in _named(source, known)} - set(used)
        used |= {key: known[key] for key in new if key in known}
        sources = [known[key].source for key in new if key in known]
    return tuple(used[key] for key in sorted(used))


def _named(source: str, known: Iterable[str]) -> Iterable[str]:
    """Keys of snippets in the tags of a source: at least those that it can print."""
    if "snippet" not in source:
        return
    for piece in pieces(source):
        for found in _SNIPPET.finditer(piece.text) if piece.is_liquid else ():
            key = found[1] or found[2] or found[3]
            if key is None:
                yield from known
            else:
                yield key


def _digest(one: Print) -> str:
    return hashlib.sha256(json.dumps(one).encode()).hexdigest()


# --- Rows ---------------------------------------------------------------------------------------------------------


def _found(digests: Iterable[str]) -> dict[str, int]:
    return dict(Edition.objects.filter(digest__in=list(digests)).values_list("digest", "pk"))


def _make(prints: Mapping[str, Print], now: datetime) -> None:
    """Another process may make the same ones meanwhile: whoever is first."""
    emails = [_email_row(one) for one in prints.values()]
    templates = {_template_row(one.account_id, one.template) for one in prints.values() if one.template}
    snippet_rows = {_snippet_row(one.account_id, snippet) for one in prints.values() for snippet in one.snippets}
    of_email = _versions(_EMAILS, emails, now)
    of_template = _versions(_TEMPLATES, list(templates), now)
    of_snippet = _versions(_SNIPPETS, list(snippet_rows), now)
    made = [
        Edition(
            account_id=one.account_id,
            email_version_id=of_email[_email_row(one)],
            template_version_id=of_template[_template_row(one.account_id, one.template)] if one.template else None,
            snippet_versions=[of_snippet[_snippet_row(one.account_id, snippet)] for snippet in one.snippets],
            from_name=one.from_name,
            from_address=one.from_address,
            postal_address=one.postal_address,
            time_zone=one.time_zone,
            language=one.language,
            direction=one.direction,
            digest=digest,
            made_at=now,
        )
        for digest, one in sorted(prints.items())
    ]
    Edition.objects.bulk_create(made, ignore_conflicts=True)


class _Kind(NamedTuple):
    """Versions of one kind: their table, that of the rows they are of, the column that names such a row, and those that
    say what it said, with their types."""

    table: str
    rows: str
    owner: str
    says: dict[str, str]
    stamps: str  # at and by
    has_account: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        return ("account_id", "owner", *self.says)


_EMAILS = _Kind(
    "sequences_emailversion",
    "sequences_sequenceemail",
    "email_id",
    {"subject": "text", "preview_text": "text", "content": "text", "email_template_id": "bigint"},
    "published_at, published_by",
    has_account=False,
)
_TEMPLATES = _Kind(
    "content_templateversion", "content_emailtemplate", "template_id", {"html": "text"}, "saved_at, saved_by"
)
_SNIPPETS = _Kind(
    "content_snippetversion",
    "content_snippet",
    "snippet_id",
    {"key": "text", "snippet_type": "text", "source": "text"},
    "saved_at, saved_by",
)

# The newest version that says the same, by its place in the list given; null where there is none.
_FIND = """
SELECT (SELECT v.id FROM {table} v WHERE v.{owner} = g.owner AND {same} ORDER BY v.number DESC LIMIT 1)
FROM ROWS FROM (json_to_recordset(%(given)s) AS (account_id bigint, owner bigint, {typed})) WITH ORDINALITY
     AS g (account_id, owner, {says}, place)
ORDER BY place
"""

# Without a lock. Who does not see yet what another process makes waits for it, wants the same number, gets none, and
# looks again. All go in the order of the owners' ids, so that two never wait for each other.
_MAKE = """
INSERT INTO {table} ({account}{owner}, number, {says}, {stamps})
SELECT {account}owner, COALESCE((SELECT max(number) FROM {table} v WHERE v.{owner} = g.owner), 0) + 1, {says},
       COALESCE((SELECT updated_at FROM {rows} r WHERE r.id = g.owner), %(now)s), ''
FROM json_to_recordset(%(given)s) AS g (account_id bigint, owner bigint, {typed})
WHERE NOT EXISTS (SELECT FROM {table} v WHERE v.{owner} = g.owner AND {same})
ORDER BY g.owner
ON CONFLICT DO NOTHING
"""


def _email_row(one: Print) -> tuple[Any, ...]:
    return one.account_id, one.email_id, one.subject, one.preview_text, one.content, one.template_id


def _template_row(account_id: int, template: Template) -> tuple[Any, ...]:
    return account_id, template.id, template.html


def _snippet_row(account_id: int, snippet: Snippet) -> tuple[Any, ...]:
    return account_id, snippet.id, snippet.key, snippet.kind, snippet.source


def _versions(kind: _Kind, rows: Series[tuple[Any, ...]], now: datetime) -> dict[tuple[Any, ...], int]:
    """Versions that say what these rows say. What has none was written by a server of the release before, by nobody
    knows whom."""
    found: dict[tuple[Any, ...], int] = {}
    while missing := [row for row in rows if row not in found]:
        with connection.cursor() as cursor:
            given = queries.rows(kind.columns, missing)
            cursor.execute(_statement(_FIND, kind), {"given": given})
            ids = [id for (id,) in cursor.fetchall()]
            found |= {row: id for row, id in zip(missing, ids, strict=True) if id is not None}
            if lacking := [row for row in missing if row not in found]:
                given = queries.rows(kind.columns, lacking)
                cursor.execute(_statement(_MAKE, kind), {"given": given, "now": now})
    return found


def _statement(statement: str, kind: _Kind) -> str:
    return statement.format(
        table=kind.table,
        rows=kind.rows,
        owner=kind.owner,
        account="account_id, " if kind.has_account else "",
        says=", ".join(kind.says),
        typed=", ".join(f"{name} {column}" for name, column in kind.says.items()),
        same=" AND ".join(f"v.{name} IS NOT DISTINCT FROM g.{name}" for name in kind.says),
        stamps=kind.stamps,
    )
