"""The door for edits of sequences and their emails: planned mail stops in the same transaction, people follow.

Takes       the edit (sequences/verbs.py and drafts.py say what each verb does and raises)
Leaves      it written; when it can move people, planned mail parked and a re-evaluation on its way
A crash here means nothing was edited: it is all one transaction.
"""

from collections.abc import Callable
from typing import ParamSpec

from django.db import transaction

from dripstone.engine import follow
from dripstone.sequences import drafts, verbs
from dripstone.sequences.verbs import Edit

P = ParamSpec("P")


def _followed(verb: Callable[P, Edit]) -> Callable[P, Edit]:
    def followed_verb(*args: P.args, **kwargs: P.kwargs) -> Edit:
        with transaction.atomic():
            done = verb(*args, **kwargs)
            if done.moves_people:
                follow.after_edit(done.sequence, moved_draft=done.email if done.moved_draft else None)
            return done

    return followed_verb


create_sequence = verbs.create_sequence  # has no people yet, so nothing follows
update_sequence = _followed(verbs.update_sequence)
delete_sequence = _followed(verbs.delete_sequence)
create_email = _followed(verbs.create_email)
update_email = _followed(verbs.update_email)
publish_email = _followed(drafts.publish)
publish_all = _followed(drafts.publish_all)
delete_email = _followed(verbs.delete_email)
reschedule = _followed(verbs.reschedule)
hold_email = _followed(verbs.hold_email)
release_email = _followed(verbs.release_email)
skip_wait = _followed(verbs.skip_wait)
filter_email = verbs.filter_email  # moves nobody: every due moment looks anew
duplicate_email = _followed(drafts.duplicate_email)
duplicate_sequence = drafts.duplicate_sequence  # the copy has no people yet
