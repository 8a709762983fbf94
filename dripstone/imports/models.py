"""A file of people on its way in: its bytes, its rows as they were read, what was wrong with some, whom it touched.

docs/reference/life-of-an-import.md has the states.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q, Value

from dripstone.accounts.models import Account

_STATES = (
    *("uploading", "uploaded", "reading", "ready", "running", "done"),
    *("undoing", "undone", "cancelled", "failed"),
)


class Import(models.Model):
    class State(models.TextChoices):
        UPLOADING = "uploading"
        UPLOADED = "uploaded"  # what its columns mean is to be said
        READING = "reading"
        READY = "ready"  # what it will do is known
        RUNNING = "running"
        DONE = "done"
        UNDOING = "undoing"
        UNDONE = "undone"
        CANCELLED = "cancelled"
        FAILED = "failed"

    class Existing(models.TextChoices):
        """What becomes of people who are on file."""

        UPDATE = "update"  # they get the file's values, tags, forms and sequences
        KEEP = "keep"  # their values stay; they get tags, forms and sequences
        SKIP = "skip"  # nothing

    class Blanks(models.TextChoices):
        KEEP = "keep"  # a blank cell says nothing
        CLEAR = "clear"  # it takes the value away

    WORKING: ClassVar = ("reading", "running", "undoing")  # a worker is at it, or will be

    account = models.ForeignKey(Account, models.CASCADE, related_name="imports", db_index=False)  # see Meta
    file_name = models.TextField()
    state = models.TextField(choices=State, default=State.UPLOADING)
    asked_by = models.TextField()  # as notes name them
    begun_at = models.DateTimeField()
    uploaded_at = models.DateTimeField(null=True)
    ready_at = models.DateTimeField(null=True)
    run_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)  # done, cancelled or failed
    undone_at = models.DateTimeField(null=True)
    why = models.TextField(default="", db_default="", blank=True)  # it failed: a sentence

    # The file. Its bytes are dropped at the end.
    n_pieces = models.BigIntegerField(default=0, db_default=0)
    n_bytes = models.BigIntegerField(default=0, db_default=0)
    is_staged = models.BooleanField(default=True, db_default=True)  # something of it is still kept: bytes, rows

    # Nor are its report and what undoing needs (upkeep.py). Who gave their word for whom it brought in stays.
    is_forgotten = models.BooleanField(default=False, db_default=False)

    # How it is read. "" and an empty list until `verbs.choose`.
    encoding = models.TextField(default="", db_default="", blank=True)  # a name of imports/text.py ENCODINGS
    separator = models.TextField(default="", db_default="", blank=True)
    has_header = models.BooleanField(default=True, db_default=True)
    header = models.JSONField(default=list, db_default=Value("[]", models.JSONField()))  # the cells of the first row
    columns = models.JSONField(default=list, db_default=Value("[]", models.JSONField()))  # imports/columns.py: Target

    # What it does.
    tag_ids = ArrayField(models.BigIntegerField(), default=list, db_default=Value("{}"))
    form_ids = ArrayField(models.BigIntegerField(), default=list, db_default=Value("{}"))
    sequence_ids = ArrayField(models.BigIntegerField(), default=list, db_default=Value("{}"))
    existing = models.TextField(choices=Existing, default=Existing.UPDATE, db_default=Existing.UPDATE)
    blanks = models.TextField(choices=Blanks, default=Blanks.KEEP, db_default=Blanks.KEEP)
    fire_rules = models.BooleanField(default=False, db_default=False)
    consent = models.TextField(default="", db_default="", blank=True)  # the sentence they agreed to
    consent_by = models.TextField(default="", db_default="", blank=True)
    consent_at = models.DateTimeField(null=True)

    # How far it is.
    n_stumbles = models.PositiveIntegerField(default=0, db_default=0)  # batches that met a mistake of ours
    is_stale = models.BooleanField(default=False, db_default=False)  # rows of an earlier reading are still there
    read_to = models.BigIntegerField(default=0, db_default=0)  # bytes
    n_records = models.BigIntegerField(default=0, db_default=0)  # read, as a spreadsheet counts them
    n_header = models.BigIntegerField(default=0, db_default=0)  # which of them is the header; 0: none is
    n_rows = models.BigIntegerField(default=0, db_default=0)  # of the file, without its header and empty lines
    n_rejected = models.BigIntegerField(default=0, db_default=0)
    n_twice = models.BigIntegerField(default=0, db_default=0)  # rows about somebody whom an earlier row is about
    # What the file would do, counted while it was read. Those who cannot be mailed are among one or the other.
    n_new = models.BigIntegerField(default=0, db_default=0)
    n_existing = models.BigIntegerField(default=0, db_default=0)
    n_unmailable = models.BigIntegerField(default=0, db_default=0)  # unsubscribed, bounced, complained: they stay so
    # What it did.
    n_done = models.BigIntegerField(default=0, db_default=0)  # people, whatever became of them
    n_made = models.BigIntegerField(default=0, db_default=0)
    n_changed = models.BigIntegerField(default=0, db_default=0)  # people on file with a new value, tag, form, sequence
    n_entered = models.BigIntegerField(default=0, db_default=0)  # places in sequences
    n_stayed_out = models.BigIntegerField(default=0, db_default=0)  # unmailable
    n_undone = models.BigIntegerField(default=0, db_default=0)  # people
    n_left_alone = models.BigIntegerField(default=0, db_default=0)  # made by it and changed since: undoing left them

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(name="import_state", condition=Q(state__in=_STATES)),
            # Nobody is imported without somebody's word that they agreed.
            models.CheckConstraint(
                name="import_consent",
                condition=Q(consent_at__isnull=False, consent__gt="") | Q(run_at=None),
            ),
        ]
        indexes: ClassVar = [
            models.Index("account", "id", name="import_of_account"),
            # What a worker has to do, also what is to be cleared away.
            models.Index(
                "account",
                "id",
                condition=Q(state__in=["reading", "running", "undoing"])
                | Q(is_staged=True, state__in=["done", "cancelled", "failed"]),
                name="import_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"import {self.pk} of {self.file_name}"


class Turn(models.Model):
    """When an account that has imports last had its turn among the accounts. A table of its own: who takes a turn waits
    for no batch."""

    account = models.OneToOneField(Account, models.CASCADE, primary_key=True, related_name="+")
    turn_at = models.DateTimeField()  # by the machine's clock

    def __str__(self) -> str:
        return f"turn of account {self.account_id}"


class Piece(models.Model):
    """Bytes of the file, as they came. Not compressed (migration 0001): any part of one can be read by itself."""

    pk = models.CompositePrimaryKey("of_import_id", "number")
    of_import = models.ForeignKey(Import, models.CASCADE, related_name="+", db_index=False)
    number = models.BigIntegerField()  # from 0
    first = models.BigIntegerField()  # how many bytes come before
    data = models.BinaryField()

    def __str__(self) -> str:
        return f"piece {self.number} of import {self.of_import_id}"


class Row(models.Model):
    """A person of the file who is still to be done. Rows about the same person have been put together."""

    pk = models.CompositePrimaryKey("of_import_id", "number")
    of_import = models.ForeignKey(Import, models.CASCADE, related_name="+", db_index=False)
    number = models.BigIntegerField()  # of the row that names them first, as a spreadsheet counts
    email_address = models.TextField()  # given.plain_address
    first_name = models.TextField(null=True)
    values = ArrayField(models.TextField(null=True))  # of the columns that go into custom fields, in their order
    tags = ArrayField(models.TextField())  # names
    created_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("of_import", "email_address", name="import_row_of_address"),
        ]

    def __str__(self) -> str:
        return f"row {self.number} of import {self.of_import_id}"


class Rejected(models.Model):
    """A row of the file that was not taken."""

    pk = models.CompositePrimaryKey("of_import_id", "number")
    of_import = models.ForeignKey(Import, models.CASCADE, related_name="+", db_index=False)
    number = models.BigIntegerField()
    email_address = models.TextField(null=True)  # given.plain_address, if there is one: whoever it is may be forgotten
    cells = models.TextField()  # JSON in ASCII, since a cell may hold what PostgreSQL cannot
    reason = models.TextField()  # a sentence

    class Meta:
        verbose_name_plural = "rejected"
        indexes: ClassVar = [
            models.Index(
                "of_import", "email_address", condition=Q(email_address__isnull=False), name="import_rejected_address"
            ),
        ]

    def __str__(self) -> str:
        return f"rejected row {self.number} of import {self.of_import_id}"


class Touched(models.Model):
    """Somebody the import made or changed, with what is needed to undo it."""

    pk = models.CompositePrimaryKey("of_import_id", "subscriber_id")
    of_import = models.ForeignKey(Import, models.CASCADE, related_name="+", db_index=False)
    subscriber_id = models.BigIntegerField()
    is_new = models.BooleanField()
    at = models.DateTimeField()  # their `updated_at` by it
    tag_ids = ArrayField(models.BigIntegerField())  # that they got by it, like the others
    form_ids = ArrayField(models.BigIntegerField())
    place_ids = ArrayField(models.BigIntegerField())  # enrollments
    back_ids = ArrayField(models.BigIntegerField(), default=list, db_default=Value("{}"))  # of them, that had ended
    before = models.JSONField(null=True)  # `first_name`, `fields`: what changed; null: it was not there
    after = models.JSONField(null=True)

    class Meta:
        verbose_name_plural = "touched"

    def __str__(self) -> str:
        return f"subscriber {self.subscriber_id} as import {self.of_import_id} left them"
