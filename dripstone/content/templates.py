"""Email templates: made, checked. Read when an email is sent, never copied into one."""

import re
from datetime import datetime

from django.db import transaction

from dripstone.content import html as page
from dripstone.content import liquid, trial, versions
from dripstone.content.models import EmailTemplate
from dripstone.errors import Invalid
from dripstone.given import Checked, Given

_MESSAGE_CONTENT = re.compile(r"\{\{-?\s*message_content\b")


@transaction.atomic
def create(account_id: int, given: Given, now: datetime, actor: str = versions.OWNER) -> EmailTemplate:
    """given   `name`, `html`, `is_default`. A new default takes the place of the old one

    Raises Invalid with every problem.
    """
    read = Checked(given, required=("name", "html"), blanks={"is_default": "is_default can't be blank"})
    read.name("name")
    read.words("html")
    _check_html(read)
    read.flag("is_default")
    values = read.sound()
    if over := trial.problem(account_id, template_html=values["html"]):
        raise Invalid.member("html", over[1].replace("content", "html", 1))
    if values.get("is_default"):
        EmailTemplate.objects.filter(account_id=account_id, is_default=True).update(is_default=False, updated_at=now)
    template = EmailTemplate.objects.create(account_id=account_id, **values, created_at=now, updated_at=now)
    versions.keep_template(template, now, actor)
    return template


def warnings(template: EmailTemplate) -> list[str]:
    """What its emails get without being asked. A snippet in it may bring it, so then nothing is said."""
    used = liquid.variables(template.html)
    if used.snippets or "address" in used.names:
        return []
    return ["html: there is no {{ address }}; the postal address will stand at the end of every email"]


def _check_html(read: Checked) -> None:
    html = read.values.get("html", "")
    problems = liquid.check_new(html, "html")
    for problem in problems:
        read.refuse("html", problem)
    if html and not problems and not _MESSAGE_CONTENT.search(html):
        read.wrong("html", "must contain {{ message_content }}")
    if complaint := page.complaint("", html):
        read.wrong("html", complaint)
