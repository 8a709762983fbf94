"""Reads what was saved since somebody asked last: which snippets, images and fields each source mentions.

No verb that saves a source has to think of it. Every source has a version that rises with each change; what has been
read of another version is read again when somebody asks. So a reading is never behind, whoever wrote, and one that was
overtaken by another is put right by the next.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from dripstone.content import liquid
from dripstone.content.liquid import References
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.images import store
from dripstone.sequences.models import EmailDraft, SequenceEmail
from dripstone.uses.models import Mentions

BATCH = 500  # sources in memory at once
_NOTHING = References()
READER = 2  # rises when more is read; what was read before that is read again


@dataclass(frozen=True, slots=True)
class Shelf:
    """A kind of source. texts: the columns that may mention something."""

    source: Mentions.Source
    rows: QuerySet[Any]
    texts: tuple[str, ...]
    version: str = "version"


def _shelves(account_id: int) -> Iterable[Shelf]:
    emails = SequenceEmail.objects.filter(account_id=account_id, deleted_at=None)
    yield Shelf(Mentions.Source.EMAIL, emails, ("subject", "preview_text", "content"))
    drafts = EmailDraft.objects.filter(email__account_id=account_id, email__deleted_at=None)
    yield Shelf(Mentions.Source.DRAFT, drafts, ("values",), version="revision")
    yield Shelf(Mentions.Source.TEMPLATE, EmailTemplate.objects.filter(account_id=account_id), ("html",))
    yield Shelf(Mentions.Source.SNIPPET, Snippet.objects.filter(account_id=account_id), ("content", "value_html"))


def catch_up(account_id: int) -> None:
    """A query per kind of source when nothing was saved: 10 ms for 5,000 emails. Reading them all takes a second."""
    for shelf in _shelves(account_id):
        unread = list(_unread(shelf).order_by("pk").values_list("pk", flat=True))
        for start in range(0, len(unread), BATCH):
            _read(account_id, shelf, unread[start : start + BATCH])


def _unread(shelf: Shelf) -> QuerySet[Any]:
    of_source = Mentions.objects.filter(source=shelf.source, source_id=OuterRef("pk"), reader=READER)
    return shelf.rows.filter(~Exists(of_source.filter(version=OuterRef(shelf.version))))


def _read(account_id: int, shelf: Shelf, ids: Sequence[int]) -> None:
    """In the order of ids, so that two who read at once do not wait for each other in a circle."""
    rows = shelf.rows.filter(pk__in=ids).order_by("pk").values_list("pk", shelf.version, *shelf.texts)
    Mentions.objects.bulk_create(
        [_mentions(account_id, shelf.source, pk, version, texts) for pk, version, *texts in rows],
        update_conflicts=True,
        unique_fields=["source", "source_id"],
        update_fields=["version", "snippets", "images", "fields", "any_field", "reader"],
    )


def _mentions(account_id: int, source: str, pk: int, version: int, columns: Iterable[Any]) -> Mentions:
    given = [text for column in columns for text in _texts(column)]
    said = [references_in(text) for text in given]
    return Mentions(
        account_id=account_id,
        source=source,
        source_id=pk,
        version=version,
        reader=READER,
        snippets=sorted({key for one in said for key in one.snippets}),
        images=sorted({digest for text in given for digest in store.digests(text)}),
        fields=sorted({key for one in said for key in one.fields}),
        any_field=any(one.any_field for one in said),
    )


def _texts(column: Any) -> list[str]:
    """Of a text, or of the texts of a draft, by member."""
    values = column.values() if isinstance(column, dict) else [column]
    return [value for value in values if isinstance(value, str) and value]


def references_in(text: str) -> References:
    """What a source inserts. Only its tags are parsed: most emails of an account have the same."""
    if "snippet" not in text and "subscriber" not in text:
        return _NOTHING
    return liquid.variables("".join(piece.text for piece in liquid.pieces(text) if piece.is_liquid))
