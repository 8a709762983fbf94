"""The owner puts one person into a sequence, or into the account, by their address.

Takes       an address, and perhaps a first name, fields, tags, a sequence
Leaves      the person on file, with the tags, and in the sequence by R12
A crash here means nothing happened: it is all one transaction.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from dripstone.engine import enroll
from dripstone.engine.enroll import Entry
from dripstone.events import causes
from dripstone.events.causes import Cause
from dripstone.given import Given
from dripstone.sequences.models import Sequence
from dripstone.subscribers import subscribe, tags
from dripstone.subscribers.models import State, Subscriber, Tag


@transaction.atomic
def add(sequence: Sequence, given: Given, now: datetime, *, cause: Cause = causes.OWNER) -> Entry:
    """given   as for subscribe.upsert

    Somebody who has unsubscribed, bounced or complained gets a place that has ended, with the reason (R15). In a
    paused sequence they wait (R13). Raises Invalid with every problem, and NotFound when the sequence was deleted.
    """
    person = subscribe.upsert(sequence.account_id, given, now, cause=cause).subscriber
    return enroll.add(sequence, [person.pk], "owner", now, cause=cause)[person.pk]


@dataclass(frozen=True, slots=True)
class Arrival:
    """What became of somebody who was added by hand.

    entry      their place in the sequence; None: in none, or they get no mail
    new_tags   those they have got
    """

    person: Subscriber
    is_new: bool
    entry: Entry | None
    new_tags: list[Tag]


@transaction.atomic
def add_to_account(
    account_id: int,
    given: Given,
    tags_given: Iterable[Tag | str],
    sequence: Sequence | None,
    now: datetime,
    *,
    cause: Cause = causes.OWNER,
) -> Arrival:
    """The same into the account, perhaps with tags and into a sequence.

    given        as for subscribe.upsert
    tags_given   those there are, and names of new ones

    Somebody who has unsubscribed, bounced or complained gets tags and fields, and no place. Raises Invalid with every
    problem, and NotFound when the sequence was deleted.
    """
    written = subscribe.upsert(account_id, given, now, cause=cause)
    person = written.subscriber
    got = []
    for one in tags_given:
        tag = tags.create(account_id, {"name": one}, now, cause=cause)[0] if isinstance(one, str) else one
        if tags.add(tag, person, now, cause=cause)[1]:
            got.append(tag)
    entry = None
    if sequence is not None and person.state in (State.ACTIVE, State.INACTIVE):
        entry = enroll.add(sequence, [person.pk], "owner", now, cause=cause)[person.pk]
    return Arrival(person, written.is_new, entry, got)
