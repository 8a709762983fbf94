"""What is to be sent to a URL, and to whom. webhooks/, bulk/ and triggers/ queue them (queue.py); send.py makes them.

The life of a call:

    planned ──claimed──▶ sending ──2xx──▶ done
       ▲                    │
       ├──── no success ────┤ (attempts left: next_attempt_at by schedule.py)
       ├──── lease over ────┤ (its process died: rescued, and made once more)
       │                    └── given up, 410, switched off ──▶ failed
       └──── resent by the owner ◀── done, failed

A claim is committed before a socket is touched, and an outcome is written only while the claim still holds (`claims`),
so nobody records twice. A kill between the call and its record repeats the call: at least once, with the same id.

Order: calls that were not tried yet go to a receiver one after the other, by id, in one *lane* at a time. One that
failed leaves the lane and is retried beside it, so it never holds up the rest.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Value

from dripstone.accounts.models import Account


class Receiver(models.Model):
    """Whom an account calls: a webhook endpoint, a legacy webhook, or whatever its callbacks go to (one row for all of
    an account's). With its secrets, its health and its lane."""

    class Kind(models.TextChoices):
        ENDPOINT = "endpoint"
        WEBHOOK = "webhook"
        CALLBACK = "callback"

    class WhyOff(models.TextChoices):
        OWNER = "owner"
        FAILING = "failing"

    account = models.ForeignKey(Account, models.CASCADE, related_name="receivers")
    kind = models.TextField(choices=Kind)
    url = models.TextField(default="")  # "": each call has its own
    secret = models.BinaryField(default=b"")  # sealed (secrets.py); empty: calls are not signed
    previous_secret = models.BinaryField(default=b"")
    previous_secret_expires_at = models.DateTimeField(null=True)
    off = models.TextField(choices=WhyOff, default="", blank=True)  # why nothing is sent; "": it is active
    off_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)  # the first failure since the last success
    lane = models.BigIntegerField(default=0)  # counts its lanes: an ended one's result is told from today's
    lane_until = models.DateTimeField(null=True)  # machine's clock; somebody sends to it, or died
    created_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)  # its calls go by and by (ops/prune.py)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                "account", name="calls_receiver_of_callbacks", condition=models.Q(kind="callback", deleted_at=None)
            ),
            models.CheckConstraint(
                name="calls_receiver_off",
                condition=models.Q(off="", off_at=None) | (~models.Q(off="") & models.Q(off_at__isnull=False)),
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                "failing_since",
                name="calls_receiver_failing",
                condition=models.Q(failing_since__isnull=False, off="", deleted_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"

    @property
    def is_active(self) -> bool:
        return not self.off


class Call(models.Model):
    """One call; its id is the `delivery_id` that the receiver sees."""

    class Status(models.TextChoices):
        PLANNED = "planned"
        SENDING = "sending"
        DONE = "done"
        FAILED = "failed"

    receiver = models.ForeignKey(Receiver, models.CASCADE, related_name="calls", db_index=False)
    account_id = models.BigIntegerField()
    url = models.TextField(default="")  # "": the receiver's, as it is when it is called
    about = models.TextField()  # for people: the type of its events, "bulk 9", "rule 7", "test"
    n_events = models.PositiveSmallIntegerField(default=0)
    body = models.BinaryField()
    subscriber_ids = ArrayField(models.BigIntegerField(), default=list, db_default=Value("{}"))  # whom it tells of
    status = models.TextField(choices=Status, default=Status.PLANNED)
    attempt = models.PositiveSmallIntegerField(default=0)  # attempts that ended
    restarted_at_attempt = models.PositiveSmallIntegerField(default=0)  # the owner sent it again after so many
    claims = models.PositiveIntegerField(default=0)  # the fence: only who holds the last claim records an outcome
    lease_until = models.DateTimeField(null=True)  # machine's clock
    next_attempt_at = models.DateTimeField(null=True)  # while planned
    planned_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    reason = models.TextField(default="", blank=True)  # why the last attempt was none, or it was given up: reasons.py

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="calls_call_stamps",
                condition=models.Q(
                    status="planned", lease_until=None, next_attempt_at__isnull=False, ended_at__isnull=True
                )
                | models.Q(status="sending", lease_until__isnull=False, next_attempt_at=None, ended_at=None)
                | models.Q(
                    status__in=["done", "failed"], lease_until=None, next_attempt_at=None, ended_at__isnull=False
                ),
            ),
        ]
        indexes: ClassVar = [
            # The lanes; and what goes beside them.
            models.Index("receiver", "id", name="calls_call_fresh", condition=models.Q(status="planned", attempt=0)),
            models.Index(
                "receiver",
                "next_attempt_at",
                "id",
                name="calls_call_again",
                condition=models.Q(status="planned", attempt__gt=0),
            ),
            models.Index(
                "receiver", "id", name="calls_call_open", condition=models.Q(status__in=["planned", "sending"])
            ),
            models.Index("lease_until", name="calls_call_leased", condition=models.Q(status="sending")),
            models.Index("receiver", "id", name="calls_call_of_receiver"),
            models.Index("receiver", "id", name="calls_call_failed", condition=models.Q(status="failed")),
            models.Index("ended_at", "id", name="calls_call_ended", condition=models.Q(ended_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.about} #{self.pk}"


class Attempt(models.Model):
    """One try at a call, with what came back."""

    call = models.ForeignKey(Call, models.CASCADE, related_name="attempts", db_index=False)
    number = models.PositiveSmallIntegerField()
    at = models.DateTimeField()
    seconds = models.FloatField()
    answer_status = models.PositiveSmallIntegerField(null=True)  # None: there was no answer
    answer = models.TextField(default="", blank=True)  # its beginning
    reason = models.TextField(default="", blank=True)
    sentence = models.TextField(default="", blank=True)  # about what went wrong

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("call", "number", name="calls_attempt_once")]

    def __str__(self) -> str:
        return f"attempt {self.number} of call {self.call_id}"
