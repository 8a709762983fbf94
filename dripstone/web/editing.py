"""Writing HTML with Liquid on a page: what the editor's part of a template needs (templates/editor/_editor.html).

The editor is a textarea of the page's own form. Scripts make rich text of it where that keeps everything; without them
it stays a textarea.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.http import HttpResponse

from dripstone.accounts.models import Account
from dripstone.content.models import Snippet
from dripstone.subscribers.models import CustomField
from dripstone.web.headers import content_security_policy

MOST = 500  # fields and snippets, each, that the menu offers


@dataclass(frozen=True, slots=True)
class Insertable:
    """What *Insert…* puts in.

    takes_fallback  it may be empty for somebody
    is_block        it brings paragraphs of its own, so it stands outside of one
    """

    label: str
    liquid: str
    hint: str = ""
    takes_fallback: bool = False
    is_block: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    label: str
    items: list[Insertable]


@dataclass(frozen=True, slots=True)
class Editor:
    """member   of the form: `content`
    label    what the textarea is called
    source   what stands in it
    problem  what is wrong with it, if it was refused
    """

    member: str
    label: str
    source: str
    insertables: list[Group]
    problem: str = ""


LINKS = (
    Insertable("Unsubscribe link", "{{ unsubscribe_link }}", "the word “Unsubscribe”, linked"),
    Insertable("Address to unsubscribe", "{{ unsubscribe_url }}", "for a link of your own words"),
    Insertable("Link to preferences", "{{ subscriber_preferences_link }}"),
    Insertable("Postal address", "{{ address }}", "the account’s"),
)


def insertables(account: Account, *, but: str = "") -> list[Group]:
    """but   the key of a snippet that is left out: the one that is being edited"""
    groups = [
        Group("Fields", list(_fields(account))),
        Group("Snippets", list(_snippets(account, but))),
        Group("Links", list(LINKS)),
    ]
    return [group for group in groups if group.items]


def _fields(account: Account) -> Iterator[Insertable]:
    yield Insertable("First name", "{{ subscriber.first_name }}", takes_fallback=True)
    yield Insertable("Email address", "{{ subscriber.email_address }}")
    for key, label in CustomField.objects.filter(account=account).order_by("label").values_list("key", "label")[:MOST]:
        yield Insertable(label, f"{{{{ subscriber.{key} }}}}", takes_fallback=True)


def _snippets(account: Account, but: str) -> Iterator[Insertable]:
    rows = Snippet.objects.filter(account=account, archived=False).exclude(key=but).order_by("name")
    for name, key, kind in rows.values_list("name", "key", "snippet_type")[:MOST]:
        is_block = kind == Snippet.Type.BLOCK
        yield Insertable(name, f"{{{{ snippet.{key} }}}}", "block" if is_block else "inline", is_block=is_block)


def allow_images(response: HttpResponse) -> HttpResponse:
    """A letter shows pictures from anywhere over https, also while it is written."""
    response["Content-Security-Policy"] = content_security_policy().replace("img-src ", "img-src https: ")
    return response
