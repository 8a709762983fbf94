"""The way from an empty account to a published course: six steps, each done when it is true. Nothing is stored but that
somebody wants to see them no more."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from dripstone.accounts.models import Account, SendingAddress
from dripstone.engine import notices
from dripstone.engine.models import Enrollment, Notice
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.stats import emails

STEPS = ("sender", "address", "sequence", "person", "test", "publish")


@dataclass(frozen=True, slots=True)
class Steps:
    """sequence   the newest that has emails, else the newest; None: there is none yet
    done       keys of the steps that are
    """

    sender: SendingAddress | None
    sequence: Sequence | None
    done: frozenset[str]

    @property
    def next(self) -> str:
        """The first that is not done; "" when all are."""
        return next((key for key in STEPS if key not in self.done), "")

    @property
    def n_done(self) -> int:
        return len(self.done)


def unfinished(account: Account) -> Steps | None:
    """None when they are done, or nobody wants to see them."""
    if account.first_run_dismissed_at is not None:
        return None
    steps = of(account)
    return steps if steps.next else None


def of(account: Account) -> Steps:
    sender = account.sending_addresses.filter(is_verified=True).order_by("-is_default", "pk").first()
    sequence = _sequence(account)
    is_true = {
        "sender": sender is not None,
        "address": bool(account.postal_address.strip()),
        "sequence": sequence is not None,
        "person": sequence is not None and _has_people(account),
        "test": _was_seen(account),
        "publish": sequence is not None and _publishes(account),
    }
    return Steps(sender, sequence, frozenset(key for key, done in is_true.items() if done))


def _sequence(account: Account) -> Sequence | None:
    written = SequenceEmail.objects.filter(sequence=OuterRef("pk"), deleted_at=None)
    rows = account.sequences.filter(deleted_at=None).annotate(is_written=Exists(written))
    return rows.order_by("-is_written", "-pk").first()


def _has_people(account: Account) -> bool:
    """A probe of enrollment_once per sequence, until one has somebody."""
    inside = Enrollment.objects.filter(sequence=OuterRef("pk"))
    return account.sequences.filter(Exists(inside), deleted_at=None).exists()


def _was_seen(account: Account) -> bool:
    """Somebody sent themselves a test. Whoever has sent the real thing needs none."""
    tests = Notice.objects.filter(account=account, kind=notices.TEST)
    return emails.sent_of_account(account.pk) > 0 or tests.exists()


def _publishes(account: Account) -> bool:
    live = SequenceEmail.objects.filter(account=account, published=True, deleted_at=None)
    return live.filter(sequence__deleted_at=None).exists()
