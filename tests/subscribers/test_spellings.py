"""One mailbox is one person, whatever its spelling (docs/decisions/addresses.md)."""

import unicodedata
from importlib import import_module
from typing import Any

import idna
import pytest
from django.db import connection
from hypothesis import assume, given
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.content import mime
from dripstone.engine import hold_back
from dripstone.given import is_address, plain_address
from dripstone.ops import doctor
from dripstone.senders import inbox
from dripstone.senders.models import CapturedMessage
from dripstone.subscribers import spellings
from dripstone.subscribers.models import Subscriber
from tests import factories
from tests.api.caller import Caller
from tests.api.conftest import alice, mallory  # noqa: F401  (fixtures)

locals_ = st.text("abcxyzé1._+", min_size=1, max_size=12) | st.text(
    st.characters(categories=["L", "N"], max_codepoint=0x24F), min_size=1, max_size=6
)
labels = st.text("abcßäöüéñçøß例え1-", min_size=1, max_size=8)
domains = st.lists(labels, min_size=2, max_size=3).map(".".join)


def respelt(local: str, domain: str, draw: Any) -> str:
    """The same mailbox, written otherwise."""
    for change in draw(st.lists(st.sampled_from(["A-label", "NFD", "capitals", "full stop", "dot"]), max_size=4)):
        match change:
            case "A-label":
                domain = idna.encode(domain.removesuffix("."), uts46=True).decode()
            case "NFD":
                local, domain = unicodedata.normalize("NFD", local), unicodedata.normalize("NFD", domain)
            case "capitals":
                domain = domain.replace("ä", "Ä").replace("x", "X").replace("a", "A")
            case "full stop":
                domain = domain.removesuffix(".").replace(".", "\u3002")
            case "dot":
                domain = domain if domain.endswith(".") else domain + "."
    blank = draw(st.sampled_from(["", " ", "\t", "\u00a0"]))
    return f"{blank}{local}@{domain}{blank}"


@given(locals_, domains, st.data())
def test_all_spellings_of_a_mailbox_are_kept_as_one(local: str, domain: str, data: Any) -> None:
    plain = plain_address(f"{local}@{domain}")
    assume(is_address(plain))
    assert plain_address(respelt(local, domain, data.draw)) == plain


@given(st.text(max_size=20) | st.builds("{}@{}".format, locals_, domains) | st.emails())
def test_the_kept_spelling_is_its_own(text: str) -> None:
    plain = plain_address(text)
    assert plain_address(plain) == plain


@given(locals_, domains)
def test_mail_goes_to_the_domain_that_was_written(local: str, domain: str) -> None:
    plain = plain_address(f"{local}@{domain}")
    assume(is_address(plain))
    kept = plain.rpartition("@")[2]
    assert idna.encode(kept, uts46=True) == idna.encode(domain.lower(), uts46=True)
    if local.isascii():
        assert mime.mail_address(plain) == f"{plain.rpartition('@')[0]}@{idna.encode(kept, uts46=True).decode()}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a@strasse.de", "a@straße.de"),
        ("a@fass.de", "a@faß.de"),
        ("a@x.de", "\uff41@x.de"),
        ("a@x.de", "á@x.de"),
        ("a.b@x.de", "ab@x.de"),
        ("a+b@x.de", "a@x.de"),
    ],
)
def test_other_mailboxes_stay_others(one: str, other: str) -> None:
    assert is_address(one)
    assert is_address(other)
    assert plain_address(one) != plain_address(other)


@pytest.mark.parametrize(
    "text", ["", "@", "a@", "a@xn--", "a@.", "a@x..", "a b@x.de", "\ud800@x.de", "xn--@xn--\0", "ä" * 300]
)
def test_what_is_no_address_stays_none(text: str) -> None:
    assert not is_address(plain_address(text))


SPELLINGS = [
    "a@käse.example",
    "a@xn--kse-qla.example",
    " A@KÄSE.example ",
    "a@ka\u0308se.example.",
    "a@XN--KSE-QLA.Example",
]


