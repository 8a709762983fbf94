"""Finds the people whom a sequence excludes (R14): whoever belongs to a tag, form, sequence or segment.

Every question is asked for a set of people at once and answered by one statement. A source that was deleted excludes
everybody, and so does a segment whose condition names something that was: deleting the tag "customer" must not mail the
customers. conditions/ says who is in a segment.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Series
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from dripstone.conditions import matching
from dripstone.conditions.people import expanded
from dripstone.engine import queries, reasons
from dripstone.engine.models import Enrollment
from dripstone.sequences.known import known
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Form, FormSubscription, Segment, Subscriber, Tag, Tagging

# People belong to a sequence from entry on, and for ever once they completed it; not after they were taken out.
IN_SEQUENCE = (Enrollment.Status.UNCONFIRMED, Enrollment.Status.ACTIVE, Enrollment.Status.COMPLETED)

Source = reasons.Source

# Purpose: of some people, those who have each of some tags, and with them which of the tags there are. A probe of
# tagging_once for each person and tag. Forms and sequences alike.
_MEMBERS = """
SELECT source.id, member.subscriber_id FROM {things} source
LEFT JOIN {rows} member ON member.{kind}_id = source.id AND member.subscriber_id = ANY(%(people)s::bigint[]){which}
WHERE source.id = ANY(%(ids)s::bigint[]){there}
"""
_MEMBERS_OF = {
    "tag": _MEMBERS.format(things="subscribers_tag", rows="subscribers_tagging", kind="tag", which="", there=""),
    "form": _MEMBERS.format(
        things="subscribers_form", rows="subscribers_formsubscription", kind="form", which="", there=""
    ),
    "sequence": _MEMBERS.format(
        things="sequences_sequence",
        rows="engine_enrollment",
        kind="sequence",
        which=f" AND member.status IN ({', '.join(map(repr, map(str, IN_SEQUENCE)))})",
        there=" AND source.deleted_at IS NULL",
    ),
}


def excluded(sequence: Sequence, subscriber_ids: Iterable[int], now: datetime) -> dict[int, str]:
    """The people whom `exclude_subscriber_sources` excludes, each with the first source that matches."""
    found = excluded_of_each({sequence: list(subscriber_ids)}, now)
    return {subscriber_id: reason for (_, subscriber_id), reason in found.items()}


def excluded_of_each(people: Mapping[Sequence, Series[int]], now: datetime) -> dict[tuple[int, int], str]:
    """The same for people of several sequences, by the ids of sequence and person. Sequences that exclude nobody cost
    nothing; tags, forms and sequences are asked in one statement per kind, segments in one each."""
    asked: dict[Source, set[int]] = defaultdict(set)
    for sequence, subscriber_ids in people.items():
        for source in _sources(sequence):
            asked[source].update(subscriber_ids)
    inside = _members(asked, now)
    found: dict[tuple[int, int], str] = {}
    for sequence, subscriber_ids in people.items():
        for source in _sources(sequence):
            members = inside.get(source)
            reason = reasons.exclusion_gone(*source) if members is None else reasons.excluded(*source)
            for subscriber_id in subscriber_ids if members is None else members.intersection(subscriber_ids):
                found.setdefault((sequence.pk, subscriber_id), reason)
    return found


def _sources(sequence: Sequence) -> list[Source]:
    return [(source["type"], pk) for source in sequence.exclude_subscriber_sources for pk in source["ids"]]


def _members(asked: Mapping[Source, set[int]], now: datetime) -> dict[Source, set[int]]:
    """Of the people asked about, those who belong to each source. Of a source that is gone nothing is said."""
    inside: dict[Source, set[int]] = {}
    for kind in {kind for kind, _ in asked}:
        ids = [pk for asked_kind, pk in asked if asked_kind == kind]
        if kind == "segment":
            for segment in Segment.objects.select_related("account").filter(pk__in=ids):
                found = expanded(segment.filter, segment.account_id)
                if not found.is_broken:
                    people = found.people(segment.account, now, asked[kind, segment.pk])
                    inside[kind, segment.pk] = set(people.values_list("pk", flat=True))
            continue
        together = {subscriber_id for pk in ids for subscriber_id in asked[kind, pk]}
        with connection.cursor() as cursor:
            cursor.execute(_MEMBERS_OF[kind], {"people": queries.ids(together), "ids": queries.ids(ids)})
            for pk, subscriber_id in cursor.fetchall():
                members = inside.setdefault((kind, pk), set())
                if subscriber_id is not None:
                    members.add(subscriber_id)
    return inside


# --- As queries ---------------------------------------------------------------------------------------------------


def outsiders(sequence: Sequence, now: datetime) -> QuerySet[Subscriber]:
    """Everyone `excluded` would return, as a query. Compiling it raises EmptyResultSet if no one can match."""
    everybody = Subscriber.objects.filter(account_id=sequence.account_id)
    inside = Q(pk__in=[])
    for _, ids in sources(sequence, now):
        if ids is None:
            return everybody
        inside |= Q(pk__in=ids)
    return everybody.filter(inside)


def sources(sequence: Sequence, now: datetime) -> Iterator[tuple[str, QuerySet[Any] | None]]:
    """Each reason for exclusion, and the ids of the people it excludes as a query (it may raise as above); None:
    everybody, since the source is gone."""
    gone = _gone(sequence)
    for source in _sources(sequence):
        if source in gone:
            yield reasons.exclusion_gone(*source), None
        else:
            yield reasons.excluded(*source), _ids(*source, sequence, now)


def gone(sequence: Sequence) -> list[str]:
    """The reasons of those sources that exclude everybody, since they or something they name are gone."""
    found = _gone(sequence)
    return [reasons.exclusion_gone(*source) for source in _sources(sequence) if source in found]


def _gone(sequence: Sequence) -> set[Source]:
    there = known(sequence.account_id)
    found: set[Source] = set()
    for source in sequence.exclude_subscriber_sources:
        kind, ids = source["type"], source["ids"]
        found |= {(kind, pk) for pk in set(ids) - set(there(kind, ids))}
        if kind == "segment":
            rows = Segment.objects.filter(account_id=sequence.account_id, pk__in=ids)
            broken = (row.pk for row in rows if expanded(row.filter, row.account_id).is_broken)
            found |= {(kind, pk) for pk in broken}
    return found


def _ids(kind: str, source_id: int, sequence: Sequence, now: datetime) -> QuerySet[Any]:
    if kind != "segment":
        return _rows(kind, source_id).values("subscriber_id")
    return matching(Segment.objects.get(pk=source_id).filter, sequence.account, now).values("pk")


def _rows(kind: str, source_id: int) -> QuerySet[Any]:
    match kind:
        case "tag":
            return Tagging.objects.filter(tag_id=source_id)
        case "form":
            return FormSubscription.objects.filter(form_id=source_id)
        case "sequence":
            return Enrollment.objects.filter(sequence_id=source_id, status__in=IN_SEQUENCE)
    raise ValueError(f"{kind} is not a source of subscribers")


# --- Names --------------------------------------------------------------------------------------------------------


def names_of(given: Iterable[str], account_id: int) -> reasons.Named:
    """The names of the sources in these reasons; deleted sources are left out."""
    wanted: dict[str, set[int]] = defaultdict(set)
    for kind, source_id in reasons.sources_in(given):
        wanted[kind].add(source_id)
    models = {"tag": Tag, "form": Form, "sequence": Sequence, "segment": Segment}
    found: dict[reasons.Source, str] = {}
    for kind, ids in wanted.items():
        rows = models[kind]._default_manager.filter(account_id=account_id, pk__in=ids).values_list("pk", "name")
        found |= {(kind, pk): name for pk, name in rows}
    return found
