"""Email templates: made, checked. Read when an email is sent, never copied into one."""

import re
from datetime import datetime
from typing import Any

from django.db import transaction

from dripstone.accounts import names
from dripstone.content import html as page
from dripstone.content import liquid, trial, versions
from dripstone.content.models import EmailTemplate
from dripstone.errors import Invalid
from dripstone.given import Checked, Given

_BLANKS = {"is_default": "is_default can't be blank"}
_MESSAGE_CONTENT = re.compile(r"\{\{-?\s*message_content\b")


@transaction.atomic
def create(account_id: int, given: Given, now: datetime, actor: str = versions.OWNER) -> EmailTemplate:
    """given   `name`, `html`, `is_default`. A new default takes the place of the old one

    Raises Invalid with every problem.
    """
    values = _read(account_id, Checked(given, required=("name", "html"), blanks=_BLANKS))
    if values.get("is_default"):
        _make_room_for_default(account_id, now)
    template = EmailTemplate.objects.create(account_id=account_id, **values, created_at=now, updated_at=now)
    versions.keep_template(template, now, actor)
    return template


@transaction.atomic
def update(template: EmailTemplate, given: Given, now: datetime, actor: str = versions.OWNER) -> EmailTemplate:
    """given   any of `name`, `html`, `is_default`. An account may be without a default: the built-in one is it then

    Raises Invalid with every problem.
    """
    names.lock(template.account_id)
    template.refresh_from_db()
    values = _read(template.account_id, Checked(given, blanks=_BLANKS), saved=template.html)
    if values.get("is_default") and not template.is_default:
        _make_room_for_default(template.account_id, now)
    if values.get("html", template.html) != template.html:
        versions.keep_template(template, template.updated_at, versions.UNKNOWN)  # if it was written without one
        template.version += 1
    for name, value in values.items():
        setattr(template, name, value)
    template.updated_at = now
    template.save()
    versions.keep_template(template, now, actor)
    return template


def restore(template: EmailTemplate, number: int, now: datetime, actor: str = versions.OWNER) -> EmailTemplate:
    """The HTML of a version, saved anew, which makes another version. Raises NotFound, and Invalid if it could not be
    saved today."""
    return update(template, {"html": versions.numbered(template.versions.all(), number).html}, now, actor)


def _make_room_for_default(account_id: int, now: datetime) -> None:
    EmailTemplate.objects.filter(account_id=account_id, is_default=True).update(is_default=False, updated_at=now)


def warnings(template: EmailTemplate) -> list[str]:
    """What its emails get without being asked. A snippet in it may bring it, so then nothing is said."""
    used = liquid.variables(template.html)
    if used.snippets or "address" in used.names:
        return []
    return ["html: there is no {{ address }}; the postal address will stand at the end of every email"]


def check(account_id: int, html: str) -> None:
    """Raises Invalid for what could not be saved as a template's HTML."""
    _read(account_id, Checked({"html": html}))


def _read(account_id: int, read: Checked, saved: str = "") -> dict[str, Any]:
    read.name("name")
    read.words("html")
    _check_html(read, saved)
    read.flag("is_default")
    values = read.sound()
    if "html" in values and (over := trial.problem(account_id, template_html=values["html"])):
        raise Invalid.member("html", over[1].replace("content", "html", 1))
    return values


def _check_html(read: Checked, saved: str) -> None:
    html = read.values.get("html", "")
    problems = liquid.check_new(html, "html", saved=saved)
    for problem in problems:
        read.refuse("html", problem)
    if html and not problems and not _MESSAGE_CONTENT.search(html):
        read.wrong("html", "must contain {{ message_content }}")
    if complaint := page.complaint("", html):
        read.wrong("html", complaint)
