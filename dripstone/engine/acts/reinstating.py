"""An owner answers for somebody who complained: they may be mailed again, and the record says why (R20).

A crash here means nothing has changed: it is one transaction.
"""

from datetime import datetime

from dripstone.engine import transitions
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.events.causes import Cause
from dripstone.given import Checked, Given

MAX_WHY = 1_000  # characters


def reinstate(subscriber_id: int, given: Given, now: datetime, *, cause: Cause = causes.OWNER) -> None:
    """given   `why`. Raises Invalid, also when they did not complain."""
    read = Checked(given, required=("why",), labels={"why": "Why"})
    read.words("why", MAX_WHY)
    why = read.sound()["why"].strip()
    if not transitions.reinstate(subscriber_id, why, now, cause=cause):
        raise Invalid("This person did not report an email as spam, so there is nothing to take back")
