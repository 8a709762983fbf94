"""Finds the people who belong to a tag, form, sequence or segment, for exclusions (R14) and for segments.

A segment is a saved filter {"match": "all" | "any", "conditions": [...]}; subscribers/segments.py checks its shape.
Every question is asked for a set of people at once and answered by one statement.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
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
    people = list(subscriber_ids)
    found: dict[int, str] = {}
    for source in sequence.exclude_subscriber_sources:
        for source_id in source["ids"]:
            for subscriber_id in members(source["type"], source_id, people):
                found.setdefault(subscriber_id, reasons.excluded(source["type"], source_id))
    return found


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


def members(kind: str, source_id: int, subscriber_ids: list[int]) -> Iterable[int]:
    """Which of these people belong to the source."""
    if kind == "segment":
        segment = Segment.objects.filter(pk=source_id).first()
        people = Subscriber.objects.filter(pk__in=subscriber_ids)
        return in_segment(segment, people).values_list("pk", flat=True) if segment else ()
    return _rows(kind, [source_id]).filter(subscriber_id__in=subscriber_ids).values_list("subscriber_id", flat=True)


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
