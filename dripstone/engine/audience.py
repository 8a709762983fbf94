"""Finds the people who belong to a tag, form, sequence or segment, for exclusions (R14) and for segments.

A segment is a saved filter {"match": "all" | "any", "conditions": [...]}; subscribers/segments.py checks its shape.
Every question is asked for a set of people at once and answered by one statement.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Series
from typing import Any

from django.db.models import Q, QuerySet

from dripstone.engine import reasons
from dripstone.engine.models import Enrollment
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Form, FormSubscription, Segment, Subscriber, Tag, Tagging

# People belong to a sequence from entry on, and for ever once they completed it; not after they were taken out.
IN_SEQUENCE = (Enrollment.Status.UNCONFIRMED, Enrollment.Status.ACTIVE, Enrollment.Status.COMPLETED)


def excluded(sequence: Sequence, subscriber_ids: Iterable[int]) -> dict[int, str]:
    """The people whom `exclude_subscriber_sources` excludes, each with the first source that matches."""
    found = excluded_of_each({sequence: list(subscriber_ids)})
    return {subscriber_id: reason for (_, subscriber_id), reason in found.items()}


def excluded_of_each(people: Mapping[Sequence, Series[int]]) -> dict[tuple[int, int], str]:
    """The same for people of several sequences, by the ids of sequence and person. Sequences that exclude nobody cost
    nothing; tags, forms and sequences are asked in one statement per kind, segments in one each."""
    asked: dict[tuple[str, int], set[int]] = defaultdict(set)
    for sequence, subscriber_ids in people.items():
        for source in _sources(sequence):
            asked[source].update(subscriber_ids)
    inside = _members(asked)
    found: dict[tuple[int, int], str] = {}
    for sequence, subscriber_ids in people.items():
        for source in _sources(sequence):
            for subscriber_id in inside[source].intersection(subscriber_ids):
                found.setdefault((sequence.pk, subscriber_id), reasons.excluded(*source))
    return found


def _sources(sequence: Sequence) -> list[tuple[str, int]]:
    return [(source["type"], pk) for source in sequence.exclude_subscriber_sources for pk in source["ids"]]


def _members(asked: Mapping[tuple[str, int], set[int]]) -> dict[tuple[str, int], set[int]]:
    """Of the people asked about, those who belong to each source."""
    inside: dict[tuple[str, int], set[int]] = defaultdict(set)
    for kind in {kind for kind, _ in asked}:
        ids = [pk for asked_kind, pk in asked if asked_kind == kind]
        if kind == "segment":
            for segment in Segment.objects.filter(pk__in=ids):
                people = Subscriber.objects.filter(pk__in=asked[kind, segment.pk])
                inside[kind, segment.pk].update(in_segment(segment, people).values_list("pk", flat=True))
            continue
        together = {subscriber_id for pk in ids for subscriber_id in asked[kind, pk]}
        rows = _rows(kind, ids).filter(subscriber_id__in=together)
        for pk, subscriber_id in rows.values_list(f"{kind}_id", "subscriber_id"):
            inside[kind, pk].add(subscriber_id)
    return inside


def outsiders(sequence: Sequence) -> QuerySet[Subscriber]:
    """Everyone `excluded` would return, as a query. Compiling it raises EmptyResultSet if no one can match."""
    inside = Q(pk__in=[])
    for _, ids in sources(sequence):
        inside |= Q(pk__in=ids)
    return Subscriber.objects.filter(inside, account_id=sequence.account_id)


def sources(sequence: Sequence) -> Iterator[tuple[str, QuerySet[Any]]]:
    """Each reason for exclusion, and the ids of the people it excludes as a query (it may raise as above)."""
    everybody = Subscriber.objects.filter(account_id=sequence.account_id)
    for source in sequence.exclude_subscriber_sources:
        for source_id in source["ids"]:
            yield reasons.excluded(source["type"], source_id), _ids(source["type"], source_id, everybody)


def _ids(kind: str, source_id: int, people: QuerySet[Subscriber]) -> QuerySet[Any]:
    if kind != "segment":
        return _rows(kind, [source_id]).values("subscriber_id")
    segment = Segment.objects.filter(pk=source_id).first()
    return (in_segment(segment, people) if segment else people.none()).values("pk")


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


def in_segment(segment: Segment, people: QuerySet[Subscriber]) -> QuerySet[Subscriber]:
    """The people of a queryset who pass the segment's filter."""
    conditions = [_condition(condition) for condition in segment.filter["conditions"]]
    if not conditions:
        return people
    joined = conditions[0]
    for condition in conditions[1:]:
        joined = joined & condition if segment.filter["match"] == "all" else joined | condition
    return people.filter(joined)


def _condition(condition: dict[str, Any]) -> Q:
    if condition["type"] == "field":
        return _field_condition(f"fields__{condition['field_id']}", condition["operator"], condition.get("value") or "")
    inside = Q(pk__in=_rows(condition["type"], condition["ids"]).values("subscriber_id"))
    return ~inside if condition["operator"] == "not_in" else inside


def _field_condition(path: str, operator: str, value: str) -> Q:
    is_set = Q(**{f"{path}__isnull": False}) & ~Q(**{path: None}) & ~Q(**{path: ""})
    match operator:
        case "is_set":
            return is_set
        case "is_not_set":
            return ~is_set
        case "equals":
            return Q(**{path: value})
        case "not_equals":
            return ~Q(**{path: value}) | ~is_set
        case "contains":
            return Q(**{f"{path}__icontains": value})
    raise ValueError(f"{operator} is not a field operator")


def _rows(kind: str, ids: list[int]) -> QuerySet[Any]:
    match kind:
        case "tag":
            return Tagging.objects.filter(tag_id__in=ids)
        case "form":
            return FormSubscription.objects.filter(form_id__in=ids)
        case "sequence":
            return Enrollment.objects.filter(sequence_id__in=ids, status__in=IN_SEQUENCE)
    raise ValueError(f"{kind} is not a source of subscribers")
