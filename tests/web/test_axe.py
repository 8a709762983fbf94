"""axe on every page: wide and light, on a phone and dark. What it finds is what somebody would trip over who hears the
page, moves by keys or sees little.

The pages come from web/urls.py, so a new one is tried as soon as it exists. What has no address of its own (a question,
a refused form, an open menu) is opened here by hand.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from dripstone import clock, signing
from dripstone.accounts import invitations, members, sending_addresses, verbs
from dripstone.accounts.models import Account
from dripstone.automations import run
from dripstone.automations import verbs as automations
from dripstone.automations.people import add as put_in
from dripstone.content import snippets
from dripstone.engine.acts import letting_in
from dripstone.engine.models import Delivery
from dripstone.events import causes
from dripstone.oauth.models import Application
from dripstone.rules import verbs as rules
from dripstone.subscribers import forms, sign_ups, tags
from dripstone.web import condition_leaves, rule_form
from tests import owned
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber, make_user, place_of
from tests.oauth.flow import App
from tests.web.letters import link_in, sent
from tests.web.routes import WITH_IDS, WITHOUT_IDS, path_to
from tests.web.walks import make_automation, switch_on

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.django_db(transaction=True)

PARTS = 8

LOOKS: list[Any] = [
    ({"width": 1440, "height": 900}, "light"),
    ({"width": 390, "height": 844}, "dark"),
]

# WCAG 2.2 AA and axe's own good practice. The letters in frames are the creator's, not ours.
RULES = {
    "resultTypes": ["violations"],
    "iframes": False,
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
ODD = {"type": "location", "latitude": 1.0, "longitude": 2.0, "radius": 3.0}  # a leaf that no form has
FINISHED = """() => !document.querySelector(".htmx-request, .htmx-swapping, .htmx-settling")
                    && (!document.querySelector("form[data-writing]") || document.documentElement.dataset.editor)"""
FAULTS = """([within, rules]) => axe.run(within, rules).then(found =>
    found.violations.flatMap(fault => fault.nodes.map(node =>
        `${fault.id}: ${node.target.join(" ")}: ${node.failureSummary.split("\\n").slice(1).join(";")}`)))"""


@pytest.fixture
def page(chromium: "Browser", live_server: Any, alice: Client) -> Iterator["Page"]:
    """Alice's browser, in which nothing is half faded."""
    context = chromium.new_context(base_url=live_server.url, reduced_motion="reduce")
    context.set_default_timeout(30_000)
    key = alice.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
    yield context.new_page()
    context.close()


def faults(page: "Page", within: str = "html") -> list[str]:
    """Of what stands there now, in both looks."""
    page.wait_for_function(FINISHED)
    page.evaluate(AXE_SCRIPT)
    found = []
    for size, scheme in LOOKS:
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += [f"{size['width']} {scheme}: {fault}" for fault in page.evaluate(FAULTS, [within, RULES])]
    return found


def visited(page: "Page", paths: list[str]) -> list[str]:
    """What is wrong there, with the page it is wrong on."""
    found = []
    for path in paths:
        page.set_viewport_size(LOOKS[0][0])
        page.goto(path)
        found += [f"{path}: {fault}" for fault in faults(page)]
    return found


def assert_none(wrong: list[str]) -> None:
    assert not wrong, "\n".join(wrong)


def is_page(answer: HttpResponse | Any) -> bool:
    """Not a part of one, a redirect, a file, or a letter that stands in a frame."""
    is_letter = "sandbox" in answer.headers.get("Content-Security-Policy", "")
    return answer.status_code == 200 and not is_letter and not answer.streaming and b"<html" in answer.content


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_behind_sign_in(page: "Page", account: Account, alice: Client, mail_server: None, part: int) -> None:
    """In parts, which several processes look at side by side."""
    ids = owned.one_of_each(account)
    paths = [path_to(route, ids) for route in (WITHOUT_IDS + WITH_IDS)[part::PARTS]]
    found = [path for path in paths if is_page(alice.get(path))]
    assert len(found) > 30 / PARTS
    assert_none(visited(page, found))


def test_every_page_of_an_account_with_nothing_in_it(page: "Page", account: Account) -> None:
    account.postal_address = ""
    account.save()
    everywhere = [
        "/",
        "/people",
        "/people/new",
        "/first-run",
        "/deliveries",
        "/inbox",
        "/snippets",
        "/templates",
        "/images",
        "/settings",
    ]
    assert_none(visited(page, everywhere))
    sequence = make_sequence(account)
    assert_none(visited(page, [f"/sequences/{sequence.pk}{part}" for part in ("", "/people", "/checks", "/week")]))


