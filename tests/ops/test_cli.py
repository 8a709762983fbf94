import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from typer.testing import CliRunner

from dripstone.accounts import invitations, verbs
from dripstone.accounts.models import Account, ApiKey, Invitation, User
from dripstone.accounts.verbs import account_for_key
from dripstone.errors import Invalid, NotFound
from dripstone.ops import welcome
from dripstone.ops.cli import app

# Each command opens and closes the database by itself, as in life: no transaction can be around it.
pytestmark = pytest.mark.django_db(transaction=True)


def dripstone(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.stdout


def alice() -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        dripstone("accounts", "create", "--name", "Alice", "--email", "alice@example.com", "--time-zone",
                  "Europe/Paris", "--json")
    )  # fmt: skip
    return answer


def test_an_account_is_made_with_a_key_that_opens_it() -> None:
    made = alice()
    assert set(made) == {"account_id", "api_key", "user_email", "password"}
    assert account_for_key(made["api_key"]) == Account.objects.get(pk=made["account_id"], time_zone="Europe/Paris")


def test_a_worker_does_not_start_with_a_mail_url_that_cannot_be_read(settings: Any) -> None:
    settings.DRIPSTONE_MAIL_URL = "mailto:x"
    result = CliRunner().invoke(app, ["worker"])
    assert (result.exit_code, result.stderr.split(":")[0]) == (1, "dripstone")
    assert "must start with one of: inbox://" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    "url", ["smtp://u:p@[::1", "smtp://h:notaport", "smtp://h?connections=" + "9" * 5000, "smtp://"]
)
def test_a_worker_says_in_a_sentence_what_is_wrong_with_a_mail_url(settings: Any, url: str) -> None:
    settings.DRIPSTONE_MAIL_URL = url
    result = CliRunner().invoke(app, ["worker"])
    assert (result.exit_code, result.stderr.split(":")[0]) == (1, "dripstone")
    assert "DRIPSTONE_MAIL_URL" in result.stderr
    assert "u:p" not in result.stderr


@pytest.mark.parametrize("data", ["/proc/none", "/dev/null/x", "/dev/null"])
def test_a_worker_that_cannot_write_its_flight_log_does_not_start(settings: Any, data: str) -> None:
    settings.DRIPSTONE_DATA = Path(data)
    result = CliRunner().invoke(app, ["worker"])
    assert result.exit_code == 1
    assert f"dripstone: Workers cannot write in {data}" in " ".join(result.stderr.split())


