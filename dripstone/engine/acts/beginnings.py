"""A new sequence with letters to rewrite in it, as drafts.

Takes       a starter (sequences/starters), and what the owner wants otherwise
Leaves      a sequence and its drafts
A crash here means there is no sequence: it is all one transaction.
"""

from datetime import datetime

from django.db import transaction

from dripstone.accounts.models import Account
from dripstone.engine.acts import edits
from dripstone.errors import Invalid
from dripstone.given import FromText, Given
from dripstone.sequences import starters
from dripstone.sequences.verbs import OWNER, Edit


@transaction.atomic
def create_sequence(account: Account, starter: str, given: Given, now: datetime, actor: str = OWNER) -> Edit:
    """starter   a key of starters.STARTERS
    given     as for edits.create_sequence; what it leaves out is as the starter has it

    Raises Invalid with every problem.
    """
    found = next((one for one in starters.STARTERS if one.key == starter), None)
    if found is None:
        raise Invalid.member("starter", f"starter must be one of: {', '.join(one.key for one in starters.STARTERS)}")
    wanted = {**found.settings, **given}
    given = FromText(wanted) if isinstance(given, FromText) else wanted
    edit = edits.create_sequence(account, given, now, actor)
    for letter in found.letters:
        edits.create_email(account, edit.sequence.pk, letter.as_given(), now, actor)
    return edit