def test_an_automation_with_people_inside(page: "Page", account: Account) -> None:
    automation, person = make_automation(account), make_subscriber(account)
    switch_on(automation)
    put_in(automation, [person.pk], clock.now(), cause=causes.OWNER)
    of_it = f"/automations/{automation.pk}"
    them = f"{of_it}/people/{person.pk}"
    tried = [f"{of_it}/trial?go=1", "/automations/new?template=launch", "/automations/new?template=after-a-course"]
    pages = [of_it, f"{of_it}/log", f"{of_it}/people", them, f"/people/{person.pk}/automations", *tried]
    assert_none(visited(page, pages))
    page.goto(them)
    page.get_by_role("button", name="Take out…").click()
    page.get_by_role("dialog").wait_for()
    assert_none(faults(page, "#ask"))


def test_the_pages_that_ask_about_an_app(page: "Page", account: Account) -> None:
    members.join(make_account("Club"), account.memberships.get().user, "viewer", MONDAY_9)
    app = App(account)
    assert_none(visited(page, [app.address(), app.address(redirect_uri="https://evil.example/")]))
    Application.objects.update(account=None)  # it registered itself
    assert_none(visited(page, [app.address()]))


def test_every_page_by_which_people_get_in_or_out(
    page: "Page", account: Account, delivery: Delivery, mail_server: None, live_server: Any
) -> None:
    person = place_of(delivery).subscriber
    bob = make_user(account, "bob@example.com")
    invited = invitations.invite(account, owned.INVITED, bob, clock.system_now())
    address = sending_addresses.add(account, {"email_address": "shop@example.com"}, MONDAY_9)
    Client().post("/passwords/forgotten", {"email_address": bob.email})
    unsubscription = f"/u/{signing.make('unsubscribe', delivery.pk)}"
    paths = ["/sign-in", "/sign-up", "/passwords/forgotten", "/i/gone", "/v/gone", "/c/gone", "/u/gone", "/nothing"]
    paths += [invitations.link(invited), sending_addresses.link(address), link_in(sent()[-1])]
    form = forms.create(account.pk, {"name": "Footer"}, MONDAY_9)
    closed = forms.create(account.pk, {"name": "Old", "status": "archived"}, MONDAY_9)
    plain = forms.create(account.pk, {"name": "Plain", "is_plain": True}, MONDAY_9)
    asked = sign_ups.begin(person, form, None, clock.now())
    paths += [unsubscription, f"/c/{signing.make('sign-up', asked.pk)}", "/c/example"]
    paths += [f"/f/{one.uid}" for one in (form, closed, plain)] + [f"/f/{form.uid}/thanks", "/f/gone"]
    paths += [letting_in.new_address_link(bob, "robert@example.net"), f"/new-address/{bob.pk}/x/gone"]
    page.context.clear_cookies()
    assert_none(visited(page, [path.removeprefix(settings.DRIPSTONE_URL) for path in paths]))
    page.goto(unsubscription)
    page.get_by_role("button", name="Unsubscribe").click()
    page.get_by_role("heading", name="You are unsubscribed").wait_for()
    assert_none(faults(page))


def test_the_pages_of_a_form_that_asks_and_adds(page: "Page", account: Account) -> None:
    ids = owned.one_of_each(account)
    given = {"field_ids": [ids["custom_fields"]], "tag_ids": [ids["tags"]], "sequence_ids": [ids["sequences"]]}
    form = forms.create(account.pk, {"name": "Footer", **given}, MONDAY_9, sequence_ids=given["sequence_ids"])
    forms.note_crowd(form, clock.now())
    of_form = [f"/forms/{form.pk}{rest}" for rest in ("", "/settings", "/sources", "/deletion")]
    assert_none(visited(page, ["/forms", "/forms/new", *of_form, f"/f/{form.uid}"]))


def test_the_page_of_the_first_owner(chromium: "Browser", live_server: Any) -> None:
    with chromium.new_context(base_url=live_server.url) as context:
        assert_none(visited(context.new_page(), [verbs.first_link().removeprefix(settings.DRIPSTONE_URL)]))


def test_what_opens_in_a_sentence_with_blanks(page: "Page", account: Account) -> None:
    ids = owned.one_of_each(account)
    condition = {"all": [{"type": "tags", "ids": [ids["tags"]]}, {"any": [{"type": "tags", "ids": [7]}, ODD]}]}
    filter = f"filter={quote(json.dumps(condition))}"
    kinds = [f"/people?at=top:and&kind={kind}&do=put" for kind in condition_leaves.KINDS]
    places = [f"/people?{filter}&at={at}" for at in ("top:and", "all.0", "all.1", "all.1.any.1")]
    assert_none(visited(page, ["/people?filter={", "/people?at=top:and", *places, *kinds]))


