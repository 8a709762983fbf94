"""What is done later: a job of a call, its entries in batches, what became of them; and an action on many people.

docs/reference/life-of-a-bulk-job.md and life-of-a-bulk-action.md have the states. A job moves along its entries by
`n_done` alone, an action along people by `after_id`.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from dripstone.accounts.models import Account


class Line(models.Model):
    """The jobs and actions of an account that wait, one after the other; and when it last had its turn among others."""

    account = models.OneToOneField(Account, models.CASCADE, primary_key=True, related_name="+")
    n_jobs = models.BigIntegerField()
    n_bytes = models.BigIntegerField()  # of the calls that asked for them
    turn_at = models.DateTimeField()  # by the machine's clock

    class Meta:
        # Whose turn it is.
        indexes: ClassVar = [models.Index("turn_at", "account", condition=Q(n_jobs__gt=0), name="bulk_line_by_turn")]

    def __str__(self) -> str:
        return f"line of account {self.account_id}: {self.n_jobs} jobs"


class Job(models.Model):
    class Callback(models.TextChoices):
        """What became of the callback. Whether it was answered is the call's own affair (dripstone/calls)."""

        QUEUED = "queued"
        TOO_LARGE = "too_large"
        REFUSED = "refused"  # the server may not call that address any more

    account = models.ForeignKey(Account, models.CASCADE, related_name="bulk_jobs", db_index=False)  # see Meta
    operation = models.TextField()  # a name in the table that the runner is given: bulk/operations.py
    callback_url = models.TextField()  # "": nobody is told
    asked_by = models.TextField()  # the credential, as notes name it
    asked_at = models.DateTimeField()
    n_bytes = models.BigIntegerField()
    n_entries = models.BigIntegerField()
    n_done = models.BigIntegerField(default=0, db_default=0)  # entries, failed ones included: the cursor
    n_failed = models.BigIntegerField(default=0, db_default=0)
    n_answer_bytes = models.BigIntegerField(default=0, db_default=0)  # of what the callback will say
    ended_at = models.DateTimeField(null=True)
    callback = models.TextField(choices=Callback, default="", db_default="", blank=True)  # "" until it has ended

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(name="bulk_job_done", condition=Q(n_done__gte=0, n_done__lte=F("n_entries"))),
            models.CheckConstraint(name="bulk_job_ended", condition=Q(ended_at=None) | Q(n_done=F("n_entries"))),
        ]
        indexes: ClassVar = [
            models.Index("account", "id", name="bulk_job_of_account"),
            models.Index("account", "id", condition=Q(ended_at=None), name="bulk_job_waiting"),  # the next in line
        ]

    def __str__(self) -> str:
        return f"bulk job {self.pk}: {self.operation}"


class Batch(models.Model):
    """Entries that are done in one transaction. Gone when nothing needs it: once done, or told to the callback."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="batches", db_index=False)  # bulk_batch_once finds them
    first = models.BigIntegerField()  # which entry of the job it begins with, from 0
    entries = models.TextField()  # JSON, an array; "" once they are done
    answers = models.TextField(default="", db_default="")  # what the callback says of them: JSON, without the brackets

    class Meta:
        verbose_name_plural = "batches"
        constraints: ClassVar = [models.UniqueConstraint("job", "first", name="bulk_batch_once")]

    def __str__(self) -> str:
        return f"entries of bulk job {self.job_id} from {self.first} on"


class Failure(models.Model):
    """An entry that could not be done."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="failures", db_index=False)  # see Meta
    entry = models.BigIntegerField()  # its number in the job, from 0
    answer = models.TextField()  # JSON: `errors`, and the entry as Kit shows it

    class Meta:
        indexes: ClassVar = [models.Index("job", "id", name="bulk_failure_of_job")]

    def __str__(self) -> str:
        return f"entry {self.entry} of bulk job {self.job_id}"


