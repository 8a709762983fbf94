"""Enrollment: one subscriber's place in one sequence. Delivery: one of its emails to them, in one run; or a broadcast
to them, or a notice.

Enrollment   unconfirmed ──confirm──▶ active ──nothing next──▶ completed
                  └───────┬──────────────┴──────────┬─────────────┘
                          remove, cancel, …         restart (repeat, run + 1)
                          ▼                         ▼
                       removed ──re-added──▶ active (or unconfirmed)

An active enrollment is in exactly one of three places:
  waiting with a date     next_email, due_at              the tick finds it by its partial index
  in flight               next_email, in_flight           a delivery of this run is planned or sending
  waiting without a date  neither due_at nor in_flight    at the end with hold; nothing published; email unpublished,
                                                          or on hold

Delivery     planned ──claim──▶ sending ──answer──▶ sent | failed | unknown
                ▲ │                │
                │ └─▶ skipped      └── refused for now, put off by a limit, or given back by the rescue: back to planned
             By the owner alone (acts/undecided.py): unknown or failed ──▶ planned, unknown ──▶ sent

A delivery has exactly one origin:
  a place in a sequence   enrollment, run, sequence, email, subscriber. Nearly every row
  a broadcast             broadcast_id, subscriber. Read everywhere, not planned yet: no claim takes one
  a notice                notice; subscriber, if it is to somebody on file. Goes before everything else
"""

from collections.abc import Collection
from datetime import datetime
from typing import ClassVar

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Func, OuterRef, Q

from dripstone.accounts.models import Account
from dripstone.content.models import TemplateVersion
from dripstone.sequences.models import EmailVersion, Sequence, SequenceEmail
from dripstone.subscribers.models import Subscriber


class Enrollment(models.Model):
    class Status(models.TextChoices):
        UNCONFIRMED = "unconfirmed"
        ACTIVE = "active"
        COMPLETED = "completed"
        REMOVED = "removed"

    # A place moves twice per email, and every move rewrites all its indexes (due_at is in one of them). So there are
    # only three, and a person's places are found through their account's sequences (docs/decisions/hot-tables.md).
    account = models.ForeignKey(Account, models.CASCADE, related_name="+", db_index=False)
    sequence = models.ForeignKey(Sequence, models.CASCADE, related_name="enrollments", db_index=False)  # see Meta
    subscriber = models.ForeignKey(  # kept by migration 0038, once per statement
        Subscriber, models.CASCADE, related_name="enrollments", db_index=False, db_constraint=False
    )
    status = models.TextField(choices=Status.choices)
    run = models.PositiveIntegerField(default=1)  # + 1 with every restart
    source = models.TextField()  # the kind of door they came through: engine/enroll.py
    door = models.TextField(default="", db_default="", blank=True)  # "form 2", "rule 7"; "": no more than `source` says
    entered_at = models.DateTimeField()  # Kit's added_at: entry, restart or re-adding
    anchored_at = models.DateTimeField()  # what the first delay counts from: entered_at, or confirmation (R2)
    next_email = models.ForeignKey(
        SequenceEmail, models.PROTECT, null=True, related_name="+", db_constraint=False, db_index=False
    )
    due_at = models.DateTimeField(null=True)
    in_flight = models.BooleanField(default=False)
    paused_at = models.DateTimeField(null=True)  # pauses only this person: engine/acts/places.py
    held_due_at = models.DateTimeField(null=True)  # due_at, kept while they are paused or their next email is on hold
    completed_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)
    removed_reason = models.TextField(default="", blank=True)  # a code: engine/reasons.py
    # Completed or removed: the email that had ended last by then. None: none had.
    left_after = models.ForeignKey(
        SequenceEmail, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("sequence", "subscriber", name="enrollment_once"),  # finds a sequence's people too
            models.CheckConstraint(
                name="enrollment_due_or_in_flight_is_active",
                condition=Q(due_at=None, in_flight=False) | Q(status="active", next_email__isnull=False),
            ),
            models.CheckConstraint(
                name="enrollment_stopped_has_no_date",
                condition=Q(paused_at=None, held_due_at=None) | Q(due_at=None, status="active"),
            ),
            models.CheckConstraint(
                name="enrollment_not_due_while_in_flight", condition=Q(due_at=None) | Q(in_flight=False)
            ),
            models.CheckConstraint(
                name="enrollment_completed_at",
                condition=Q(status="completed", completed_at__isnull=False)
                | (~Q(status="completed") & Q(completed_at=None)),
            ),
            models.CheckConstraint(
                name="enrollment_removed_at",
                condition=Q(status="removed", removed_at__isnull=False) | (~Q(status="removed") & Q(removed_at=None)),
            ),
        ]
        indexes: ClassVar = [
            # The tick: what is due in one sequence, oldest first. People who wait without a date are not in it.
            models.Index("sequence", "due_at", condition=Q(due_at__isnull=False), name="enrollment_due"),
        ]

    def __str__(self) -> str:
        return f"enrollment {self.pk}"


