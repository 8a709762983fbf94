"""What the calls that act on one place or one delivery have in common: why it is done, kept with the note."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from dripstone.api.body import MISSING, Body, TextOrNull


class Why(Body):
    """Kept with the note about the act."""

    reason: TextOrNull = MISSING


NO_REASON = Why()

Act = Callable[[int, str, str, datetime], Any]
"""Of engine/acts: (id, actor, reason, now) → the row as it is then."""
