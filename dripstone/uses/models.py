"""What the sources of an account mention, so that nobody has to read them all to know where something is used."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Value

from dripstone.accounts.models import Account


class Mentions(models.Model):
    """Of one source. It is a reading of another row, and is made anew when that row has another `version` (reading.py);
    a row whose source is gone says nothing."""

    class Source(models.TextChoices):
        EMAIL = "email"
        DRAFT = "draft"  # what is written in an email and not published; `source_id` is the email's
        TEMPLATE = "template"
        SNIPPET = "snippet"

    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    source = models.TextField(choices=Source.choices)
    source_id = models.BigIntegerField()
    version = models.BigIntegerField()  # of the source, when it was read
    snippets = ArrayField(models.TextField(), default=list)  # keys, whether or not there are such snippets
    images = ArrayField(models.TextField(), default=list)  # digests, the same
    fields = ArrayField(models.TextField(), default=list, db_default=Value("{}"))  # of a person: keys, the same
    any_field = models.BooleanField(default=False, db_default=False)  # it may put out any: the key is made up
    # Which of our readers made it. What an older one read is read again: it knew less.
    reader = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        verbose_name_plural = "mentions"
        constraints: ClassVar = [models.UniqueConstraint("source", "source_id", name="mentions_of_source")]

    def __str__(self) -> str:
        return f"mentions of {self.source} {self.source_id}"
