"""The way out to strangers, against real sockets: never to this machine or its network, never for long."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from dripstone import outbound
from dripstone.errors import Invalid
from tests import receivers
from tests.receivers import Got, receiver

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def allowed(settings: Any) -> None:
    settings.DRIPSTONE_CALL_HOSTS = frozenset({("127.0.0.1", None), ("receiver.test", None)})


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(outbound, "WHOLE_SECONDS", 0.4)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:8000/x",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://a.localhost/",
        "http://intranet/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://198.18.0.1/",
        "http://[::1]/",
        "http://[::]/",
        "http://[fe80::1]/",
        "http://[fc00::1]/",
        "http://[ff02::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[::ffff:8.8.8.8]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b:1::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2001:db8::1]/",
        "http://１２７.０.０.１/",
    ],
)
def test_a_private_address_is_refused_at_the_door(url: str) -> None:
    with pytest.raises(Invalid, match="url must be public"):
        outbound.check(url)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://example.com/", "url must begin with https:// or http://"),
        ("javascript:alert(1)", "url must begin with https:// or http://"),
        ("//example.com/x", "url must begin with https:// or http://"),
        ("https://", "url must be an address on the web, such as https://example.com/hooks"),
        ("https://exa mple.com/", "url must not contain blanks, quotes, backslashes or control characters"),
        ("https://example.com/\r\nX: y", "url must not contain blanks, quotes, backslashes or control characters"),
        ("https://example.com\\@10.0.0.1/", "url must not contain blanks, quotes, backslashes or control characters"),
        ("https://me:secret@example.com/", "url must not contain a user name or password"),
        ("https://example.com/#a", "url must not contain a #"),
        ("https://example.com:0/", "url must be an address on the web, such as https://example.com/hooks"),
        ("https://example.com:99999/", "url must be an address on the web, such as https://example.com/hooks"),
        ("https://[::1/", "url must be an address on the web, such as https://example.com/hooks"),
        ("https://exa_mple..com/", "url must be an address on the web, such as https://example.com/hooks"),
        ("https://127.1/", "url must be an address on the web, such as https://example.com/hooks"),
        ("https://0177.0.0.1/", "url must be an address on the web, such as https://example.com/hooks"),
        ("https://0x7f.0.0.1/", "url must be an address on the web, such as https://example.com/hooks"),
        ("https://2130706433/", "url must be an address on the web, such as https://example.com/hooks"),
        ("https://0x7f000001/", "url must be an address on the web, such as https://example.com/hooks"),
        ("https://127.0.0.1%2eexample.com/", "url must be an address on the web, such as https://example.com/hooks"),
        ("https://example.com/" + "a" * 2000, "url is too long (maximum is 2000 characters)"),
    ],
)
def test_what_is_no_sound_address_is_refused_with_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        outbound.check(url)
    assert refused.value.problems == [("url", sentence)]


def test_names_are_told_to_servers_in_ascii() -> None:
    target = outbound.check("https://Bücher.Example./päth?q=ä b".replace(" ", "%20"))
    assert (target.host, target.port, target.path) == ("xn--bcher-kva.example", 443, "/p%C3%A4th?q=%C3%A4%20b")
    assert outbound.check("http://example.com:8080").authority == "example.com:8080"
    assert outbound.check("https://[2606:4700::1]/").authority == "[2606:4700::1]"


@given(st.ip_addresses())
def test_nothing_is_public_that_python_calls_private(address: outbound.Address) -> None:
    if outbound.is_public(address) and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert address.is_global and not address.is_multicast and not address.is_reserved


@given(st.ip_addresses(v=4))
def test_an_address_is_as_public_as_the_one_that_a_gateway_makes_of_it(address: ipaddress.IPv4Address) -> None:
    translated = ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address))
    assert outbound.is_public(translated) == outbound.is_public(address)
    assert not outbound.is_public(ipaddress.IPv6Address(f"::ffff:{address}"))


def test_hosts_that_the_setting_names_may_be_private(settings: Any) -> None:
    settings.DRIPSTONE_CALL_HOSTS = frozenset({("localhost", 9000), ("10.0.0.1", None)})
    assert outbound.check("http://localhost:9000/").may_be_private
    assert outbound.check("http://10.0.0.1:1/").may_be_private
    with pytest.raises(Invalid):
        outbound.check("http://localhost:9001/")


@pytest.mark.usefixtures("allowed")
def test_a_call_is_a_post_with_our_headers_and_its_answer() -> None:
    with receiver(receivers.answer(201, b"thanks", retry_after="7")) as one:
        answer = outbound.post(f"{one.url}?a=b", b'{"a": 1}', {**JSON, "X-Kit-Delivery": "5"})
    (got,) = one.got
    assert (got.path, got.body) == ("/hooks?a=b", b'{"a": 1}')
    assert got.headers["host"] == f"127.0.0.1:{one.port}"
    assert got.headers["x-kit-delivery"] == "5"
    assert got.headers["user-agent"].startswith("Kit-Webhooks/2.0")
    assert (answer.status, answer.body, answer.retry_after) == (201, b"thanks", "7")


@pytest.mark.usefixtures("allowed")
def test_a_line_keeps_its_connection_and_makes_a_new_one_when_the_server_has_closed_it() -> None:
    said: list[bytes] = []

    def twice(got: Got, sock: socket.socket) -> bytes | None:
        said.append(got.body)
        if len(said) == 3:
            return None  # closes without an answer
        return receivers.OK

    with receiver(twice) as one, outbound.Line(one.url) as line:
        assert [line.post(body, JSON).status for body in (b"1", b"2", b"3")] == [200, 200, 200]
    assert said == [b"1", b"2", b"3", b"3"]
    assert one.n_connections == 2


@pytest.mark.usefixtures("allowed")
def test_an_answer_that_closes_its_connection_is_read_to_its_end() -> None:
    ends = receiver(lambda got, sock: sock.sendall(b"HTTP/1.0 200 OK\r\n\r\nto the end"))
    with ends as one, outbound.Line(one.url) as line:
        assert line.post(b"1", JSON).body == b"to the end"
        assert line.post(b"2", JSON).body == b"to the end"


@pytest.mark.usefixtures("allowed")
def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with receiver() as private, receiver(receivers.answer(302, location=private.url)) as one:
        assert outbound.post(one.url, b"{}", JSON).status == 302
    assert private.got == []


@pytest.mark.usefixtures("allowed", "hurried")
@pytest.mark.parametrize("says", [receivers.drip, receivers.silence])
def test_a_call_ends_in_time_however_slow_the_answer(says: Any) -> None:
    begun = time.monotonic()
    with receiver(says) as one, pytest.raises(outbound.Failed) as failed:
        outbound.post(one.url, b"{}", JSON)
    assert failed.value.reason == "timed_out"
    assert time.monotonic() - begun < 5


@pytest.mark.usefixtures("allowed", "hurried")
def test_a_receiver_that_does_not_read_holds_nobody_up() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, pytest.raises(outbound.Failed) as failed:
        outbound.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", b"x" * 20_000_000, JSON)
    assert failed.value.reason == "timed_out"


@pytest.mark.usefixtures("allowed")
def test_of_a_huge_answer_only_the_beginning_is_read() -> None:
    with receiver(receivers.flood) as one:
        answer = outbound.post(one.url, b"{}", JSON)
    assert answer.body == b"x" * outbound.LONGEST_ANSWER


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n"]
)
def test_what_is_no_http_is_a_failure(said: bytes) -> None:
    with receiver(said) as one, pytest.raises(outbound.Failed) as failed:
        outbound.post(one.url, b"{}", JSON)
    assert failed.value.reason == "broken_off"


@pytest.mark.usefixtures("allowed")
def test_a_port_where_nobody_listens_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(outbound.Failed) as failed:
        outbound.post(f"http://127.0.0.1:{port}/", b"{}", JSON)
    assert (failed.value.reason, failed.value.sentence) == (
        "not_reached",
        "There was no connection: connection refused",
    )


# --- Names --------------------------------------------------------------------------------------------------------


class Names:
    """A name server of the test's: each look-up gets the next answer, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["::1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]]
)
def test_a_name_that_leads_to_a_private_address_is_not_called(found: list[str]) -> None:
    with receiver() as one, pytest.raises(outbound.Failed) as failed:
        outbound.post(f"http://rebound.example:{one.port}/", b"{}", JSON, Names(found))
    assert failed.value.reason == "private"
    assert one.n_connections == 0


