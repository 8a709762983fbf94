"""What emails are made of besides their own text: templates and snippets. Both are read when an email is sent. Every
text that they had is kept as a version."""

from typing import ClassVar

from django.db import models

from dripstone.accounts.models import Account


class EmailTemplate(models.Model):
    account = models.ForeignKey(Account, models.CASCADE, related_name="email_templates")
    name = models.TextField()
    category = models.TextField(default="HTML")
    html = models.TextField()  # Liquid; the email's body goes where {{ message_content }} stands
    is_default = models.BooleanField(default=False)
    version = models.PositiveIntegerField(
        default=1
    )  # + 1 with every change of html: render.py compiles once per version
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("account", condition=models.Q(is_default=True), name="email_template_one_default"),
        ]

    def __str__(self) -> str:
        return self.name


class Snippet(models.Model):
    class Type(models.TextChoices):
        INLINE = "inline"  # plain text with Liquid, in `content`
        BLOCK = "block"  # HTML with Liquid, in `value_html`

    account = models.ForeignKey(Account, models.CASCADE, related_name="snippets")
    name = models.TextField()
    key = models.TextField()  # from the name at creation; stays when the name changes
    snippet_type = models.TextField(choices=Type.choices)
    content = models.TextField(default="", blank=True)
    value_html = models.TextField(null=True)
    archived = models.BooleanField(default=False)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("account", "key", name="snippet_key_of_account")]

    def __str__(self) -> str:
        return self.name

    @property
    def source(self) -> str:
        """Its Liquid, in the column of its type."""
        return self.content if self.snippet_type == Snippet.Type.INLINE else self.value_html or ""


class TemplateVersion(models.Model):
    """The HTML that a template had at one time. Rows are never changed, and stay when the template is deleted: emails
    were made of them (engine.models.Edition)."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    template = models.ForeignKey(
        EmailTemplate, models.DO_NOTHING, related_name="versions", db_constraint=False, db_index=False
    )
    number = models.PositiveIntegerField()  # from 1
    html = models.TextField()
    saved_at = models.DateTimeField()
    saved_by = models.TextField(blank=True)  # an actor, as in notes; "" if it is not known

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("template", "number", name="template_version_number")]

    def __str__(self) -> str:
        return f"version {self.number} of template {self.template_id}"


class SnippetVersion(models.Model):
    """The text that a snippet had at one time; otherwise the same."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    snippet = models.ForeignKey(
        Snippet, models.DO_NOTHING, related_name="versions", db_constraint=False, db_index=False
    )
    number = models.PositiveIntegerField()
    key = models.TextField()
    snippet_type = models.TextField(choices=Snippet.Type.choices)
    source = models.TextField(blank=True)
    saved_at = models.DateTimeField()
    saved_by = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("snippet", "number", name="snippet_version_number")]

    def __str__(self) -> str:
        return f"version {self.number} of snippet {self.snippet_id}"


class Precompiled(models.Model):
    """What compiling made of a letter (precompiled.py). Rows can go at any time."""

    digest = models.TextField(primary_key=True)
    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    packed = models.BinaryField()
    used_at = models.DateTimeField()  # to the week

    def __str__(self) -> str:
        return self.digest