class BulkAction(models.Model):
    """Things to be done to many people: docs/reference/life-of-a-bulk-action.md has the states.

    It moves along people by their ids, by `after_id` alone, and never beyond `last_id`.
    """

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"  # what was done until then stays
        FAILED = "failed"  # what was done until then stays; `why`
        UNDOING = "undoing"
        UNDONE = "undone"

    class Why(models.TextChoices):
        """It failed."""

        FILTER_BROKEN = "filter_broken"  # it names something that was deleted meanwhile

    account = models.ForeignKey(Account, models.CASCADE, related_name="bulk_actions", db_index=False)  # see Meta
    state = models.TextField(choices=State, default=State.RUNNING)
    why = models.TextField(choices=Why, default="", db_default="", blank=True)
    filter = models.JSONField(null=True)  # a condition, as it is kept; None: `ids`
    ids = ArrayField(models.BigIntegerField(), null=True)  # in order, each once
    actions = models.JSONField()  # as triggers/what.py has them, in order
    fires_rules = models.BooleanField()
    because = ArrayField(models.TextField(), default=list)  # what the chain of causes has behind this action
    asked_by = models.TextField()  # the credential or member, as notes name it
    asked_at = models.DateTimeField()
    queued_at = models.DateTimeField()  # its place in the account's line: asked for, or asked to be undone
    last_id = models.BigIntegerField()  # the newest person there was when it began, or the last of `ids`
    n_to_look_at = models.BigIntegerField()  # people up to then, of whom the filter is asked, or `ids`
    after_id = models.BigIntegerField(default=0, db_default=0)  # people up to here were looked at: the cursor
    n_looked_at = models.BigIntegerField(default=0, db_default=0)
    n_met = models.BigIntegerField(default=0, db_default=0)  # of these, whom it is about
    n_failed = models.BigIntegerField(default=0, db_default=0)  # of these, at whom it stumbled
    failed_ids = ArrayField(models.BigIntegerField(), default=list)  # the first of them
    report = models.JSONField(default=list)  # for each action {"changed": n, "passed": {reason: n}}
    ended_at = models.DateTimeField(null=True)  # done, cancelled or failed
    n_changes = models.BigIntegerField(default=0, db_default=0)  # kept, for an undo
    undo_asked_by = models.TextField(default="", db_default="", blank=True)
    undone_at = models.DateTimeField(null=True)
    n_undone = models.BigIntegerField(default=0, db_default=0)  # changes
    n_left = models.BigIntegerField(default=0, db_default=0)  # changes that somebody has changed since

    class Meta:
        db_table = "bulk_action"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="bulk_action_whom",
                condition=Q(filter__isnull=False, ids=None) | Q(filter=None, ids__isnull=False),
            ),
            models.CheckConstraint(
                name="bulk_action_ended",
                condition=Q(state="running", ended_at=None) | (~Q(state="running") & Q(ended_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="bulk_action_undone",
                condition=Q(state="undone", undone_at__isnull=False) | (~Q(state="undone") & Q(undone_at=None)),
            ),
        ]
        indexes: ClassVar = [
            models.Index("account", "id", name="bulk_action_of_account"),
            models.Index(  # the next in line
                "account", "queued_at", "id", condition=Q(state__in=["running", "undoing"]), name="bulk_action_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"bulk action {self.pk}: {self.state}"

    @property
    def waits(self) -> bool:
        """There is more to do."""
        return self.state in (self.State.RUNNING, self.State.UNDOING)


class Change(models.Model):
    """What a bulk action did to somebody, kept as long as it may be undone."""

    action = models.ForeignKey(BulkAction, models.CASCADE, related_name="changes", db_index=False)  # see Meta
    number = models.SmallIntegerField()  # which of its actions, from 0
    subscriber_id = models.BigIntegerField()
    before = models.TextField(null=True)  # the value of the field that was there
    after = models.TextField(null=True)  # the value that it wrote
    at = models.DateTimeField()  # since when somebody has the tag that it added

    class Meta:
        indexes: ClassVar = [
            models.Index("action", "id", name="bulk_change_of_action"),
            models.Index("subscriber_id", name="bulk_change_of_person"),  # engine/acts/forget.py
        ]

    def __str__(self) -> str:
        return f"change of subscriber {self.subscriber_id} by bulk action {self.action_id}"