@pytest.mark.parametrize("command", ["up", "doctor", "web", "worker", "migrate"])
@pytest.mark.parametrize("data", ["/proc/none", "/dev/null/x"])
def test_a_data_folder_that_cannot_be_written_is_a_sentence(command: str, data: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dripstone", command],
        env={"PATH": os.environ["PATH"], "DRIPSTONE_DATA": data, "DRIPSTONE_SECRET_KEY": "x" * 32},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "set DRIPSTONE_DATA to a folder" in " ".join(done.stderr.split())


def test_a_wrong_time_zone_is_refused() -> None:
    result = CliRunner().invoke(
        app, ["accounts", "create", "--name", "A", "--email", "a@b.example", "--time-zone", "X"]
    )
    assert "must be an IANA time zone" in str(result.exception)
    assert not Account.objects.exists()


def test_an_account_is_changed_only_where_it_says() -> None:
    alice()
    answer = json.loads(
        dripstone("accounts", "update", "--postal-address", "1 Long Lane", "--send-hour", "7", "--json")
    )
    account = Account.objects.get()
    assert (account.postal_address, account.send_hour, account.time_zone) == ("1 Long Lane", 7, "Europe/Paris")
    assert answer["name"] == "Alice"


def test_an_accounts_limits_are_set_shown_and_lifted() -> None:
    alice()
    answer = json.loads(dripstone("accounts", "update", "--per-second", "5", "--per-day", "1000", "--json"))
    assert (answer["per_second"], answer["per_day"]) == (5, 1000)
    dripstone("accounts", "update", "--per-second", "0")
    account = Account.objects.get()
    assert (account.per_second, account.per_day) == (None, 1000)
    result = CliRunner().invoke(app, ["accounts", "update", "--per-day", "-1"])
    assert "per_day must be an integer between 1 and" in str(result.exception)


def test_a_wrong_change_of_an_account_changes_nothing() -> None:
    alice()
    result = CliRunner().invoke(app, ["accounts", "update", "--name", " ", "--send-hour", "24"])
    assert str(result.exception) == "name can't be blank; send_hour must be an integer between 0 and 23"
    assert Account.objects.get().send_hour == 11


def test_a_user_gets_a_new_password() -> None:
    made = alice()
    answer = json.loads(dripstone("users", "password", "Alice@example.com", "--json"))
    assert set(answer) == {"account_id", "user_email", "password"}
    user = User.objects.get(email="alice@example.com")
    assert user.check_password(answer["password"])
    assert not user.check_password(made["password"])


def test_a_password_can_be_typed_and_is_not_repeated() -> None:
    alice()
    typed = "correct horse battery"
    result = CliRunner().invoke(app, ["users", "password", "alice@example.com", "--prompt"], f"{typed}\n{typed}\n")
    assert result.exit_code == 0, result.output
    assert typed not in result.output
    assert User.objects.get().check_password(typed)


@pytest.mark.parametrize("typed", ["short", "1234567890"])
def test_a_password_that_is_easily_guessed_is_refused(typed: str) -> None:
    made = alice()
    result = CliRunner().invoke(app, ["users", "password", "alice@example.com", "--prompt"], f"{typed}\n{typed}\n")
    assert isinstance(result.exception, Invalid)
    assert User.objects.get().check_password(made["password"])


@pytest.mark.parametrize("email", ["nobody@example.com", "", "\0"])
def test_a_user_that_is_none_is_said(email: str) -> None:
    alice()
    result = CliRunner().invoke(app, ["users", "password", email])
    assert isinstance(result.exception, NotFound)


def test_users_are_listed() -> None:
    alice()
    (user,) = json.loads(dripstone("users", "list", "--json"))["users"]
    assert (user["user_email"], user["role"], user["last_sign_in_at"]) == ("alice@example.com", "owner", None)
    assert "alice@example.com" in dripstone("users", "list")


def test_an_invitation_is_all_it_prints() -> None:
    made = alice()
    link = dripstone("users", "invite", "Bob@example.com", "--role", "viewer").strip()
    row = Invitation.objects.get()
    assert link == invitations.link(row)
    assert (row.email, row.role, row.account_id) == ("bob@example.com", "viewer", made["account_id"])


def test_nobody_is_invited_as_what_there_is_not() -> None:
    alice()
    result = CliRunner().invoke(app, ["users", "invite", "bob@example.com", "--role", "king"])
    assert "role must be one of: owner, editor, viewer" in str(result.exception)


def test_an_empty_server_prints_the_link_for_its_first_owner(capsys: pytest.CaptureFixture[str]) -> None:
    welcome.show(None)
    assert verbs.first_link() in capsys.readouterr().out
    alice()
    welcome.show(None)
    assert "/first/" not in capsys.readouterr().out


def test_a_new_key_is_all_it_prints() -> None:
    made = alice()
    key = dripstone("keys", "create", "--name", "tests").strip()
    found = account_for_key(key)
    assert found is not None
    assert found.pk == made["account_id"]


def test_a_key_has_full_access_only_when_asked_for() -> None:
    alice()
    dripstone("keys", "create")
    assert json.loads(dripstone("keys", "create", "--full", "--json"))["full_access"] is True
    assert [key["full_access"] for key in json.loads(dripstone("keys", "list", "--json"))["keys"]] == [
        False,
        False,
        True,
    ]


def test_keys_are_listed_without_themselves() -> None:
    made = alice()
    listed = dripstone("keys", "list", "--json")
    assert made["api_key"] not in listed
    assert [key["hint"] for key in json.loads(listed)["keys"]] == [made["api_key"][-4:]]


def test_a_revoked_key_opens_nothing() -> None:
    made = alice()
    key = ApiKey.objects.get()
    assert "revoked" in dripstone("keys", "revoke", str(key.pk))
    assert account_for_key(made["api_key"]) is None
    dripstone("keys", "revoke", str(key.pk), code=1)


def test_an_app_is_made_listed_given_another_secret_and_deleted() -> None:
    made = alice()
    given = ("--name", "Shop", "--redirect-uri", "https://shop.example/a", "--redirect-uri", "https://shop.example/b")
    app = json.loads(dripstone("apps", "create", *given, "--json"))
    assert app["redirect_uris"] == ["https://shop.example/a", "https://shop.example/b"]
    assert app["client_secret"].startswith("ocs_")
    listed = dripstone("apps", "list", "--json")
    assert app["client_secret"] not in listed
    assert [(one["client_id"], one["allowed"]) for one in json.loads(listed)["apps"]] == [(app["client_id"], 0)]
    secret = dripstone("apps", "rotate", str(app["id"])).strip()
    assert secret.startswith("ocs_") and secret != app["client_secret"]
    dripstone("apps", "allow", str(app["id"]), "--user", made["user_email"])
    assert "1 had allowed it" in dripstone("apps", "delete", str(app["id"]))
    assert json.loads(dripstone("apps", "list", "--json")) == {"apps": []}


def test_a_public_app_has_no_secret() -> None:
    alice()
    given = ("--name", "Phone", "--redirect-uri", "com.example.phone:/callback", "--public", "--json")
    app = json.loads(dripstone("apps", "create", *given))
    assert (app["client_type"], app["client_secret"]) == ("public", None)
    dripstone("apps", "rotate", str(app["id"]), code=1)


def test_an_app_is_allowed_without_a_browser() -> None:
    made = alice()
    app = json.loads(dripstone("apps", "create", "--name", "Shop", "--redirect-uri", "http://localhost/cb", "--json"))
    given = json.loads(dripstone("apps", "allow", str(app["id"]), "--user", made["user_email"], "--json"))
    answer = Client().get("/v4/account", headers={"Authorization": f"Bearer {given['access_token']}"})
    assert answer.json()["account"]["id"] == made["account_id"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "--name", "Shop", "--redirect-uri", "http://shop.example/"),
        ("rotate", "99"),
        ("delete", "99"),
        ("allow", "99", "--user", "alice@example.com"),
    ],
)
def test_what_an_app_cannot_be_is_said(arguments: tuple[str, ...]) -> None:
    alice()
    dripstone("apps", *arguments, code=1)


def test_with_several_accounts_a_key_needs_to_know_whose() -> None:
    alice()
    dripstone("accounts", "create", "--name", "Mallory", "--email", "mallory@example.com")
    dripstone("keys", "create", code=1)


def test_migrating_twice_does_nothing() -> None:
    assert dripstone("migrate").strip() == "The database is up to date."


def test_the_doctor_says_what_is_missing() -> None:
    report = dripstone("doctor", code=1)
    assert "ok  schema" in report
    assert "no worker runs" in report


@pytest.mark.parametrize("command", ["up", "web", "worker", "migrate", "doctor", "accounts create", "keys create",
                                     "keys list", "keys revoke"])  # fmt: skip
def test_every_command_explains_itself(command: str) -> None:
    assert "Usage" in dripstone(*command.split(), "--help")