def test_a_name_is_looked_up_once_per_connection_so_that_it_cannot_be_another_one_meanwhile(settings: Any) -> None:
    """Checked is what is connected to: were the name asked again, it would lead to this machine."""
    names = Names(["192.0.2.1"], ["127.0.0.1"])
    with receiver() as one, pytest.raises(outbound.Failed) as failed:
        outbound.post(f"http://rebound.example:{one.port}/", b"{}", JSON, names)
    assert failed.value.reason == "private"  # 192.0.2.0/24 is for documentation
    assert names.asked == ["rebound.example"]
    settings.DRIPSTONE_CALL_HOSTS = frozenset({("receiver.test", None)})
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    with receiver() as one:
        assert outbound.post(f"http://receiver.test:{one.port}/", b"{}", JSON, names).status == 200
    assert names.asked == ["receiver.test"]
    assert one.got[0].headers["host"] == f"receiver.test:{one.port}"


def test_a_name_that_became_private_is_not_called_when_a_kept_connection_is_lost() -> None:
    """A new connection looks the name up again, and checks it again."""
    target = "http://rebound.example/"
    line = outbound.Line(target, Names(["127.0.0.1"]))
    with pytest.raises(outbound.Failed) as failed:
        line.post(b"{}", JSON)
    assert failed.value.reason == "private"


