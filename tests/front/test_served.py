"""What the front hands to Django and back, over real sockets."""

import json
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urlsplit

import psycopg
import pytest

from tests.crash.doomed import until
from tests.front.served import Web, environment, held, raw, run, serving
from tests.images.making import noise, written

N_THREADS = 4  # of the `web` fixture


def test_pages_calls_and_files_come_through(web: Web) -> None:
    assert web.ask("GET", "/v4/account").json["account"]["name"] == "served"
    assert b"<form" in web.ask("GET", "/sign-in").content
    style = web.ask("GET", "/static/web/dripstone.css")
    assert style.status == 200 and len(style.content) == int(style.headers["Content-Length"])
    assert web.ask("POST", "/v4/tags", {"name": "Ünïcode ✓"}).json["tag"]["name"] == "Ünïcode ✓"
    assert web.ask("GET", "/v4/subscribers?email_address=a%2Bb%40example.org").json["subscribers"] == []


def test_head_has_no_body_and_its_length(web: Web) -> None:
    answer = web.ask("HEAD", "/sign-in")
    assert answer.status == 200 and answer.content == b"" and int(answer.headers["Content-Length"]) > 500


@pytest.mark.parametrize("path", ["/%ff%fe", "//v4/account", "/v4/%00", "/%2e%2e/etc", "/v4/tags/%E2%9C%93"])
def test_odd_paths_are_not_found(web: Web, path: str) -> None:
    assert web.ask("GET", path).status == 404


