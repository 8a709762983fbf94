"""The owner puts one person into a sequence, by their address.

Takes       a sequence; an address, and perhaps a first name and fields
Leaves      the person on file and in the sequence, by R12
A crash here means nothing happened: it is all one transaction.
"""

from datetime import datetime

from django.db import transaction

from dripstone.engine import enroll
from dripstone.engine.enroll import Entry
from dripstone.events import causes
from dripstone.given import Given
from dripstone.sequences.models import Sequence
from dripstone.subscribers import subscribe


@transaction.atomic
def add(sequence: Sequence, given: Given, now: datetime) -> Entry:
    """given   as for subscribe.upsert

    Somebody who has unsubscribed, bounced or complained gets a place that has ended, with the reason (R15). In a
    paused sequence they wait (R13). Raises Invalid with every problem, and NotFound when the sequence was deleted.
    """
    person = subscribe.upsert(sequence.account_id, given, now, cause=causes.OWNER).subscriber
    return enroll.add(sequence, [person.pk], "owner", now, cause=causes.OWNER)[person.pk]
