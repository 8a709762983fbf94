import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.senders.limits import Limit
from dripstone.senders.memory import MemorySender
from dripstone.senders.smtp.sender import SmtpSender
from dripstone.senders.urls import MailUrl
from dripstone.senders.ways import parse, sender_for


def test_it_reads_every_part_of_an_smtp_url() -> None:
    mail = parse("smtp://us%40er:p%2Fa%3Ass@mail.example.com:587?starttls=1&connections=4&verify=0&helo=me.example")
    assert mail == MailUrl(
        "smtp", "mail.example.com", 587, "us@er", "p/a:ss", 4, starttls=True, verify=False, helo="me.example"
    )


@pytest.mark.parametrize(("url", "port"), [("smtp://h", 25), ("smtps://h", 465), ("smtp://h:2525", 2525)])
def test_it_knows_the_usual_ports(url: str, port: int) -> None:
    assert parse(url).port == port


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "must start with one of: inbox://"),
        ("http://x", "smtp://"),
        ("smtp://", "needs a host name"),
        ("smtp://h:0", "port must be a number"),
        ("smtp://h:secret", "port must be a number"),
        ("smtp://user:secret/word@h", "percent-encoded"),
        ("smtp://user@h", "both a user name and a password"),
        ("smtp://h?conections=3", "unknown option 'conections'; known are: ca, connections"),
        ("smtp://h?connections=0", "connections must be a number from 1 to 1000"),
        ("smtp://h?connections=²", "connections must be a number"),
        ("smtp://h?per_second=0", "per_second must be a number from 1 to 100000"),
        ("smtp://h?per_day=many", "per_day must be a number"),
        ("smtp://h?connections_in_all=", "connections_in_all must be a number"),
        ("smtp://h?starttls=yes", "starttls must be 0 or 1"),
        ("smtps://h?starttls=1", "unknown option 'starttls'"),
        ("smtp://h/path", "does not belong"),
        ("inbox://host", "nothing after"),
        ("inbox://?x=1", "has none"),
        ("smtp://[::1", "not a URL"),
    ],
)
def test_a_wrong_url_gets_a_sentence_without_the_password(url: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(url)
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)


def test_limits_of_the_server_stand_in_its_url() -> None:
    mail = parse("smtp://user:pass@h:587?per_second=50&per_day=20000&connections_in_all=20")
    assert (mail.limit, mail.connections_in_all) == (Limit(50, 20000), 20)
    assert mail.server == "smtp://h:587"
    assert parse("smtp://h").limit.is_none


@given(st.text())
def test_any_text_is_a_url_or_a_sentence(text: str) -> None:
    for url in (text, f"smtp://{text}", f"smtp://h?{text}"):
        assert problem(url).startswith("DRIPSTONE_MAIL_URL")


def problem(url: str) -> str:
    try:
        parse(url)
    except ValueError as error:
        return str(error)
    return "DRIPSTONE_MAIL_URL is fine"


def test_the_password_is_not_shown() -> None:
    assert "hunter2" not in repr(parse("smtp://joe:hunter2@h"))


def test_it_makes_the_sender_that_the_url_names() -> None:
    assert isinstance(sender_for("smtp://h"), SmtpSender)
    assert sender_for("memory://a") is MemorySender.named("a")
    with pytest.raises(ValueError, match="ca file"):
        sender_for("smtps://h?ca=/nowhere.pem")