@pytest.mark.django_db
@pytest.mark.parametrize("first", SPELLINGS)
def test_the_api_knows_a_person_by_any_spelling(alice: Caller, first: str) -> None:  # noqa: F811
    status, answer = alice.post("/v4/subscribers", {"email_address": first})
    assert (status, answer["subscriber"]["email_address"]) == (201, "a@käse.example")
    person = answer["subscriber"]["id"]
    tag = alice.post("/v4/tags", {"name": "VIP"})[1]["tag"]["id"]
    for spelling in SPELLINGS:
        status, answer = alice.post("/v4/subscribers", {"email_address": spelling, "first_name": "Ann"})
        assert (status, answer["subscriber"]["id"]) == (200, person)
        found = alice.get("/v4/subscribers", email_address=spelling)[1]["subscribers"]
        assert [each["id"] for each in found] == [person]
        status, answer = alice.post(f"/v4/tags/{tag}/subscribers", {"email_address": spelling})
        assert (status in (200, 201), answer["subscriber"]["id"]) == (True, person)
        assert alice.put(f"/v4/subscribers/{person}", {"email_address": spelling})[0] == 200
    assert Subscriber.objects.count() == 1


@pytest.mark.django_db
def test_nobody_gets_the_mailbox_of_another_in_another_spelling(alice: Caller) -> None:  # noqa: F811
    factories.make_subscriber(alice.account, email_address="a@käse.example")
    other = factories.make_subscriber(alice.account, email_address="b@example.com")
    taken = (422, {"errors": ["Email address has already been taken"]})
    for spelling in SPELLINGS:
        assert alice.put(f"/v4/subscribers/{other.pk}", {"email_address": spelling}) == taken


@pytest.mark.django_db
def test_the_inbox_is_asked_in_any_spelling(alice: Caller, now: Any) -> None:  # noqa: F811
    CapturedMessage.objects.create(account=alice.account, to="a@käse.example", sent_at=now, raw=b"")
    for spelling in SPELLINGS:
        assert inbox.messages(alice.account.pk, spelling).count() == 1


def test_limits_of_a_domain_are_found_by_its_ascii_name() -> None:
    for address in ("a@käse.example", "a@KÄSE.example", "ä@xn--kse-qla.example"):
        assert hold_back._domain(address) == "xn--kse-qla.example"
    assert hold_back._domain("a@Example.com") == "example.com"
    assert hold_back._domain("a@ä..com") == "ä..com"


# --- Rows of before -----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_upgrade_spells_alike_and_merges_nobody(alice: Caller) -> None:  # noqa: F811
    bob: Account = factories.make_account("Bob")
    made = [
        factories.make_subscriber(owner, email_address=address)
        for owner, address in [
            (alice.account, "a@xn--kse-qla.example"),
            (alice.account, "b@käse.example"),
            (alice.account, "b@xn--kse-qla.example"),
            (bob, "b@xn--kse-qla.example"),
            (bob, "plain@example.com"),
            (bob, "xn--no@address@x"),
        ]
    ]
    migration = import_module("dripstone.subscribers.migrations.0006_addresses_in_one_spelling")
    with connection.schema_editor() as editor:
        migration.spell_alike(None, editor)
    assert [Subscriber.objects.get(pk=person.pk).email_address for person in made] == [
        "a@käse.example",
        "b@käse.example",
        "b@xn--kse-qla.example",
        "b@käse.example",
        "plain@example.com",
        "xn--no@address@x",
    ]
    assert list(spellings.misspelt()) == [(alice.account.pk, made[2].pk, made[1].pk)]
    result = doctor._spellings()
    assert not result.is_well
    assert (
        f"subscriber {made[2].pk} of account {alice.account.pk} has the mailbox of subscriber {made[1].pk}"
        in result.sentence
    )


@pytest.mark.django_db
def test_all_is_well_with_addresses_in_one_spelling(alice: Caller) -> None:  # noqa: F811
    factories.make_subscriber(alice.account, email_address="a@käse.example")
    assert doctor._spellings().is_well
