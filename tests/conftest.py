"""One throwaway PostgreSQL for the whole run, a database per xdist worker, and the fixtures everybody uses."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from dripstone import embedded

if TYPE_CHECKING:
    from dripstone.accounts.models import Account
    from tests.driving import Engine

_run = ExitStack()
_THROWAWAY = "TEST_DATABASE_IS_THROWN_AWAY"  # tells the xdist workers

hypothesis.settings.register_profile("default", deadline=None, max_examples=50)
# The same ones each time: more of them would find nothing new the next time.
hypothesis.settings.register_profile("ci", deadline=None, max_examples=30, derandomize=True)
# A story of the model check takes seconds: with 5000 examples it alone would run for hours.
hypothesis.settings.register_profile("deep", deadline=None, max_examples=1000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deep", action="store_true", help="look much longer for counterexamples (Hypothesis)")


def pytest_configure(config: pytest.Config) -> None:
    """Runs before pytest-django reads the settings, in the controller first: xdist workers inherit its environment."""
    if not hasattr(config, "workerinput"):
        _start_database()
    os.environ["DJANGO_SETTINGS_MODULE"] = "dripstone.settings"
    hypothesis.settings.load_profile("deep" if config.getoption("--deep") else "ci" if is_ci() else "default")
    _hasten_settings()


def pytest_unconfigure(config: pytest.Config) -> None:
    _run.close()


def is_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def _start_database() -> None:
    """A throwaway cluster unless DATABASE_URL names a server, and a data folder of the run's own."""
    for name in [name for name in os.environ if name.startswith("DRIPSTONE_")]:
        del os.environ[name]  # what the developer exported is not what the tests are about
    os.environ["DRIPSTONE_DATA"] = _run.enter_context(tempfile.TemporaryDirectory(prefix="dripstone-test-"))
    os.environ["DRIPSTONE_LOG_LEVEL"] = "warning"
    if not os.environ.get("DATABASE_URL"):
        os.environ["DATABASE_URL"] = _run.enter_context(embedded.throwaway())
        os.environ[_THROWAWAY] = "1"


def _hasten_settings() -> None:
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Threads of a test that keep a connection would keep the test database from being dropped.
    settings.DATABASES["default"]["CONN_MAX_AGE"] = 0
    _find_static_files_once()
    _empty_tables_faster()


def _find_static_files_once() -> None:
    """Every client of a test makes the middleware anew, which looks through all files: half of what a call takes."""
    from whitenoise.middleware import WhiteNoiseMiddleware

    find: Callable[[Any], None] = WhiteNoiseMiddleware.add_files_from_finders
    found: dict[str, Any] = {}

    def add(middleware: Any) -> None:
        if not found:
            find(middleware)
            found.update(middleware.files)
        middleware.files.update(found)

    WhiteNoiseMiddleware.add_files_from_finders = add


def _empty_tables_faster() -> None:
    from django.test import TransactionTestCase

    from tests.emptying import empty_all_tables

    case: Any = TransactionTestCase
    case._fixture_teardown = empty_all_tables


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_keepdb: bool) -> bool:
    """The whole cluster goes at the end; dropping its databases first only waits for whoever is still connected."""
    return django_db_keepdb or os.environ.get(_THROWAWAY) == "1"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Threads of jobs keep their connections; on a server of the developer's they would keep the databases too."""
    yield
    if os.environ.get(_THROWAWAY) == "1":
        return  # the cluster goes, and all connections with it
    from django.db import connection

    connection.close()  # the last test may have had it cut
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture(scope="module")
def made_once(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """For fixtures of a module that make rows: every test of the module then finds these as they were made, since it
    has a savepoint of its own within one transaction. Not for a module with tests that commit."""
    from django.test import TestCase

    case: Any = TestCase
    with django_db_blocker.unblock():
        atomics = case._enter_atomics()
        yield
        case._rollback_atomics(atomics)


@pytest.fixture
def now() -> datetime:
    """A fixed, unremarkable instant: a Monday morning, far from any clock change."""
    return datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class VirtualClock:
    """The virtual clock of a test: it stands still until told otherwise."""

    def now(self) -> datetime:
        from dripstone import clock

        return clock.now()

    def set(self, instant: datetime) -> None:
        """Puts the clock at `instant`, backwards too: a test begins when it likes."""
        from django.db import connection

        self.now()  # makes the row
        with connection.cursor() as cursor:
            cursor.execute("UPDATE virtual_clock SET now = %s WHERE id = 1", [instant])

    def advance(self, **duration: float) -> datetime:
        """Moves the clock forward by a timedelta's arguments, without running the engine. Returns the new instant."""
        self.set(self.now() + timedelta(**duration))
        return self.now()


@pytest.fixture
def clock(db: None, settings: Any, now: datetime) -> VirtualClock:
    """Virtual time, standing at `now`."""
    settings.DRIPSTONE_VIRTUAL_CLOCK = True
    virtual = VirtualClock()
    virtual.set(now)
    return virtual


@pytest.fixture
def engine(clock: VirtualClock, settings: Any) -> "Iterator[Engine]":
    from dripstone.engine import process
    from dripstone.senders.memory import MemorySender, accept
    from tests.driving import Engine

    settings.DRIPSTONE_MAIL_URL = "memory://engine"
    process.close()
    process.current()  # its sender stays, whatever the URL says later (limit)
    mail = MemorySender.named("engine")
    mail.messages.clear()
    mail.answer, mail.eight_bit = accept, False
    yield Engine(clock, mail)
    process.close()


@pytest.fixture
def limit(settings: Any) -> Callable[[str], None]:
    """What the mail URL says of its server, as in "per_second=50". Mail goes to the sender there is already."""

    def set_limit(options: str) -> None:
        settings.DRIPSTONE_MAIL_URL = f"smtp://h?{options}"

    return set_limit


@pytest.fixture
def alice(db: None) -> "Account":
    from tests.factories import make_account

    return make_account("Alice")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium driven by Playwright (sync API): `chromium.new_page()`. Skips without one, never in CI."""
    path = _chromium_path()
    if path is None:
        reason = "no Chromium on this machine (looked for chromium, chromium-browser, google-chrome)"
        pytest.fail(reason) if is_ci() else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    # Playwright runs an event loop in this thread; Django refuses database calls then unless told they are ours.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    arguments += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def live_server(live_server: Any, transactional_db: None) -> Iterator[Any]:
    """pytest-django's, with no request still being answered when the test is over: a page that is closed may have just
    asked for something, and the tables are emptied next."""
    from django.core.signals import request_finished, request_started

    n_open = 0
    has_changed = threading.Condition()

    def count(by: int) -> None:
        nonlocal n_open
        with has_changed:
            n_open += by
            has_changed.notify_all()

    def begin(**_: Any) -> None:
        count(1)

    def end(**_: Any) -> None:
        count(-1)

    request_started.connect(begin)
    request_finished.connect(end)
    yield live_server
    with has_changed:
        has_changed.wait_for(lambda: n_open <= 0, timeout=20)
    request_started.disconnect(begin)
    request_finished.disconnect(end)


def _chromium_path() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found: Callable[[str], str | None] = shutil.which
    return next((path for name in names if (path := found(name)) and Path(path).exists()), None)