class Entry(models.Model):
    """When each place was entered, and as whom the list of its sequence shows it: an index kept beside the table.

    An index on the table itself would be rewritten with every move of a place, twice per email; this one changes only
    when somebody enters, is taken out, or gets another state. The database maintains it (migrations 0019 and 0024), as
    it does an index.
    """

    enrollment = models.OneToOneField(
        Enrollment, models.CASCADE, primary_key=True, related_name="entry", db_constraint=False
    )
    sequence = models.ForeignKey(Sequence, models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    entered_at = models.DateTimeField()
    # The person's state; empty when they were taken out, or cancelled, bounced or complained and have come back since.
    # (Whom one of these three has ended is listed under it, as at Kit.)
    listed_as = models.TextField(default="", db_default="")

    class Meta:
        verbose_name_plural = "entries"
        indexes: ClassVar = [
            # A page of `added_*`, and its total: from the index alone, 0.1 µs a place.
            models.Index("sequence", "entered_at", "enrollment", include=["listed_as"], name="entry_listed_by_time"),
        ]

    def __str__(self) -> str:
        return f"entry of enrollment {self.pk}"


def places_of(account_id: int, subscriber_id: int) -> models.QuerySet[Enrollment]:
    """All places one person has or had: one probe of enrollment_once per sequence of their account."""
    return places_of_all(account_id, [subscriber_id])


def places_of_all(account_id: int, subscriber_ids: Collection[int]) -> models.QuerySet[Enrollment]:
    """The same of several people."""
    sequences = Sequence.objects.filter(account_id=account_id)
    return Enrollment.objects.filter(sequence__in=sequences, subscriber_id__in=subscriber_ids)


class Notice(models.Model):
    """Mail to one address with no list behind it: a confirmation, a test, an invitation. engine/notices.py makes them.

    Rendered when it is asked for, and kept as bytes until it is sent.
    """

    account = models.ForeignKey(Account, models.CASCADE, null=True, related_name="+")  # None: it is about accounts
    subscriber = models.ForeignKey(Subscriber, models.CASCADE, null=True, related_name="+")  # if they are on file
    kind = models.TextField()  # engine/notices.py lists them
    email_address = models.TextField()  # the recipient, as SMTP takes it
    from_address = models.TextField()  # the same
    subject = models.TextField()  # for lists; the message has its own
    message = models.BinaryField(default=b"")  # RFC 5322; empty once it has been sent
    asked_at = models.DateTimeField()

    objects: ClassVar[models.Manager["Notice"]] = models.Manager()

    def __str__(self) -> str:
        return f"{self.kind} notice {self.pk}"


class Edition(models.Model):
    """All that a letter was made of but its readers: each combination once (engine/editions.py). Never changed.

    Deliveries name theirs when they end. Snippets are those that the letter may have used, also inside one another.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    email_version = models.ForeignKey(EmailVersion, models.CASCADE, related_name="+")
    template_version = models.ForeignKey(TemplateVersion, models.PROTECT, null=True, related_name="+")  # None: built in
    snippet_versions = ArrayField(models.BigIntegerField(), default=list)  # ids, in the order of their keys
    from_name = models.TextField(blank=True)
    from_address = models.TextField()
    postal_address = models.TextField(blank=True)
    time_zone = models.TextField()  # of the sequence: the message's date is in it
    language = models.TextField(blank=True)  # of the account's emails, as accounts.Account has it
    direction = models.TextField(blank=True)
    digest = models.TextField()  # of all the texts themselves
    made_at = models.DateTimeField()

    objects: ClassVar[models.Manager["Edition"]] = models.Manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("digest", name="edition_once")]

    def __str__(self) -> str:
        return f"edition {self.pk}"


class Delivery(models.Model):
    class Status(models.TextChoices):
        PLANNED = "planned"
        SENDING = "sending"
        SENT = "sent"
        SKIPPED = "skipped"
        FAILED = "failed"
        UNKNOWN = "unknown"  # the body left, no final reply came

    # account, sequence and subscriber repeat what the enrollment says, so that lists need no join. No foreign key is
    # checked here: planning holds the enrollment locked, and the enrollment's own keys cover the rest. Two checks cost
    # as much as the whole insert (docs/decisions/hot-tables.md).
    # Of a notice about accounts, account_id is NO_ACCOUNT: less than every id, so that workers of the version before,
    # who begin their walk behind 0, never claim one.
    account = models.ForeignKey(Account, models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    sequence = models.ForeignKey(
        Sequence, models.CASCADE, null=True, related_name="+", db_constraint=False, db_index=False
    )
    subscriber = models.ForeignKey(
        Subscriber, models.CASCADE, null=True, related_name="+", db_constraint=False, db_index=False
    )
    enrollment = models.ForeignKey(
        Enrollment, models.CASCADE, null=True, related_name="deliveries", db_constraint=False, db_index=False
    )
    run = models.PositiveIntegerField(null=True)
    email = models.ForeignKey(
        SequenceEmail, models.PROTECT, null=True, related_name="deliveries", db_constraint=False, db_index=False
    )
    broadcast_id = models.BigIntegerField(null=True)
    notice = models.ForeignKey(Notice, models.CASCADE, null=True, related_name="+", db_constraint=False, db_index=False)

    NO_ACCOUNT: ClassVar = 0
    PARKED: ClassVar = datetime.fromisoformat("9999-12-31T00:00:00+00:00")  # ready_at of rows that must not go for now

    status = models.TextField(choices=Status.choices)
    reason = models.TextField(default="", blank=True)  # a code: why it ended so, or why it must be tried again
    reply = models.TextField(default="", db_default="", blank=True)  # what the mail server said when it last refused
    attempt = models.PositiveIntegerField(default=0)  # claims so far: the fence against late writers
    untried = models.PositiveIntegerField(default=0, db_default=0)  # claims in which no server was asked
    planned_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True)  # planned: earliest instant of the next attempt
    # The same for a notice. It has its own column, so that workers of the version before, which can't print a notice,
    # never claim one (docs/decisions/notices.md).
    notice_ready_at = models.DateTimeField(null=True)
    unparked_at = models.DateTimeField(
        null=True
    )  # last released after a pause, draft or hold: refusals count from here
    lease_until = models.DateTimeField(null=True)  # sending: after this, rescue.py decides
    worker = models.TextField(default="", blank=True)  # sending: who holds it; names its flight log
    sent_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)  # the next email's delay counts from here, however this one ended
    provider_id = models.TextField(default="", blank=True)
    # What it was made of, once it has ended. None if no message was made, of a notice, and where it is not known: sent
    # by the release before, or settled by the rescue.
    edition = models.ForeignKey(
        Edition, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )

    class Meta:
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint("enrollment", "run", "email", name="delivery_once"),
            models.UniqueConstraint(
                "broadcast_id",
                "subscriber",
                condition=Q(broadcast_id__isnull=False),
                name="delivery_once_per_broadcast",
            ),
            models.UniqueConstraint("notice", condition=Q(notice__isnull=False), name="delivery_once_per_notice"),
            # Nearly every row meets the first alternative of both, so the rest is not evaluated.
            models.CheckConstraint(
                name="delivery_one_origin",
                condition=Q(
                    enrollment__isnull=False,
                    run__isnull=False,
                    sequence__isnull=False,
                    email__isnull=False,
                    subscriber__isnull=False,
                    broadcast_id=None,
                    notice=None,
                )
                | Q(enrollment=None, run=None, sequence=None, email=None)
                & (
                    Q(broadcast_id__isnull=False, subscriber__isnull=False, notice=None)
                    | Q(broadcast_id=None, notice__isnull=False)
                ),
            ),
            models.CheckConstraint(
                name="delivery_stamps",
                condition=Q(
                    Q(notice=None, ready_at__isnull=False, notice_ready_at=None)
                    | Q(notice__isnull=False, ready_at=None, notice_ready_at__isnull=False),
                    status="planned",
                    lease_until=None,
                    sent_at=None,
                    ended_at=None,
                )
                | Q(
                    Q(status="sending", lease_until__isnull=False, sent_at=None, ended_at=None)
                    | Q(status="sent", lease_until=None, sent_at__isnull=False, ended_at=F("sent_at"))
                    | Q(
                        status__in=["skipped", "failed", "unknown"],
                        lease_until=None,
                        sent_at=None,
                        ended_at__isnull=False,
                    ),
                    ready_at=None,
                    notice_ready_at=None,
                ),
            ),
        ]
        # Every index here is written three times in a delivery's life (planned, sending, ended). If you add one, give a
        # figure from benchmarks/send.py with it.
        indexes: ClassVar = [
            # The claim: what is ready of one account, oldest first. Without the id, so that the thousands planned at
            # one instant are a few entries, soon passed over once they were taken (docs/decisions/fair-claims.md).
            models.Index("account", "ready_at", condition=Q(status="planned"), name="delivery_ready_of_account"),
            models.Index(
                "account",
                "notice_ready_at",
                condition=Q(notice_ready_at__isnull=False),
                name="delivery_notice_of_account",
            ),
            models.Index("lease_until", condition=Q(status="sending"), name="delivery_leased"),
            models.Index("account", "id", name="delivery_by_account"),
            models.Index("email", "id", name="delivery_by_email"),  # a sequence's are those of its emails
            # What was sent within some time, on the whole server: ranges of the table, not rows. It costs an email
            # 0.6 µs (docs/decisions/hot-tables.md).
            BrinIndex("sent_at", pages_per_range=32, name="delivery_by_sending"),
            # For counts in /metrics, decisions of owners, and lists of one status. Few rows ever enter it, and none on
            # the way to `sent`.
            models.Index(
                "status",
                "account",
                "id",
                condition=Q(status__in=["failed", "unknown", "skipped"]),
                name="delivery_ended_unsent",
            ),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}"

    @property
    def is_parked(self) -> bool:
        """Planned, and held by a pause or because its email is a draft or on hold."""
        return self.ready_at == self.PARKED

    @property
    def tries(self) -> int:
        """How often a server was asked to take it."""
        return self.attempt - self.untried


def deliveries_of(account_id: int, subscriber_id: int) -> models.QuerySet[Delivery]:
    """All mail to one person. There is no index by person: it is found by their places and notices, which are few, and
    among the broadcasts. (As lists, so that the database looks each of them up whatever it is asked to sort by.)"""
    places = places_of(account_id, subscriber_id).values_list("pk", flat=True)
    notices = Notice.objects.filter(account=account_id, subscriber=subscriber_id).values_list("pk", flat=True)
    return Delivery.objects.filter(
        Q(enrollment__in=list(places))
        | Q(notice__in=list(notices))
        | Q(broadcast_id__isnull=False, subscriber=subscriber_id),
        account=account_id,
    )


def first_of_sequence(rows: models.QuerySet[Delivery], sequence_id: int, n: int, order: str) -> list[Delivery]:
    """The first n of a sequence among `rows`, by "-id" or "id". There is no index by sequence: as many of each of its
    emails are found, which are few, and of these the first."""
    of_email = ArraySubquery(rows.filter(email=OuterRef("pk")).order_by(order).values("pk")[:n])
    emails = SequenceEmail.objects.filter(sequence=sequence_id).annotate(delivery_id=Func(of_email, function="unnest"))
    ids = emails.order_by(order.replace("id", "delivery_id")).values_list("delivery_id", flat=True)[:n]
    return list(rows.filter(pk__in=list(ids)).order_by(order))


class Note(models.Model):
    """What happened to one person's place besides its deliveries: moved, paused, skipped … Rows are never changed.

    Going from one email to the next leaves no note: the deliveries show it.
    """

    # No key is checked here either: an edit writes a note for each person it moves, while it holds their places.
    enrollment = models.ForeignKey(Enrollment, models.CASCADE, related_name="notes", db_constraint=False)
    at = models.DateTimeField()
    kind = models.TextField()  # engine/notes.py lists them
    email = models.ForeignKey(
        SequenceEmail, models.PROTECT, null=True, related_name="+", db_constraint=False, db_index=False
    )
    due_before = models.DateTimeField(null=True)
    due_after = models.DateTimeField(null=True)
    # For acts of people: their own words. For acts of the engine (moved, late): a code.
    reason = models.TextField(default="", blank=True)
    actor = models.TextField()

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"


class Reordering(models.Model):
    """When the emails of a sequence last changed their order: `newest_place` was the highest id of a place by then.

    A trigger writes it (migration 0016), whatever code edits the emails: when one gets another position, or is
    published, created or restored while another is at or behind its position. No row means that this never happened. A
    place with a higher id was made after all that, so R1 has given it the emails in order of position: it has had all
    published ones before the one it waits for, and none behind. A forecast need not read its deliveries.
    """

    sequence = models.OneToOneField(Sequence, models.CASCADE, primary_key=True, related_name="+")
    newest_place = models.BigIntegerField()

    objects: ClassVar[models.Manager["Reordering"]] = models.Manager()

    def __str__(self) -> str:
        return f"emails of sequence {self.sequence_id} reordered after place {self.newest_place}"


class Pulse(models.Model):
    """How the engine as a whole is doing, for every process to read. One row, id 1; engine/pulse.py writes it.

    With the virtual clock it is neither read nor written.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    beat_at = models.DateTimeField(null=True)  # the last tick of any worker
    running_since = models.DateTimeField(null=True)  # the ticks have come without a gap since then
    sent_at = models.DateTimeField(null=True)  # the last time a mail server took something
    halted_at = models.DateTimeField(null=True)  # set: nothing is planned or sent until the operator decides
    halted_after = models.DateTimeField(null=True)  # the beat before the silence that led to it

    objects: ClassVar[models.Manager["Pulse"]] = models.Manager()

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(name="pulse_one_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"last beat {self.beat_at}"


class Since(models.Model):
    """From which delivery on something is done in a new way. Written by the migration that brought it, where there were
    deliveries by then; no row means that it was always so. Never changed: what is derived from a delivery stays."""

    QUICK_TOKENS = "quick_tokens"

    name = models.TextField(primary_key=True)
    delivery_id = models.BigIntegerField()

    objects: ClassVar[models.Manager["Since"]] = models.Manager()

    def __str__(self) -> str:
        return f"{self.name} since delivery {self.delivery_id}"


class Minute(models.Model):
    """What became of an account's attempts in one minute, for the chart of its engine: engine/counters.py. A few days
    are kept."""

    pk = models.CompositePrimaryKey("account_id", "minute")
    account_id = models.BigIntegerField()
    minute = models.DateTimeField()  # its beginning
    sent = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    unknown = models.PositiveIntegerField(default=0)
    retried = models.PositiveIntegerField(default=0)  # refused for now

    objects: ClassVar[models.Manager["Minute"]] = models.Manager()

    def __str__(self) -> str:
        return f"account {self.account_id} at {self.minute}: {self.sent} sent"


class Figure(models.Model):
    """A number that only grows, summed over all workers: engine/counters.py."""

    name = models.TextField()
    label = models.TextField(blank=True)
    value = models.FloatField()

    objects: ClassVar[models.Manager["Figure"]] = models.Manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("name", "label", name="figure_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.label}"
