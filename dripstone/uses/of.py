"""Where snippets, images, templates and custom fields of an account are used: in which emails, templates and snippets,
directly or through one another. Whom a change of one reaches."""

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Q
from django.db.models.functions import Coalesce

from dripstone.content.models import EmailTemplate, Snippet
from dripstone.images.models import Image
from dripstone.sequences.models import SequenceEmail
from dripstone.stats import places
from dripstone.uses import reading
from dripstone.uses.models import Mentions

Source = Mentions.Source
Holder = tuple[Source, int]
MOST_NAMED = 50  # emails that a page shows; an account may have thousands


@dataclass(frozen=True, slots=True)
class Uses:
    """Ids of what uses something, in no order.

    emails     → the snippet or template through which; None where the email itself names it
    drafts     → the same, of emails that have it in their unpublished changes only
    templates  → the snippet through which, or None
    snippets   → the same
    """

    emails: dict[int, "Through"] = field(default_factory=dict)
    drafts: dict[int, "Through"] = field(default_factory=dict)
    templates: dict[int, "Through"] = field(default_factory=dict)
    snippets: dict[int, "Through"] = field(default_factory=dict)

    @property
    def is_none(self) -> bool:
        return not (self.emails or self.drafts or self.templates or self.snippets)


Through = Holder | None


class _Email(NamedTuple):
    """template_id  its own, its sequence's or the account's default; None: the built-in one
    has_own      not the default one
    """

    template_id: int | None
    has_own: bool
    is_published: bool
    sequence_id: int
    position: int
    sequence_name: str

    @property
    def rank(self) -> tuple[bool, str, int, int]:
        """Published ones first, those of a sequence together, in its order."""
        return not self.is_published, self.sequence_name, self.sequence_id, self.position


class _Printing(NamedTuple):
    """Sources that print the same fields, or ask about them. An account has few such groups, and thousands of emails in
    one of them."""

    keys: frozenset[str]
    is_any: bool  # they may print any field: only a reader decides which
    holders: list[Holder]