def test_what_opens_on_the_page_of_a_sequence(page: "Page", account: Account) -> None:
    ids = owned.one_of_each(account)
    page.goto(f"/sequences/{ids['sequences']}")
    page.set_viewport_size(LOOKS[0][0])
    page.locator(".step .email").first.hover()
    page.locator(".step .menu summary").first.click()
    page.get_by_role("button", name="Delete…").first.wait_for()
    assert_none(faults(page, within=".menu[open]"))  # what lies below it is covered, as it should be
    page.get_by_role("button", name="Delete…").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Delete email").wait_for()
    assert_none(faults(page))
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    page.locator(".step .gap a").last.click()
    page.get_by_label("Wait how many").fill("9999")
    page.locator(".changing").get_by_role("button", name="Save").click()
    page.get_by_role("alert").wait_for()
    assert_none(faults(page))


def test_the_editor_in_both_its_ways(page: "Page", account: Account) -> None:
    ids = owned.one_of_each(account)
    page.goto(f"/sequences/{ids['sequences']}/emails/{ids['emails']}")
    page.locator("html[data-editor=ready]").wait_for()
    page.set_viewport_size(LOOKS[0][0])
    page.locator(".editor summary", has_text="Insert").click()
    assert_none(faults(page))
    page.keyboard.press("Escape")
    page.get_by_role("button", name="HTML", exact=True).click()
    page.locator("textarea.source").wait_for()
    assert_none(faults(page))


def test_the_pages_of_a_rule_with_every_kind_of_row(page: "Page", account: Account) -> None:
    ids = owned.one_of_each(account)
    things = {"tag_id": ids["tags"], "form_id": ids["forms"], "sequence_id": ids["sequences"]}
    things |= {"product_id": ids["products"], "custom_field_id": ids["fields"], "automation_id": ids["automations"]}
    triggers = [{"trigger": kind, **named(one, things)} for kind, one in rule_form.TRIGGERS.items()]
    actions = [{"kind": kind, **named(one, things)} for kind, one in rule_form.ACTIONS.items()]
    given = {"name": "All of it", "triggers": triggers, "actions": actions, "active": True}
    rule = rules.create(account, given, clock.now())
    tags.add(account.tags.get(pk=ids["tags"]), make_subscriber(account), clock.now(), cause=causes.API)
    run.until_idle(clock.now)
    assert_none(
        visited(page, ["/rules", f"/rules/{rule.pk}", f"/rules/{rule.pk}/editing", f"/rules/{rule.pk}/applying"])
    )
    page.goto("/rules/new")
    page.get_by_label("Name", exact=True).fill("Nothing")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("alert").wait_for()
    assert_none(faults(page))


def test_the_pages_on_which_an_automation_is_edited(page: "Page", account: Account) -> None:
    ids = owned.one_of_each(account)
    given = owned.automation_about(ids["tags"])
    one = automations.create(account, given, clock.now())
    fork = {"id": "if", "kind": "condition", "if": {"type": "tags", "ids": [ids["tags"]]}, "yes": "a", "no": None}
    shares = {"id": "ab", "kind": "split", "branches": [{"percent": 40, "next": "if"}, {"percent": 60, "next": None}]}
    automations.save_draft(one, given | {"start": "ab", "nodes": [shares, fork, *given["nodes"]]}, clock.now())
    edit = f"/automations/{one.pk}/edit"
    steps = [f"{edit}/steps/{path}" for path in ("a", "if", "ab", "a/moving", "if/deletion")]
    new = [f"{edit}/steps?place=ab:0&step={kind}" for kind in ("wait_weekday", "condition", "event_field_date")]
    whole = ("publication", "switching?status=active", "deletion", "settings")
    acts = [f"/automations/{one.pk}/{act}" for act in whole]
    others = [f"{edit}/leading?place=ab:0", f"{edit}/entries", f"{edit}/steps?place=ab:0"]
    assert_none(visited(page, [edit, *steps, *new, *others, *acts]))
    page.set_viewport_size(LOOKS[0][0])
    page.goto(edit)
    page.get_by_role("link", name="Add a step at the beginning").click()
    page.locator(".opened .step-menu").wait_for()
    assert_none(faults(page))


def named(kind: rule_form.Kind, things: dict[str, int]) -> dict[str, Any]:
    """The members that a kind needs."""
    texts = {"url": "https://example.com/in", "text": "Hello", "way": "in"}
    known = {**things, **texts}
    return {control.name: known[control.name] for control in kind.controls if control.name in known}


