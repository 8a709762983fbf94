import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SHOW = """
import json
from dripstone import settings as s
d = s.DATABASES["default"]
print(json.dumps({k: str(v) if k == "DRIPSTONE_DATA" else v for k, v in vars(s).items()
    if k.startswith("DRIPSTONE_") or k in ("ALLOWED_HOSTS", "SESSION_COOKIE_SECURE", "SECRET_KEY")}
    | {"database": {k: d[k] for k in ("NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")}}, default=sorted))
"""


def read(folder: Path, **environment: str) -> dict[str, Any]:
    """What settings.py makes of an environment, or {"error": its sentence}."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), "DRIPSTONE_DATA": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1].split("ImproperlyConfigured: ")[-1]}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_it_needs_no_environment_and_keeps_the_key_it_made(tmp_path: Path) -> None:
    first, second = read(tmp_path / "data"), read(tmp_path / "data")
    assert first["SECRET_KEY"] == second["SECRET_KEY"]
    assert len(first["SECRET_KEY"]) >= 50
    assert (tmp_path / "data" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert first["DRIPSTONE_URL"] == "http://127.0.0.1:8000"
    assert first["DRIPSTONE_RATE_LIMITS"] == [600, 3000]
    assert first["database"]["NAME"] == "dripstone"
    assert first["database"]["HOST"].startswith("/")


def test_a_database_url_is_taken_apart(tmp_path: Path) -> None:
    url = "postgresql://al%40ice:p%2Fw@db.example.com:6432/mail?sslmode=require"
    database = read(tmp_path, DATABASE_URL=url)["database"]
    assert (database["USER"], database["PASSWORD"]) == ("al@ice", "p/w")
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db.example.com", "6432", "mail")
    assert database["OPTIONS"]["sslmode"] == "require"


def test_a_socket_folder_is_a_host(tmp_path: Path) -> None:
    assert read(tmp_path, DATABASE_URL="postgresql://u@/mail?host=/run/pg")["database"]["HOST"] == "/run/pg"


def test_the_virtual_clock_lifts_the_limits(tmp_path: Path) -> None:
    settings = read(tmp_path, DRIPSTONE_VIRTUAL_CLOCK="1")
    assert (settings["DRIPSTONE_VIRTUAL_CLOCK"], settings["DRIPSTONE_RATE_LIMITS"]) == (True, None)


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [("Us <a@b.example>", ["Us", "a@b.example"]), ("a@b.example", ["", "a@b.example"]), (" ", None)],
)
def test_a_mailbox_has_a_name_or_none(tmp_path: Path, text: str, mailbox: list[str] | None) -> None:
    assert read(tmp_path, DRIPSTONE_FROM=text)["DRIPSTONE_FROM"] == mailbox


def test_kits_limits_have_a_name(tmp_path: Path) -> None:
    assert read(tmp_path, DRIPSTONE_RATE_LIMITS="kit")["DRIPSTONE_RATE_LIMITS"] == [120, 600]


def test_a_public_server_answers_to_its_own_name(tmp_path: Path) -> None:
    settings = read(tmp_path, DRIPSTONE_HOST="0.0.0.0", DRIPSTONE_URL="https://mail.example.com/")
    assert "*" not in settings["ALLOWED_HOSTS"]
    assert "mail.example.com" in settings["ALLOWED_HOSTS"]
    assert settings["SESSION_COOKIE_SECURE"] is True
    assert settings["DRIPSTONE_URL"] == "https://mail.example.com"


def test_a_mistyped_name_is_noticed(tmp_path: Path) -> None:
    assert read(tmp_path, DRIPSTONE_POTR="1")["DRIPSTONE_MISTYPED"] == {"DRIPSTONE_POTR": "DRIPSTONE_PORT"}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DRIPSTONE_PORT", "eighty", "whole number from 1 to 65535"),
        ("DRIPSTONE_PORT", "70000", "whole number from 1 to 65535"),
        ("DRIPSTONE_VIRTUAL_CLOCK", "maybe", "1 for on or 0 for off"),
        ("DRIPSTONE_UNKNOWN", "panic", "hold, resend"),
        ("DRIPSTONE_SIGN_UP", "all", "invited, open"),
        ("DRIPSTONE_FROM", "Dripstone", "give an address"),
        ("DRIPSTONE_FROM", "a@b.example, c@d.example", "give an address"),
        ("DRIPSTONE_RATE_LIMITS", "fast", "600,3000"),
        ("DRIPSTONE_URL", "mail.example.com", "https://"),
        ("DRIPSTONE_SECRET_KEY", "short", "32 characters"),
        ("DATABASE_URL", "mysql://localhost/x", "postgresql://"),
        ("DATABASE_URL", "postgresql://localhost", "names no database"),
        ("DATABASE_URL", "postgresql://localhost/x?colour=red", "cannot be read"),
        ("DATABASE_URL", "postgresql://u:p%zz@h/x", "percent-encoded"),
        ("DATABASE_URL", "postgresql://u:p w@h/x", "percent-encoded"),
        ("DATABASE_URL", "postgresql://[::1/x", "cannot be read"),
        ("DATABASE_URL", "postgresql://u@h:notaport/x", "number from 1 to 65535"),
        ("DATABASE_URL", "postgresql://u@h:0/x", "number from 1 to 65535"),
        ("DATABASE_URL", "postgresql://u@h:5432,g:99999/x", "number from 1 to 65535"),
        ("DATABASE_URL", "postgresql://u@h/x?connect_timeout=soon", "connect_timeout must be a number"),
        ("DRIPSTONE_PORT", "9" * 5000, "whole number from 1 to 65535"),
        ("DRIPSTONE_RATE_LIMITS", "9" * 5000 + ",1", "600,3000"),
        ("DRIPSTONE_DOMAIN_LIMITS", "a.b=" + "9" * 5000 + "/s", "give domains"),
        ("DRIPSTONE_URL", "http://[::1", "https://"),
        ("DRIPSTONE_URL", "http://h:notaport", "https://"),
        ("DRIPSTONE_URL", "http://a b", "https://"),
        ("DRIPSTONE_DATA", "~nobody-of-that-name/x", "names no folder"),
    ],
)
def test_a_wrong_value_stops_the_start_and_says_what_to_do(tmp_path: Path, name: str, value: str, says: str) -> None:
    assert says in read(tmp_path, **{name: value})["error"]


@pytest.mark.parametrize(
    "url", ["postgresql://u:SECRET%zzPW@h/x", "postgresql://u:SECRET PW@h/x", "SECRET", "x://SECRET"]
)
def test_a_wrong_database_url_is_not_repeated(tmp_path: Path, url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dripstone", "doctor"],
        env={"PATH": os.environ["PATH"], "DRIPSTONE_DATA": str(tmp_path), "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("dripstone: DATABASE_URL")
    assert "SECRET" not in done.stderr


def test_several_hosts_may_have_ports(tmp_path: Path) -> None:
    assert read(tmp_path, DATABASE_URL="postgresql://u@a:5432,b:5433/x")["database"]["PORT"] == "5432,5433"


def test_domain_limits_are_read(tmp_path: Path) -> None:
    limits = read(tmp_path, DRIPSTONE_DOMAIN_LIMITS="Gmail.com=20/s, yahoo.com = 5/s;50000/day,*=50/s")
    assert limits["DRIPSTONE_DOMAIN_LIMITS"] == {"gmail.com": [20, None], "yahoo.com": [5, 50000], "*": [50, None]}


@pytest.mark.parametrize(
    "text", ["gmail.com", "gmail.com=20", "gmail.com=0/s", "gmail.com=1/h", "@x=1/s", "a.b=1/s,a.b=2/s"]
)
def test_a_wrong_domain_limit_stops_the_start_with_a_sentence(tmp_path: Path, text: str) -> None:
    assert "give domains with what may go there" in read(tmp_path, DRIPSTONE_DOMAIN_LIMITS=text)["error"]
