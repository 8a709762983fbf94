"""What will go out to the people who are inside a sequence, and to those whom automations bring there by a way that is
decided (walkers.py), if nothing is edited and nobody else comes or goes.

Takes       a sequence, an instant, and how far to look
Leaves      nothing: it only reads
A crash here means there is no answer.

How they are counted: carrying.py. See docs/decisions/forecast.md.
"""

from collections.abc import Collection
from datetime import datetime

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery

from dripstone.engine.models import Delivery, Enrollment
from dripstone.foresight import carrying, timetable, walkers
from dripstone.foresight.carrying import Sends
from dripstone.foresight.walkers import Way
from dripstone.sequences.models import Sequence
from dripstone.stats import places


def of_sequence(sequence: Sequence, now: datetime, until: datetime, ways: Collection[Way] | None = None) -> Sends:
    """Messages per email and instant, from `now` up to and including `until` (both aware).

    ways   by which automations bring people into it; looked up if they are left out
    """
    if not sequence.active or sequence.deleted_at is not None:
        return {}
    itinerary = timetable.itinerary(sequence, sequence.emails.all())
    ways = walkers.ways_into(sequence) if ways is None else ways
    coming = walkers.into(sequence, itinerary, ways, now, until)
    return carrying.of_stops(itinerary, carrying.stops(sequence, itinerary, now, until), until, coming)


def of_sequences(sequences: QuerySet[Sequence], now: datetime, until: datetime) -> Sends:
    """The same for several sequences. One in which nobody has a date costs a probe of an index."""
    sends: Sends = {}
    ways = walkers.ways(sequences)
    for sequence in with_mail(sequences, until, ways):
        sends |= of_sequence(sequence, now, until, ways.get(sequence.pk, ()))
    return sends


def with_mail(sequences: QuerySet[Sequence], until: datetime, ways: Collection[int] = ()) -> QuerySet[Sequence]:
    """Sequences in which a person has a date in time, has mail on its way, or will be moved by an edit; and those into
    which `ways` lead. (It reads the first date: with EXISTS for a date in time, PostgreSQL plans every sequence as an
    average one, and reads all places.)"""
    dates = Enrollment.objects.filter(sequence=OuterRef("pk"), due_at__isnull=False).order_by("due_at")
    planned, sending = (Delivery.objects.filter(status=status) for status in ("planned", "sending"))
    on_its_way = Q(pk__in=planned.values("sequence")) | Q(pk__in=sending.values("sequence"))
    rows = sequences.annotate(first_date=Subquery(dates.values("due_at")[:1]))
    goes = Q(first_date__lte=until) | on_its_way | ~Q(edits=F("edits_done")) | Q(pk__in=list(ways))
    return rows.filter(goes).order_by("pk")


def people(sequences: QuerySet[Sequence]) -> int:
    """How many people are inside any of them: those of the largest by its kept count, and whoever is only in others."""
    ids = list(sequences.values_list("pk", flat=True))
    counts = {pk: n for (pk, status), n in places.by_status(ids).items() if status == Enrollment.Status.ACTIVE and n}
    if not counts:
        return 0
    largest = max(counts, key=counts.__getitem__)
    inside = Enrollment.objects.filter(status=Enrollment.Status.ACTIVE)
    others = inside.filter(sequence__in=[pk for pk in counts if pk != largest])
    only_in_others = others.filter(~Exists(inside.filter(sequence=largest, subscriber=OuterRef("subscriber"))))
    return counts[largest] + only_in_others.values("subscriber_id").distinct().count()
