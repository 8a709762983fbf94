"""What is lost with a tag, a form, a custom field, a segment: whoever deletes one is told before whose mail stops.

A condition that names what is gone is met by nobody, and an exclusion by it excludes everybody
(conditions/people.py). So a deletion mails nobody it was meant to keep from mail, and may keep mail from everybody
else. Nobody's place moves: people go on from one skipped email to the next.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dripstone.conditions.uses import Use
from dripstone.engine.models import Enrollment
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.stats import places


@dataclass(frozen=True, slots=True)
class Silenced:
    """Mail that stops: of a sequence that then excludes everybody, or an email whose filter nobody meets then.

    n_emails   published ones that nobody gets any more
    n_people   who are inside and were still to get one of them, by kept counts
    next_at    when the first of these was to go; None: nobody has a date, or it does not send now
    """

    sequence: Sequence
    email: SequenceEmail | None
    n_emails: int
    n_people: int
    next_at: datetime | None


def silenced(uses: Iterable[Use]) -> list[Silenced]:
    """The sequences first, then single emails of others. A fixed number of queries, and one per email."""
    uses = list(uses)
    sequences = Sequence.objects.in_bulk([use.pk for use in uses if use.kind == "exclusion"])
    rows = SequenceEmail.objects.select_related("sequence").filter(published=True)
    emails = rows.in_bulk([use.pk for use in uses if use.kind == "filter"])
    single = [email for email in emails.values() if email.sequence_id not in sequences]
    return [*_of_sequences(list(sequences.values())), *map(_of_email, single)]


def _of_sequences(sequences: list[Sequence]) -> list[Silenced]:
    ids = [sequence.pk for sequence in sequences]
    inside, first = places.by_status(ids), places.first_due(ids) if ids else {}
    published = SequenceEmail.objects.filter(sequence__in=ids, published=True, deleted_at=None)
    of_sequence = list(published.values_list("sequence_id", flat=True))
    return [
        Silenced(
            sequence,
            None,
            of_sequence.count(sequence.pk),
            inside[sequence.pk, Enrollment.Status.ACTIVE],
            first.get(sequence.pk) if sequence.active else None,
        )
        for sequence in sequences
    ]


def _of_email(email: SequenceEmail) -> Silenced:
    sequence = email.sequence
    until = sequence.emails.filter(deleted_at=None, position__lte=email.position).values_list("pk", flat=True)
    first = places.next_dates(sequence.pk).first.get(email.pk) if sequence.active else None
    return Silenced(sequence, email, 1, places.waiting_for(list(until)).total(), first)
