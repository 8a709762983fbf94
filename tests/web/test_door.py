"""The door of a form, as a browser, a script and a robot find it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from dripstone import signing
from dripstone.accounts.models import Account
from dripstone.engine.models import Notice
from dripstone.subscribers import door as limits
from dripstone.subscribers import fields, forms
from dripstone.subscribers.models import Form, FormSubscription, SignUp, Subscriber
from dripstone.web.public import door
from tests.factories import MONDAY_9, make_subscriber

OPEN_STATES = ["nobody", "active", "inactive", "cancelled", "bounced", "complained"]
ANN = "ann@example.org"


@pytest.fixture
def stranger() -> Client:
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def form(account: Account) -> Form:
    return make_form(account)


def make_form(account: Account, **values: Any) -> Form:
    return forms.create(account.pk, {"name": "Footer", "opt_in": "single", **values}, MONDAY_9)


def path(form: Form) -> str:
    return f"/f/{form.uid}"


def post(browser: Client, form: Form, address: str = ANN, **typed: Any) -> Any:
    return browser.post(path(form), {"email_address": address, **typed})


def send(browser: Client, form: Form, document: Any, **headers: str) -> Any:
    body = document if isinstance(document, (str, bytes)) else json.dumps(document)
    return browser.post(path(form), body, content_type="application/json", headers=headers)


# --- The page ---------------------------------------------------------------------------------------------------------


def test_it_shows_what_the_form_asks(stranger: Client, account: Account) -> None:
    company, _ = fields.create(account.pk, {"label": "Company <b>"}, MONDAY_9, cause=("owner",))
    form = make_form(account, heading="Caves & more", description="One.\n\nTwo.", button="Go", field_ids=[company.pk])
    page = stranger.get(path(form)).content.decode()
    assert "<h1>Caves &amp; more</h1>" in page and "<p>Two.</p>" in page and ">Go</button>" in page
    assert "Company &lt;b&gt;" in page and f'name="fields[{company.name}]"' in page
    assert 'name="first_name"' in page


def test_it_sets_no_cookie_and_may_be_found_by_search_engines(stranger: Client, form: Form) -> None:
    for answer in (stranger.get(path(form)), post(stranger, form), stranger.get(f"{path(form)}/thanks")):
        assert not answer.cookies
    answer = stranger.get(path(form))
    assert (answer["X-Robots-Tag"], "noindex" in answer.content.decode()) == ("all", False)


def test_a_plain_page_has_no_look_of_ours(stranger: Client, account: Account) -> None:
    page = stranger.get(path(make_form(account, is_plain=True))).content.decode()
    assert "dripstone.css" not in page
    assert 'name="email_address"' in page


def test_somebody_signs_up_without_cookies_or_scripts(stranger: Client, form: Form) -> None:
    answer = post(stranger, form, first_name="Ann")
    assert (answer.status_code, answer["Location"]) == (303, f"{path(form)}/thanks")
    assert "Thank you." in stranger.get(answer["Location"]).content.decode()
    assert Subscriber.objects.get().first_name == "Ann"


def test_a_mistake_is_said_beside_what_was_typed(stranger: Client, form: Form) -> None:
    answer = post(stranger, form, "ann@", first_name="Ann <b>")
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Email address is invalid" in page
    assert 'value="ann@"' in page and 'value="Ann &lt;b&gt;"' in page


def test_the_owner_chooses_where_it_leads(stranger: Client, account: Account) -> None:
    form = make_form(account, thanks_url="https://caves.example/thanks?a=1&b=2")
    assert post(stranger, form)["Location"] == "https://caves.example/thanks?a=1&b=2"
    assert "form-action 'self' https: http:" in stranger.get(path(form))["Content-Security-Policy"]
    other = make_form(account, thanks_text="Danke <b>")
    assert "Danke &lt;b&gt;" in stranger.get(f"{path(other)}/thanks").content.decode()


@pytest.mark.parametrize("status", [Form.Status.ARCHIVED, Form.Status.TRASHED])
def test_a_closed_form_says_so_and_takes_nobody(stranger: Client, form: Form, status: Form.Status) -> None:
    forms.set_status(form, status)
    for answer in (stranger.get(path(form)), post(stranger, form)):
        assert answer.status_code == 410
        assert "This form is closed" in answer.content.decode()
    assert send(stranger, form, {"email_address": ANN}).json() == {"errors": [door.CLOSED]}
    assert stranger.get(f"{path(form)}/index.js").status_code == 200
    assert not Subscriber.objects.exists()


def test_a_form_that_never_was_is_not_found(stranger: Client, db: None) -> None:
    for uid in ("0000000000", "x" * 300, "é", "%00"):
        assert stranger.get(f"/f/{uid}").status_code == 404
        assert stranger.post(f"/f/{uid}", {"email_address": ANN}).status_code == 404
    for rest in ("thanks", "index.js"):
        assert stranger.get(f"/f/0000000000/{rest}").status_code == 404


# --- Scripts ----------------------------------------------------------------------------------------------------------


def test_a_script_is_answered_in_json_from_any_site(stranger: Client, form: Form) -> None:
    answer = send(stranger, form, {"email_address": ANN, "first_name": "Ann"}, Origin="https://caves.example")
    assert answer.json() == {"status": "success", "message": forms.USUAL["thanks_text"], "redirect_url": None}
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (200, "*")
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert Subscriber.objects.get().first_name == "Ann"


def test_a_browser_asks_before_a_script_may(stranger: Client, form: Form) -> None:
    answer = stranger.options(path(form), headers={"Access-Control-Request-Method": "POST"})
    assert answer.status_code == 204
    assert (answer["Access-Control-Allow-Origin"], answer["Access-Control-Allow-Methods"]) == (
        "*",
        "GET, POST, OPTIONS",
    )
    assert "Content-Type" in answer["Access-Control-Allow-Headers"]


def test_a_form_that_accepts_json_gets_it(stranger: Client, form: Form) -> None:
    answer = stranger.post(path(form), {"email_address": "ann"}, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()) == (422, {"errors": ["Email address is invalid"]})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("[", 400), ("[1]", 400), ('"x"', 400), ("\xff".encode("latin-1"), 400), ("[" * 5000, 400),
        ("{}", 422), ('{"email_address": 1}', 422), ('{"email_address": {"a": "b"}}', 422),
        ('{"email_address": "ann@example.org", "fields": []}', 200),
        ('{"email_address": "ann@example.org", "fields": 3}', 422),
        ('{"email_address": "ann@example.org", "first_name": "\\u0000"}', 422),
        ('{"email_address": "ann@example.org", "first_name": "\\ud800"}', 422),
        ('{"email_address": "ann@example.org", "referrer": 7, "utm_source": ["x"]}', 200),
    ],
)  # fmt: skip
def test_whatever_a_script_sends_is_answered(stranger: Client, form: Form, body: Any, status: int) -> None:
    assert send(stranger, form, body).status_code == status


def test_its_script_puts_the_form_into_a_page(stranger: Client, account: Account) -> None:
    form = make_form(account, heading="</script>'\"", button="Ja")
    answer = stranger.get(f"{path(form)}/index.js")
    text = answer.content.decode()
    assert answer["Content-Type"] == "text/javascript; charset=utf-8"
    assert (answer["Cross-Origin-Resource-Policy"], answer["Access-Control-Allow-Origin"]) == ("cross-origin", "*")
    assert json.dumps("</script>'\"") in text and f"/f/{form.uid}" in text
    assert not answer.cookies


# --- Nobody learns who is on the list ---------------------------------------------------------------------------------


def put_on_file(account: Account, state: str) -> None:
    if state != "nobody":
        left = {"canceled_at": MONDAY_9} if state == "cancelled" else {}
        make_subscriber(account, email_address=ANN, state=state, **left)


@pytest.mark.parametrize("opt_in", ["single", "double"])
@pytest.mark.parametrize("state", OPEN_STATES)
def test_everybody_gets_the_same_answer(stranger: Client, account: Account, state: str, opt_in: str) -> None:
    form = make_form(account, opt_in=opt_in)
    put_on_file(account, state)
    for number in range(3):
        answer = post(stranger, form, first_name=f"Ann {number}")
        assert (answer.status_code, answer["Location"], answer.content) == (303, f"{path(form)}/thanks", b"")
        said = send(stranger, form, {"email_address": ANN})
        assert (said.status_code, said.json()["message"]) == (200, forms.USUAL["thanks_text"])
        assert told(answer) == told(post(stranger, form, f"new{number}@example.org"))
    assert Notice.objects.filter(email_address=ANN).count() <= 1


def told(answer: Any) -> dict[str, str]:
    """All headers but the id that every answer has of its own."""
    return {name: value for name, value in answer.headers.items() if name != "X-Request-Id"}


def test_a_stranger_reads_nothing_of_who_is_on_file(stranger: Client, account: Account, form: Form) -> None:
    make_subscriber(account, email_address=ANN, first_name="Annabel")
    post(stranger, form)
    assert "Annabel" not in stranger.get(path(form)).content.decode()


# --- Robots -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed", [{door.HONEYPOT: "x"}, {"first_name": "Win https://bad.example"}, {"first_name": "www.bad.example"}]
)
def test_a_robot_is_thanked_and_nothing_happens(stranger: Client, form: Form, typed: dict[str, str]) -> None:
    like_everybody = post(stranger, form, "bob@example.org")
    Subscriber.objects.all().delete()
    answer = post(stranger, form, **typed)
    assert (answer.status_code, answer["Location"]) == (303, like_everybody["Location"])
    assert send(stranger, form, {"email_address": ANN, **typed}).status_code == 200
    assert not Subscriber.objects.exists()


def stamp_of(browser: Client, form: Form) -> str:
    return str(browser.get(path(form)).context["hidden"][door.STAMP])


def test_who_fills_in_the_page_in_no_time_is_a_robot(stranger: Client, form: Form, settings: Any) -> None:
    settings.DRIPSTONE_RATE_LIMITS = (600, 3000)
    assert post(stranger, form, at=stamp_of(stranger, form)).status_code == 303
    assert not Subscriber.objects.exists()


@pytest.mark.parametrize("seconds", [2, 3600, 10**7])
def test_who_takes_their_time_is_not(stranger: Client, form: Form, settings: Any, seconds: int) -> None:
    settings.DRIPSTONE_RATE_LIMITS = (600, 3000)
    form_id, milliseconds = signing.read(door._KIND, stamp_of(stranger, form)) or (0, 0)
    post(stranger, form, at=signing.make(door._KIND, form_id, milliseconds - seconds * 1000))
    assert Subscriber.objects.exists()


@pytest.mark.parametrize("stamp", ["", "x", "AAAA"])
def test_a_page_on_another_site_has_no_stamp(stranger: Client, form: Form, settings: Any, stamp: str) -> None:
    settings.DRIPSTONE_RATE_LIMITS = (600, 3000)
    post(stranger, form, at=stamp)
    assert Subscriber.objects.exists()


# --- Limits -----------------------------------------------------------------------------------------------------------


def test_a_network_signs_up_a_hundred_people_in_an_hour(stranger: Client, form: Form, settings: Any) -> None:
    settings.DRIPSTONE_RATE_LIMITS = (600, 3000)
    statuses = [post(stranger, form, f"a{number}@example.org").status_code for number in range(103)]
    assert statuses == [303] * 100 + [429] * 3
    answer = post(stranger, form, "b@example.org", first_name="Ann")
    assert answer["Retry-After"] == "300"
    assert door.TOO_MANY["network"] in answer.content.decode()
    assert 'value="Ann"' in answer.content.decode(), "what was typed is there for another try"
    assert Subscriber.objects.count() == 100
    elsewhere = stranger.post(path(form), {"email_address": ANN}, REMOTE_ADDR="198.51.100.9")
    assert elsewhere.status_code == 303


def test_a_form_takes_as_many_as_its_owner_says(stranger: Client, account: Account, settings: Any) -> None:
    settings.DRIPSTONE_RATE_LIMITS = (600, 3000)
    form = make_form(account, hourly_limit=3)
    statuses = [
        stranger.post(path(form), {"email_address": f"a{n}@example.org"}, REMOTE_ADDR=f"198.51.100.{n}").status_code
        for n in range(5)
    ]
    assert statuses == [303, 303, 303, 429, 429]
    form.refresh_from_db()
    assert form.crowded_at is not None
    assert post(stranger, make_form(account)).status_code == 303, "another form is not meant"


def test_nonsense_fills_nobodys_hour(stranger: Client, account: Account, settings: Any) -> None:
    settings.DRIPSTONE_RATE_LIMITS = (600, 3000)
    form = make_form(account, hourly_limit=1)
    for _ in range(3):
        post(stranger, form, "nonsense")
        post(stranger, form, **{door.HONEYPOT: "x"})
    assert post(stranger, form).status_code == 303


def test_an_hour_goes_by(form: Form, settings: Any) -> None:
    settings.DRIPSTONE_RATE_LIMITS = (600, 3000)
    form.hourly_limit = 1
    said = [limits.full(form, "192.0.2.1", MONDAY_9 + timedelta(minutes=minutes)) for minutes in (0, 30, 59, 60, 61)]
    assert said == ["", "form", "form", "", "form"]


@pytest.mark.parametrize(
    ("network", "part"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_a_network_is_what_one_owner_has(network: str, part: str) -> None:
    assert limits.part_of(network) == part


# --- Where people come from -------------------------------------------------------------------------------------------

SITE = "https://caves.example/blog?utm_source=blog&utm_term=x"


def origin() -> dict[str, Any]:
    return {
        name: value
        for name, value in FormSubscription.objects.values("referrer", *(f"utm_{one}" for one in forms.UTM))
        .get()
        .items()
        if value is not None
    }


def test_a_form_on_another_site_says_where_it_stands(stranger: Client, form: Form) -> None:
    stranger.post(path(form), {"email_address": ANN}, headers={"Referer": SITE})
    assert origin() == {"referrer": SITE, "utm_source": "blog", "utm_term": "x"}


def test_our_page_remembers_what_led_to_it(stranger: Client, form: Form) -> None:
    page = stranger.get(f"{path(form)}?utm_campaign=autumn&utm_source=mail", headers={"Referer": SITE})
    hidden = {name: value for name, value in page.context["hidden"].items() if name != door.STAMP}
    stranger.post(path(form), {"email_address": ANN, **hidden}, headers={"Referer": f"http://testserver{path(form)}"})
    expected = {"referrer": SITE, "utm_source": "mail", "utm_term": "x", "utm_campaign": "autumn"}
    assert origin() == expected


@pytest.mark.parametrize("referrer", ["javascript:alert(1)", "x" * 9000, "https://", "https://[::1", "\x00", "/here"])
def test_what_is_no_page_is_left_out(stranger: Client, form: Form, referrer: str) -> None:
    stranger.post(path(form), {"email_address": ANN, "referrer": referrer, "utm_source": "y" * 9000})
    assert origin() == {"utm_source": "y" * forms.MAX_UTM}


def test_files_and_a_thousand_members_do_no_harm(stranger: Client, form: Form) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    file = SimpleUploadedFile("x.png", b"x" * 1000)
    assert stranger.post(path(form), {"email_address": ANN, "first_name": file}).status_code in (303, 400)
    assert stranger.post(path(form), {f"a{n}": "x" for n in range(1500)}).status_code == 400


def test_the_first_origin_stays(stranger: Client, form: Form) -> None:
    stranger.post(path(form), {"email_address": ANN}, headers={"Referer": SITE})
    stranger.post(path(form), {"email_address": ANN}, headers={"Referer": "https://other.example/"})
    assert origin()["referrer"] == SITE
    assert SignUp.objects.count() == 0