@pytest.mark.parametrize("path", ["/sequences/new", "/settings"])
def test_a_refused_form(page: "Page", path: str) -> None:
    page.goto(path)
    page.get_by_label("Name", exact=True).fill("")
    page.evaluate("document.querySelectorAll('main form').forEach(form => form.noValidate = true)")
    page.locator("main form button.primary").filter(visible=True).first.click()
    page.locator("[aria-invalid=true]").first.wait_for()
    assert_none(faults(page))


@pytest.mark.parametrize("name", ["link", "image", "field", "liquid"])
def test_a_dialog_of_the_editor(page: "Page", account: Account, name: str) -> None:
    sequence = make_sequence(account, {"content": "<p>Hello {{ subscriber.first_name }}, how are you?</p>"})
    page.goto(f"/sequences/{sequence.pk}/emails/{sequence.emails.get().pk}")
    page.locator("html[data-editor=ready]").wait_for()
    page.locator(".ProseMirror").click()
    if name == "field":
        page.locator(".editor summary", has_text="Insert").click()
        page.get_by_role("option", name="First name").click()
    elif name == "liquid":
        page.locator(".ProseMirror .chip").first.dblclick()
    else:
        page.get_by_role("button", name=name.capitalize(), exact=True).click()
    dialog = page.locator(f"dialog[data-dialog={name}]")
    dialog.wait_for()
    assert_none(faults(page, within=f"dialog[data-dialog={name}]"))
    if name in ("link", "image"):
        dialog.get_by_role("button", name="Set the link" if name == "link" else "Put it in").click()
        dialog.get_by_role("alert").wait_for()
        assert_none(faults(page, within=f"dialog[data-dialog={name}]"))


def test_menus_beside_an_email(page: "Page", account: Account) -> None:
    """As whom the preview is shown; a version that is to be restored."""
    ids = owned.one_of_each(account)
    at = f"/sequences/{ids['sequences']}/emails/{ids['emails']}"
    page.goto(at)
    page.locator("html[data-editor=ready]").wait_for()
    page.locator("#preview-as").click()
    page.locator("#preview-people a").first.wait_for()
    assert_none(faults(page, within="#preview-choose"))
    page.goto(f"{at}/versions")
    page.locator(".versions .menu summary").first.click()
    assert_none(faults(page))


def test_a_question_about_somebody(page: "Page", account: Account) -> None:
    ids = owned.one_of_each(account)
    page.goto(f"/people/{ids['people']}")
    page.set_viewport_size(LOOKS[0][0])
    page.evaluate("document.querySelector('form[action$=\"/removal\"][data-asks]').requestSubmit()")
    page.get_by_role("dialog").wait_for()
    assert_none(faults(page))


@pytest.mark.parametrize("text", ["{{ broken", "Hello there"])
def test_what_follows_saving_a_snippet(page: "Page", account: Account, text: str) -> None:
    """A refusal, and the page beneath it; or the question about emails that have it."""
    snippet = snippets.create(account.pk, {"name": "A", "snippet_type": "inline", "content": "x"}, MONDAY_9)
    make_enrollment(make_sequence(account, {"content": "{{ snippet.a }}"}), make_subscriber(account))
    page.goto(f"/snippets/{snippet.pk}")
    page.locator("#f-text").fill(text)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("dialog").wait_for()
    assert_none(faults(page))
    if "broken" in text:
        page.get_by_role("button", name="Go on writing").click()
        page.get_by_role("dialog").wait_for(state="hidden")
        assert page.locator("#f-text[aria-invalid=true]").count() == 1
        assert_none(faults(page))


def test_what_a_search_finds_while_one_types(page: "Page", account: Account) -> None:
    owned.one_of_each(account)
    page.goto("/")
    page.set_viewport_size(LOOKS[0][0])
    page.get_by_role("combobox", name="Search").fill("a")
    page.locator("#hits [role=option]").first.wait_for()
    assert_none(faults(page, within=".find"))


def test_menus_of_the_frame_and_of_lists(page: "Page", account: Account) -> None:
    owned.one_of_each(account)
    page.goto("/people")
    page.set_viewport_size(LOOKS[0][0])
    page.locator(".columns-menu summary").click()
    assert_none(faults(page, within=".columns-menu"))
    page.set_viewport_size(LOOKS[1][0])
    page.locator(".bar .more summary").click()
    page.evaluate(AXE_SCRIPT)
    assert_none(page.evaluate(FAULTS, [".bar", RULES]))
