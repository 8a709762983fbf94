"""Sequence: a named list of emails with a schedule. SequenceEmail: one of them, with its versions and its draft."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from dripstone.accounts.models import Account, SendingAddress
from dripstone.content.models import EmailTemplate


def every_day() -> list[int]:
    return list(range(7))


class Sequence(models.Model):
    account = models.ForeignKey(Account, models.CASCADE, related_name="sequences")
    name = models.TextField()
    sending_address = models.ForeignKey(SendingAddress, models.PROTECT, related_name="+")
    email_template = models.ForeignKey(EmailTemplate, models.PROTECT, null=True, related_name="+")
    send_days = ArrayField(models.PositiveSmallIntegerField(), default=every_day)  # 0 = Monday; never empty
    send_hour = models.PositiveSmallIntegerField()  # 0..23, wall clock in time_zone
    time_zone = models.TextField()  # IANA name
    active = models.BooleanField(default=True)  # False: nothing is sent, places are kept
    repeat = models.BooleanField(default=False)
    hold = models.BooleanField(default=False)
    exclude_subscriber_sources = models.JSONField(default=list)  # [{"type": "tag", "ids": [3]}], sorted by type
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)  # Kit deletes softly: history stays

    # An edit that can move people raises `edits`; engine/follow.py moves them and then sets `edits_done` to the number
    # it read first. Nothing of the sequence is planned while the two differ.
    edits = models.PositiveIntegerField(default=0)
    edits_done = models.PositiveIntegerField(default=0)
    resumed_at = models.DateTimeField(null=True)  # when `active` last came back; late day-emails wait for a slot (R4)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(name="sequence_send_hour", condition=models.Q(send_hour__lte=23)),
            models.CheckConstraint(name="sequence_send_days", condition=models.Q(send_days__len__gt=0)),
        ]

    def __str__(self) -> str:
        return self.name


class SequenceEmail(models.Model):
    class Unit(models.TextChoices):
        DAYS = "days"
        HOURS = "hours"

    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    sequence = models.ForeignKey(Sequence, models.CASCADE, related_name="emails")
    subject = models.TextField()
    preview_text = models.TextField(null=True)
    content = models.TextField(null=True)  # HTML with Liquid
    email_template = models.ForeignKey(EmailTemplate, models.PROTECT, null=True, related_name="+")  # null: sequence's
    position = models.PositiveIntegerField()
    delay_value = models.PositiveIntegerField()
    delay_unit = models.TextField(choices=Unit.choices)
    send_days = ArrayField(models.PositiveSmallIntegerField(), null=True)  # null: the sequence's; always null for hours
    published = models.BooleanField(default=False)
    version = models.PositiveIntegerField(default=1)  # + 1 with every change of what is printed
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)  # the last time; None if it was published from the beginning
    # On hold (R22): since when and by whom. Nobody gets it; all wait at it. A deleted email is never on hold.
    held_at = models.DateTimeField(null=True)
    held_by = models.TextField(default="", db_default="", blank=True)
    released_at = models.DateTimeField(null=True)  # when it was last let go, or deleted while on hold
    filter = models.JSONField(null=True)  # a condition (grammar.py); None: everybody gets it (R21)
    # Deleted emails keep their row and their place in the order: deliveries point at them, and people who wait for one
    # skip it at the moment it would have gone (R9).
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                "sequence", "position", condition=models.Q(deleted_at=None), name="sequence_email_position"
            ),
            models.CheckConstraint(
                name="sequence_email_hours_have_no_days",
                condition=models.Q(delay_unit="days") | models.Q(send_days=None, delay_value__gt=0),
            ),
            models.CheckConstraint(
                name="sequence_email_send_days",
                condition=models.Q(send_days=None) | models.Q(send_days__len__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def is_held(self) -> bool:
        return self.held_at is not None

    @property
    def order(self) -> tuple[int, bool]:
        """Sorts the emails of a sequence: deleted ones stand before the living one at their position, in no order among
        themselves."""
        return self.position, self.deleted_at is None


class EmailVersion(models.Model):
    """What was published of an email, kept as it was. Rows are never changed.

    Whoever needs the version that is published makes it if it is missing (versions.current): servers of the release
    before publish without one.
    """

    email = models.ForeignKey(SequenceEmail, models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()  # from 1; what was never published has none
    subject = models.TextField()
    preview_text = models.TextField(null=True)
    content = models.TextField(null=True)
    email_template_id = models.BigIntegerField(null=True)  # no key: the template may be deleted, this stays
    published_at = models.DateTimeField()
    published_by = models.TextField(blank=True)  # an actor, as in SequenceEdit; "" if it is not known

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("email", "number", name="email_version_number")]

    def __str__(self) -> str:
        return f"version {self.number} of email {self.email_id}"


class EmailDraft(models.Model):
    """What is written in an email and reaches nobody until it is published: drafts.py. No row: nobody ever wrote there.

    The row stays when there is nothing unpublished any more: its revision says to an open page whether somebody else
    has saved meanwhile.
    """

    email = models.OneToOneField(SequenceEmail, models.CASCADE, primary_key=True, related_name="draft")
    values = models.JSONField(default=dict, blank=True)  # the members that differ, sound or not
    base = models.PositiveIntegerField(null=True)  # number of the version that they first differed from
    revision = models.PositiveIntegerField(default=0)  # + 1 with every save
    email_version = models.PositiveIntegerField(default=0)  # SequenceEmail.version when it was saved
    saved_at = models.DateTimeField(null=True)
    saved_by = models.TextField(default="", blank=True)  # an actor, as in SequenceEdit
    tab = models.TextField(default="", blank=True)  # which open page saved last, by a word of its own

    objects: ClassVar[models.Manager["EmailDraft"]] = models.Manager()

    def __str__(self) -> str:
        return f"draft of email {self.email_id}"


class SequenceEdit(models.Model):
    """An edit that could move people, or changed when emails go: what was done and by whom. explain/edit_words.py puts
    it in words.

    number   what it raised Sequence.edits to; None if it moves no people: a delay, days, hour or zone changed (R11), or
             who gets the email (R21)
    changes  {"published": [false, true], "position": [3, 1]}: before and after of what matters to people inside;
             before is null where it was not known or not there
    """

    class Kind(models.TextChoices):
        EMAIL_CREATED = "email_created"
        EMAIL_UPDATED = "email_updated"
        EMAIL_DELETED = "email_deleted"
        EMAIL_RETIMED = "email_retimed"
        SEQUENCE_UPDATED = "sequence_updated"
        SEQUENCE_DELETED = "sequence_deleted"
        SEQUENCE_RETIMED = "sequence_retimed"
        RESCHEDULED = "rescheduled"  # people get new dates in place of those already given
        WAIT_SKIPPED = "wait_skipped"  # people who wait for `email` get it now
        EMAIL_FILTERED = "email_filtered"  # who gets it is looked at when it is due (R21)

    sequence = models.ForeignKey(Sequence, models.CASCADE, related_name="edit_log")
    number = models.PositiveIntegerField(null=True)
    kind = models.TextField(default="", db_default="", choices=Kind.choices, blank=True)
    email = models.ForeignKey(SequenceEmail, models.CASCADE, null=True, related_name="+", db_index=False)
    changes = models.JSONField(default=dict, null=True)
    # Versions before `kind` described the edit here. A server of such a version still writes it during an upgrade; the
    # release after this one drops it.
    what = models.TextField(default="", db_default="", blank=True)
    actor = models.TextField()  # "API key …f3a2", "owner"
    reschedules = models.BooleanField(default=False)  # people get new dates in place of those already given (R11)
    moved = models.ForeignKey(SequenceEmail, models.CASCADE, null=True, related_name="+", db_index=False)
    passed = ArrayField(models.BigIntegerField(), null=True)  # ids of the emails that `moved` went past
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("sequence", "number", name="sequence_edit_number")]

    def __str__(self) -> str:
        return self.kind
