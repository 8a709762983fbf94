"""What a call asked for that is done later: a job, its entries in batches, what became of them.

docs/reference/life-of-a-bulk-job.md has the states. A job moves along its entries by `n_done` alone.
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from dripstone.accounts.models import Account


class Line(models.Model):
    """The jobs of an account that wait, one after the other; and when it last had its turn among the accounts."""

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
        TOO_LARGE = "too_large"  # told of how many, not of which
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