class Graph:
    """All uses within an account, as of when it was made: a fixed number of queries, 40 ms for 5,000 emails."""

    def __init__(self, account_id: int) -> None:
        reading.catch_up(account_id)
        self.account_id = account_id
        default = EmailTemplate.objects.filter(account_id=account_id, is_default=True).values_list("pk", flat=True)
        self.default_template_id = default.first()
        self.emails = dict(_emails(account_id, self.default_template_id))
        self.template_ids = set(EmailTemplate.objects.filter(account_id=account_id).values_list("pk", flat=True))
        self.keys = dict(Snippet.objects.filter(account_id=account_id).values_list("pk", "key"))
        self._naming_snippet: dict[str, list[Holder]] = defaultdict(list)
        self._naming_image: dict[str, list[Holder]] = defaultdict(list)
        self._by_template: dict[int | None, list[int]] = defaultdict(list)
        for pk, email in self.emails.items():
            self._by_template[email.template_id].append(pk)
        for holders, keys, digests in self._alike(Q(snippets=[], images=[]), "snippets", "images"):
            for key in keys:
                self._naming_snippet[key] += holders
            for digest in digests:
                self._naming_image[digest] += holders

    def _alike(self, nothing: Q, *columns: str) -> Iterator[tuple[list[Holder], *tuple[Any, ...]]]:
        """Sources that have the same in these columns, and what: a row for most of an account's emails together."""
        there: dict[Source, Collection[int]] = {
            Source.EMAIL: self.emails,
            Source.DRAFT: self.emails,
            Source.TEMPLATE: self.template_ids,
            Source.SNIPPET: self.keys,
        }
        rows = Mentions.objects.filter(account_id=self.account_id).exclude(nothing).values("source", *columns)
        for name, ids, *said in rows.annotate(ids=ArrayAgg("source_id")).values_list("source", "ids", *columns):
            source = Source(name)
            yield [(source, pk) for pk in ids if pk in there[source]], *said

    def of_snippet(self, key: str) -> Uses:
        return self._all(self._naming_snippet[key])

    def of_image(self, digest: str) -> Uses:
        return self._all(self._naming_image[digest])

    def of_field(self, key: str) -> Uses:
        """What prints the field, or asks about it, in Liquid."""
        return self._all(*(one.holders for one in self._printing if key in one.keys))

    def of_any_field(self) -> Uses:
        """What may print any field: only a reader decides which."""
        return self._all(*(one.holders for one in self._printing if one.is_any))

    @cached_property
    def _printing(self) -> list[_Printing]:
        """Nearly every email prints a field, so they are read only for somebody who asks."""
        groups = self._alike(Q(fields=[], any_field=False), "fields", "any_field")
        return [_Printing(frozenset(keys), is_any, holders) for holders, keys, is_any in groups]

    def of_template(self, template_id: int) -> Uses:
        uses = Uses()
        self._add_readers(uses, template_id, None)
        return uses

    def without_template(self) -> Uses:
        """Emails that get the account's default, whichever that is."""
        return Uses(emails=dict.fromkeys(pk for pk, email in self.emails.items() if not email.has_own))

    def _all(self, *direct: list[Holder]) -> Uses:
        """What names something is used where it is named, and so on: breadth first, so that the shortest way counts."""
        uses = Uses()
        found = {
            Source.EMAIL: uses.emails,
            Source.DRAFT: uses.drafts,
            Source.TEMPLATE: uses.templates,
            Source.SNIPPET: uses.snippets,
        }
        level: list[tuple[list[Holder], Through]] = [(holders, None) for holders in direct]
        while level:
            further: list[tuple[list[Holder], Through]] = []
            for holders, through in level:
                for source, pk in holders:
                    if pk not in found[source]:
                        found[source][pk] = through
                        if source is Source.SNIPPET:
                            further.append((self._naming_snippet[self.keys[pk]], (source, pk)))
            level = further
        for template_id in uses.templates:
            self._add_readers(uses, template_id, (Source.TEMPLATE, template_id))
        for pk in uses.drafts.keys() & uses.emails.keys():
            del uses.drafts[pk]
        return uses

    def _add_readers(self, uses: Uses, template_id: int, through: Through) -> None:
        for pk in self._by_template[template_id]:
            uses.emails.setdefault(pk, through)

    def first(self, uses: Uses, most: int) -> list[int]:
        """The emails that are named first, drafts among them. Of thousands, the database is asked for these alone."""
        return heapq.nsmallest(most, {*uses.emails, *uses.drafts}, key=lambda pk: self.emails[pk].rank)

    def reach(self, uses: Uses) -> "Reach":
        published = [self.emails[pk] for pk in uses.emails if self.emails[pk].is_published]
        last = dict(sorted((email.sequence_id, email.position) for email in published))
        before = [pk for pk, email in self.emails.items() if email.position <= last.get(email.sequence_id, -1)]
        n_people = places.n_waiting_for(before) if before else 0
        return Reach(uses, len(published), len(last), n_people, self.first(uses, MOST_NAMED))


def _emails(account_id: int, default_template_id: int | None) -> Iterator[tuple[int, _Email]]:
    rows = SequenceEmail.objects.filter(account_id=account_id, deleted_at=None, sequence__deleted_at=None)
    template = Coalesce("email_template_id", "sequence__email_template_id")
    others = ("published", "sequence_id", "position", "sequence__name")
    for pk, template_id, *of_email in rows.values_list("pk", template, *others):
        yield pk, _Email(template_id or default_template_id, template_id is not None, *of_email)


@dataclass(frozen=True, slots=True)
class Reach:
    """n_published  emails among `uses` that are published
    n_sequences  that these belong to
    n_people     who are still to get one of them, that is who wait for the last of them in their sequence or for one
                 before it, by kept counts; who is in two sequences counts in both
    named        ids of the emails to show: the first MOST_NAMED
    """

    uses: Uses
    n_published: int
    n_sequences: int
    n_people: int
    named: list[int]


def of_snippet(snippet: Snippet) -> Reach:
    graph = Graph(snippet.account_id)
    return graph.reach(graph.of_snippet(snippet.key))


def of_image(image: Image) -> Reach:
    graph = Graph(image.account_id)
    return graph.reach(graph.of_image(image.digest))


def of_template(template: EmailTemplate) -> Reach:
    graph = Graph(template.account_id)
    return graph.reach(graph.of_template(template.pk))
