"""What emails are made of besides their own text: templates and snippets. Both are read when an email is sent."""

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