def test_a_name_that_leads_nowhere_is_a_failure() -> None:
    def nowhere(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(outbound.Failed) as failed:
        outbound.post("http://nobody.example/", b"{}", JSON, nowhere)
    assert failed.value.reason == "unknown_host"


@pytest.mark.usefixtures("hurried")
def test_a_name_server_that_does_not_answer_holds_nobody_up() -> None:
    asked = []

    def slow(host: str, port: int) -> list[str]:
        asked.append(host)
        time.sleep(1.0)
        return []

    begun = time.monotonic()
    with pytest.raises(outbound.Failed) as failed:
        outbound.post("http://nobody.example/", b"{}", JSON, slow)
    assert failed.value.reason == "unknown_host"
    assert asked and time.monotonic() - begun < 0.9


@pytest.mark.usefixtures("allowed")
def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as proxy, receiver() as one:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert outbound.post(one.url, b"{}", JSON).status == 200
    assert proxy.got == [] and len(one.got) == 1


# --- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[trustme.CA]:
    """An authority that the machine trusts."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    outbound._trust.cache_clear()
    yield made
    outbound._trust.cache_clear()


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.usefixtures("allowed")
def test_tls_is_verified_for_the_name_and_not_for_the_address(authority: trustme.CA) -> None:
    with receiver(tls=server_context(authority, "receiver.test")) as one:
        url = f"https://receiver.test:{one.port}/"
        assert outbound.post(url, b"{}", JSON, Names(["127.0.0.1"])).status == 200


@pytest.mark.usefixtures("allowed")
def test_the_certificate_of_another_name_is_refused(authority: trustme.CA) -> None:
    with receiver(tls=server_context(authority, "other.test")) as one, pytest.raises(outbound.Failed) as failed:
        outbound.post(f"https://receiver.test:{one.port}/", b"{}", JSON, Names(["127.0.0.1"]))
    assert failed.value.reason == "insecure"
    assert one.got == []


@pytest.mark.usefixtures("allowed", "authority")
def test_a_certificate_of_an_unknown_authority_is_refused() -> None:
    stranger = trustme.CA()
    with receiver(tls=server_context(stranger, "receiver.test")) as one, pytest.raises(outbound.Failed) as failed:
        outbound.post(f"https://receiver.test:{one.port}/", b"{}", JSON, Names(["127.0.0.1"]))
    assert failed.value.reason == "insecure"
    assert one.got == []


@pytest.mark.usefixtures("allowed", "authority")
def test_a_server_without_tls_is_refused_where_https_was_asked_for() -> None:
    with receiver(b"HTTP/1.1 400 Bad Request\r\n\r\n") as one, pytest.raises(outbound.Failed) as failed:
        outbound.post(f"https://receiver.test:{one.port}/", b"{}", JSON, Names(["127.0.0.1"]))
    assert failed.value.reason in ("insecure", "not_reached")


@pytest.mark.usefixtures("allowed", "authority", "hurried")
def test_a_server_that_never_shakes_hands_holds_nobody_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(outbound.Failed) as failed:
        outbound.post(f"https://receiver.test:{listener.getsockname()[1]}/", b"{}", JSON, Names(["127.0.0.1"]))
    assert failed.value.reason in ("not_reached", "timed_out")