def test_scripts_and_styles_wait_for_no_call(web: Web, fresh_database: str) -> None:
    """All threads wait for a table that somebody holds."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(fresh_database) as holding, psycopg.connect(fresh_database, autocommit=True) as looking:
        holding.execute("LOCK TABLE accounts_apikey")
        with ThreadPoolExecutor(N_THREADS * 2) as callers:
            calls = [callers.submit(web.ask, "GET", "/v4/account") for _ in range(N_THREADS * 2)]
            until(lambda: looking.execute(waiting).fetchone() == (N_THREADS,))
            assert web.ask("GET", "/static/web/dripstone.css", timeout=5).status == 200
            holding.rollback()
        assert {call.result().status for call in calls} == {200}


def test_odd_request_lines_are_no_fault_of_ours(web: Web) -> None:
    for line in (b"OPTIONS * HTTP/1.1", b"CONNECT example.org:443 HTTP/1.1", b"GET http://x/v4/account HTTP/1.1"):
        with web.connect(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n") as connection:
            assert raw(connection).split()[1][:1] == b"4"


def test_a_connection_serves_one_call_after_another(web: Web) -> None:
    with web.connect() as connection:
        for _ in range(3):
            connection.sendall(web.head("GET", "/v4/account"))
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        connection.sendall(web.head("POST", "/v4/tags", "Content-Type: application/json", "Content-Length: 14"))
        connection.sendall(b'{"name":"one"}')
        assert connection.recv(65_536).split()[1] in (b"200", b"201")


@pytest.mark.parametrize("name", ["X_Kit_Api_Key", "X-Kit_Api-Key"])
def test_a_name_with_an_underscore_is_no_header(web: Web, name: str) -> None:
    head = web.head("GET", "/v4/account", f"{name}: {web.key}", "Connection: close", key="")
    with web.connect(head) as connection:
        assert raw(connection).startswith(b"HTTP/1.1 401")


def test_a_header_that_comes_twice_is_one(web: Web) -> None:
    with web.connect(web.head("GET", "/v4/account", f"X-Kit-Api-Key: {web.key}", "Connection: close")) as connection:
        assert raw(connection).startswith(b"HTTP/1.1 401")  # "key,key"


def test_a_key_is_found_once_for_a_call_with_a_body(web: Web) -> None:
    """The front asks for keys it has not seen lately, and Django takes its answer."""
    for key in ("", "kit_nobody", web.key + "x"):
        answer = web.ask("POST", "/v4/tags", {"name": "x"}, {"X-Kit-Api-Key": key})
        assert (answer.status, answer.json) == (401, {"errors": ["The access token is invalid"]})
    bearer = {"X-Kit-Api-Key": "", "Authorization": f"Bearer {web.key}"}
    assert web.ask("POST", "/v4/tags", {"name": "by bearer"}, bearer).status in (200, 201)


def test_too_many_parameters_are_refused_on_pages_too(web: Web) -> None:
    query = "&".join(f"a{number}=1" for number in range(1_001))
    assert web.ask("GET", f"/sign-in?{query}").status == 400
    assert web.ask("GET", f"/v4/tags?{query}").status == 400


def test_files_are_taken_nowhere(web: Web) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + b"x" * 50_000 + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert web.ask("POST", "/sign-in", part, kind).status == 403  # no CSRF token
    assert web.ask("POST", "/u/nobodys-link", part, kind).status == 404


def test_a_large_form_is_read_from_somebody_who_is_signed_in(web: Web, fresh_database: str) -> None:
    """And from nobody else: strangers fill no memory."""
    picture = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n%b\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x", "Accept": "application/json"}
    large = picture % written(noise(500, 400))
    assert len(large) > 500_000
    for cookie in ("", "dripstone_session=nobodys; dripstone_csrf=x"):
        answer = web.ask("POST", "/images", large, kind | {"Cookie": cookie})
        assert answer.status == 403 and answer.headers["Connection"] == "close"
    cookies = signed_in(web, fresh_database)
    signed = kind | {"Cookie": "; ".join(f"{one.name}={one.value}" for one in cookies)}
    signed["X-CSRFToken"] = next(one.value or "" for one in cookies if one.name == "dripstone_csrf")
    answer = web.ask("POST", "/images", large, signed)
    assert answer.status == 201
    shown = web.ask("GET", urlsplit(answer.json["url"]).path)
    assert shown.status == 200 and shown.headers["Content-Type"] == "image/png"
    refused = web.ask("POST", "/images", b"x" * 10_100_000, signed)
    assert refused.status == 413 and b"10 MB" in refused.content


def signed_in(web: Web, database: str) -> CookieJar:
    password = json.loads(run(database, "users", "password", "served@example.org", "--json"))["password"]
    cookies = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    page = browser.open(f"http://127.0.0.1:{web.port}/sign-in").read().decode()
    token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    form = {"email": "served@example.org", "password": password, "csrfmiddlewaretoken": token}
    browser.open(f"http://127.0.0.1:{web.port}/sign-in", urlencode(form).encode())
    return cookies


def test_refusals_are_counted_like_all_answers(web: Web) -> None:
    assert web.ask("POST", "/v4/tags", b"x" * 1_000_001).status == 413
    metrics = web.ask("GET", "/metrics").content.decode()
    assert 'dripstone_request_seconds_count{area="api",status="4xx"}' in metrics


def test_a_taken_port_is_refused(web: Web, fresh_database: str) -> None:
    """granian would share it with the other server in silence."""
    second = subprocess.run(
        [sys.executable, "-m", "dripstone", "web"],
        env=environment(fresh_database, DRIPSTONE_PORT=str(web.port)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert f"Port {web.port} on 127.0.0.1 is in use by another program." in second.stderr


def test_it_stops_in_time_whatever_is_unfinished(fresh_database: str, web: Web) -> None:
    with serving(fresh_database, web.key) as other:
        begun = [
            other.head("POST", "/v4/tags", "Content-Length: 9"),
            other.head("POST", "/sign-in", "Content-Length: 9"),
        ]
        with held(other.connect(one) for one in [b"", b"GET / HT", *begun]):
            stopped = time.monotonic()
            other.process.terminate()
            assert other.process.wait(20) == 0
            assert time.monotonic() - stopped < 15


def test_json_stays_json(web: Web) -> None:
    assert json.loads(web.ask("GET", "/healthz").content)["status"] in ("ok", "not ready")


def test_a_token_is_given_out_to_strangers_and_its_calls_have_bodies(web: Web, fresh_database: str) -> None:
    def made(*arguments: str) -> dict[str, str]:
        answer: dict[str, str] = json.loads(run(fresh_database, *arguments, "--json"))
        return answer

    account = made("accounts", "create", "--name", "Apps", "--email", "apps@example.com")
    at = ("--account", str(account["account_id"]))
    app = made("apps", "create", "--name", "Shop", "--redirect-uri", "http://localhost/cb", *at)
    given = made("apps", "allow", str(app["id"]), "--user", "apps@example.com", *at)

    asked = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    asked |= {name: app[name] for name in ("client_id", "client_secret")}
    for path in ("/oauth/token", "/v4/oauth/token"):  # the second one as if the answer to the first were lost
        answer = web.ask("POST", path, asked, {"X-Kit-Api-Key": ""})
        assert answer.status == 200, answer.content
        bearer = {"X-Kit-Api-Key": "", "Authorization": f"Bearer {answer.json['access_token']}"}
        for _ in range(2):  # looked up before its body is read; the second time remembered
            assert web.ask("POST", "/v4/tags", {"name": "One"}, bearer).status in (200, 201)
    assert web.ask("POST", "/v4/tags", {"name": "One"}, bearer | {"Authorization": "Bearer oat_no"}).status == 401
    assert web.ask("POST", "/v4/oauth/token", b"x" * 65_000, {"X-Kit-Api-Key": ""}).status == 413
