"""Every knob of Dripstone, and the Django settings made from them.

The environment is read here and nowhere else. Each variable is read once, with its default, its unit and its
meaning beside it; a wrong value stops the start with a sentence that says what to do. The same list for operators:
docs/reference/settings.md (a test keeps the two in step).
"""

import difflib
import os
import re
import secrets
import sys
from email.utils import getaddresses
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import structlog
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from dripstone import embedded

# --- Reading the environment ------------------------------------------------------------------------------------

_known: set[str] = set()


def _text(name: str, default: str = "") -> str:
    _known.add(name)
    return os.environ.get(name, "").strip() or default


def _integer(name: str, default: int, lowest: int, highest: int) -> int:
    text = _text(name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
        raise ImproperlyConfigured(f"{name} is {text!r}; give a whole number from {lowest} to {highest}.")
    return int(text)


def _flag(name: str) -> bool:
    text = _text(name, "0").lower()
    if text not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ImproperlyConfigured(f"{name} is {text!r}; give 1 for on or 0 for off.")
    return text in ("1", "true", "yes", "on")


def _choice(name: str, default: str, *choices: str) -> str:
    text = _text(name, default).lower()
    if text not in choices:
        raise ImproperlyConfigured(f"{name} is {text!r}; give one of: {', '.join(choices)}.")
    return text


# --- Where things are -------------------------------------------------------------------------------------------


# Folder for the embedded PostgreSQL, the secret key and what workers must find again after a crash.
def _folder(name: str, default: str) -> Path:
    try:
        return Path(_text(name, default)).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself, ~ of nobody, a folder of no name
        raise ImproperlyConfigured(f"{name} names no folder: {error}.") from None


DRIPSTONE_DATA = _folder("DRIPSTONE_DATA", "./.dripstone")

# A real PostgreSQL (14 or newer): postgresql://user:password@host:5432/name?sslmode=require, or a socket folder:
# postgresql://user@/name?host=/run/postgresql. Empty: the embedded server in DRIPSTONE_DATA.
DATABASE_URL = _text("DATABASE_URL")

# Address and port the web server listens on.
DRIPSTONE_HOST = _text("DRIPSTONE_HOST", "127.0.0.1")
DRIPSTONE_PORT = _integer("DRIPSTONE_PORT", 8000, 1, 65535)

# Public base URL, as people who get an email reach it: in unsubscribe links, images and the UI. No trailing slash.
DRIPSTONE_URL = _text("DRIPSTONE_URL", f"http://{DRIPSTONE_HOST}:{DRIPSTONE_PORT}").rstrip("/")

# --- Sending ----------------------------------------------------------------------------------------------------

# Where finished messages go. inbox:// keeps them here; smtp://user:pass@host:587?starttls=1&connections=10; smtps://…
DRIPSTONE_MAIL_URL = _text("DRIPSTONE_MAIL_URL", "inbox://")


def _mailbox(name: str) -> tuple[str, str] | None:
    """(name, address) of `Dripstone <accounts@example.com>`, or of a bare address; None when it is not set."""
    text = _text(name)
    if not text:
        return None
    (shown, address), *others = getaddresses([text])
    is_address = re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address) and len(address) <= 254
    if others or not is_address or not text.isprintable():
        raise ImproperlyConfigured(f"{name} is {text!r}; give an address, such as Dripstone <accounts@example.com>")
    return shown, address


# Whom mail about accounts comes from (invitations, password resets), through DRIPSTONE_MAIL_URL; never into inbox://.
DRIPSTONE_FROM = _mailbox("DRIPSTONE_FROM")

# Who may make an account of their own: those whom somebody invited, or everybody with a mailbox (open).
DRIPSTONE_SIGN_UP = _choice("DRIPSTONE_SIGN_UP", "invited", "invited", "open")

# 1: apps may register themselves at /oauth/register, as agents do (RFC 7591). People still have to allow each of them.
DRIPSTONE_APP_REGISTRATION = _flag("DRIPSTONE_APP_REGISTRATION")

# What to do with a message whose body left while no final reply came: hold (the owner decides) or resend.
DRIPSTONE_UNKNOWN = _choice("DRIPSTONE_UNKNOWN", "hold", "hold", "resend")


def _domain_limits(text: str) -> dict[str, tuple[int | None, int | None]]:
    """Messages per second and per day by recipient domain. None = no such limit. "*": every other domain, each for
    itself."""
    limits: dict[str, tuple[int | None, int | None]] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        domain, _, numbers = (part.strip().lower() for part in entry.partition("="))
        found: dict[str, int] = {}
        for number in numbers.split(";"):
            count, _, unit = (part.strip() for part in number.partition("/"))
            is_number = re.fullmatch(r"[0-9]{1,10}", count) and 1 <= int(count) <= 1_000_000_000
            if not is_number or unit not in ("s", "day") or unit in found:
                raise ImproperlyConfigured(_wrong_domain_limit(entry, "is no limit"))
            found[unit] = int(count)
        if domain in limits:
            raise ImproperlyConfigured(_wrong_domain_limit(entry, "names a domain for the second time"))
        if domain != "*" and not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", domain):
            raise ImproperlyConfigured(_wrong_domain_limit(entry, "names no domain (others than ASCII as xn--…)"))
        limits[domain] = (found.get("s"), found.get("day"))
    return limits


def _wrong_domain_limit(entry: str, problem: str) -> str:
    return (
        f"DRIPSTONE_DOMAIN_LIMITS: {entry!r} {problem}; give domains with what may go there, per second (/s), "
        "per day (/day) or both, such as gmail.com=20/s,yahoo.com=5/s;50000/day,*=50/s"
    )


# Most messages to a recipient domain, all workers together: gmail.com=20/s,yahoo.com=5/s;50000/day,*=50/s
DRIPSTONE_DOMAIN_LIMITS = _domain_limits(_text("DRIPSTONE_DOMAIN_LIMITS"))

# After so many hours without a running engine, what is overdue waits for `dripstone resume-sending`; 0 = never ask.
DRIPSTONE_ASK_AFTER_HOURS = _integer("DRIPSTONE_ASK_AFTER_HOURS", 24, 0, 8760)

# /healthz fails when something has been due for so many minutes while nothing at all was sent.
DRIPSTONE_STUCK_AFTER_MINUTES = _integer("DRIPSTONE_STUCK_AFTER_MINUTES", 15, 1, 1440)

# Address and port of the local inbox's SMTP door; port 0 = none. For software under test that speaks SMTP. Off this
# machine one must sign in, over TLS: the certificate is a PEM file with the key and the chain.
DRIPSTONE_INBOX_HOST = _text("DRIPSTONE_INBOX_HOST", "127.0.0.1")
DRIPSTONE_INBOX_CERTIFICATE = _text("DRIPSTONE_INBOX_CERTIFICATE")
DRIPSTONE_INBOX_PORT = _integer("DRIPSTONE_INBOX_PORT", 1025, 0, 65535)

# --- Calling others ---------------------------------------------------------------------------------------------


def _hosts(name: str) -> frozenset[tuple[str, int | None]]:
    """(host, port) of `localhost:9000, receiver.test, [::1]`; port None: any."""
    hosts = set()
    for entry in filter(None, (part.strip().lower() for part in _text(name).split(","))):
        found = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::([0-9]{1,5}))?", entry)
        if not found or not 1 <= int(found[3] or 1) <= 65535:
            raise ImproperlyConfigured(
                f"{name}: {entry!r} names no host; give names or addresses, each with or without a port, such as "
                "localhost:9000,receiver.test"
            )
        hosts.add((found[1] or found[2], int(found[3]) if found[3] else None))
    return frozenset(hosts)


# Hosts that webhooks and callbacks may call although they are private: receivers of tests. All others must be public.
DRIPSTONE_CALL_HOSTS = _hosts("DRIPSTONE_CALL_HOSTS")

# --- Keeping ----------------------------------------------------------------------------------------------------

# Days after which rows that are not needed are deleted, each night and by `dripstone prune`; 0 = keep for ever.
# Deliveries of earlier runs and deleted sequences: the unsubscribe links in those emails end with them.
DRIPSTONE_KEEP_DELIVERIES_DAYS = _integer("DRIPSTONE_KEEP_DELIVERIES_DAYS", 730, 0, 36500)
DRIPSTONE_KEEP_EVENTS_DAYS = _integer("DRIPSTONE_KEEP_EVENTS_DAYS", 400, 0, 36500)
DRIPSTONE_KEEP_INBOX_DAYS = _integer("DRIPSTONE_KEEP_INBOX_DAYS", 90, 0, 36500)
# Calls of webhooks and callbacks, with what was sent and answered.
DRIPSTONE_KEEP_CALLS_DAYS = _integer("DRIPSTONE_KEEP_CALLS_DAYS", 30, 0, 36500)

# Pictures of an account, for its emails: how many, and megabytes of all together. They are kept in the database.
DRIPSTONE_MAX_IMAGES = _integer("DRIPSTONE_MAX_IMAGES", 2_000, 0, 1_000_000)
DRIPSTONE_MAX_IMAGES_MB = _integer("DRIPSTONE_MAX_IMAGES_MB", 500, 0, 1_000_000)

# Megabytes of files of people that an account may have under way at a time. They are kept in the database until the
# import has ended.
DRIPSTONE_MAX_IMPORTS_MB = _integer("DRIPSTONE_MAX_IMPORTS_MB", 4_096, 0, 1_000_000)

# --- Time, limits, processes ------------------------------------------------------------------------------------

# 1: the clock is a row in the database that only moves when told to (tests, rehearsals). Never for real mail.
DRIPSTONE_VIRTUAL_CLOCK = _flag("DRIPSTONE_VIRTUAL_CLOCK")


def _rate_limits(text: str) -> tuple[int, int] | None:
    """Requests per 60 s: (per API key, per OAuth token). None = no limit."""
    named: dict[str, tuple[int, int] | None] = {"off": None, "kit": (120, 600)}
    if text.lower() in named:
        return named[text.lower()]
    numbers = [part.strip() for part in text.split(",")]
    if len(numbers) != 2 or not all(re.fullmatch(r"[0-9]{1,9}", part) and int(part) > 0 for part in numbers):
        raise ImproperlyConfigured(
            f"DRIPSTONE_RATE_LIMITS is {text!r}; give kit, off, or two numbers such as 600,3000 "
            "(requests per 60 s for an API key, and for an OAuth token)."
        )
    return int(numbers[0]), int(numbers[1])


# API requests per 60 s, per API key and per OAuth token: kit (= 120,600), off, or two numbers.
DRIPSTONE_RATE_LIMITS = _rate_limits(
    _text("DRIPSTONE_RATE_LIMITS", "off" if DRIPSTONE_VIRTUAL_CLOCK else "600,3000"),
)

# Worker processes `dripstone up` starts. Default: one per core.
DRIPSTONE_WORKERS = _integer("DRIPSTONE_WORKERS", os.cpu_count() or 1, 1, 256)

# Jobs one worker process runs side by side, beside its threads that send. Each may hold a database connection.
DRIPSTONE_WORKER_THREADS = _integer("DRIPSTONE_WORKER_THREADS", 4, 1, 64)

# Processes that answer requests, of `dripstone up` and `dripstone web`. Default: one per core, 8 at most.
DRIPSTONE_WEB_PROCESSES = _integer("DRIPSTONE_WEB_PROCESSES", min(os.cpu_count() or 1, 8), 1, 256)

# Requests one web process answers side by side. Each may hold a database connection from the process's pool.
DRIPSTONE_WEB_THREADS = _integer("DRIPSTONE_WEB_THREADS", 8, 1, 256)

# Least important log lines shown: debug, info, warning or error.
DRIPSTONE_LOG_LEVEL = _choice("DRIPSTONE_LOG_LEVEL", "info", "debug", "info", "warning", "error")


def _secret_key(folder: Path) -> str:
    """The key kept in `folder`, made there (readable by its owner only) the first time it is asked for."""
    path = folder / "secret_key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            fresh = folder / f"secret_key.{os.getpid()}.{secrets.token_hex(4)}"
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_urlsafe(48))
            try:
                os.link(fresh, path)
            except FileExistsError:
                pass  # another process was first: its key is the one
            finally:
                fresh.unlink()
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "secret_key is not text"
        raise ImproperlyConfigured(
            f"The secret key cannot be kept in {folder} ({why}); "
            "set DRIPSTONE_DATA to a folder this user may write to, or set DRIPSTONE_SECRET_KEY."
        ) from error


# Signs sessions and the links in emails; at least 32 characters. Changing it breaks the links already sent.
SECRET_KEY = _text("DRIPSTONE_SECRET_KEY") or _secret_key(DRIPSTONE_DATA)

# Variables that look like ours and are not: a mistyped name must not be ignored in silence (check dripstone.W001).
DRIPSTONE_MISTYPED = {
    name: (difflib.get_close_matches(name, sorted(_known), 1) or [""])[0]
    for name in os.environ
    if name.startswith("DRIPSTONE_") and name not in _known
}

if len(SECRET_KEY) < 32:
    raise ImproperlyConfigured("DRIPSTONE_SECRET_KEY is shorter than 32 characters; give a longer, random one.")


def _is_public_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:  # brackets that do not match, a port that is no number
        return False
    has_host = bool(parts.hostname) and not re.search(r"[\s\\<>\"@]", parts.netloc)
    return parts.scheme in ("http", "https") and has_host and has_port and not parts.query and not parts.fragment


if not _is_public_url(DRIPSTONE_URL):
    raise ImproperlyConfigured(
        f"DRIPSTONE_URL is {DRIPSTONE_URL!r}; give the address people reach, such as https://mail.example.com"
    )
_url = urlsplit(DRIPSTONE_URL)


# --- Django: database -------------------------------------------------------------------------------------------


def _database(url: str) -> dict[str, Any]:
    """Django's dictionary for a PostgreSQL URL. What libpq knows beyond host, user and name goes into OPTIONS."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise ImproperlyConfigured("DATABASE_URL must begin with postgresql://; Dripstone runs on PostgreSQL only.")
    try:
        parts: dict[str, Any] = conninfo_to_dict(url)
    except (psycopg.ProgrammingError, UnicodeError) as error:  # its words, but not what it quotes: perhaps a password
        why = str(error).partition('"')[0].strip(" :\n")
        raise ImproperlyConfigured(
            f"DATABASE_URL cannot be read: {why}. Blanks and characters such as % @ / : in a user name or password "
            "must be percent-encoded."
        ) from None
    if not parts.get("dbname"):
        raise ImproperlyConfigured("DATABASE_URL names no database; end it with /name, such as …:5432/dripstone")
    for port in str(parts.get("port", "")).split(","):  # one per host
        if port and not (re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
            raise ImproperlyConfigured("DATABASE_URL: the port must be a number from 1 to 65535.")
    for name in {"connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count"} & parts.keys():
        if not re.fullmatch(r"[0-9]{1,9}", str(parts[name])):
            raise ImproperlyConfigured(f"DATABASE_URL: {name} must be a number of seconds or times.")
    return {
        "ENGINE": "dripstone.postgresql",
        "NAME": parts.pop("dbname"),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": str(parts.pop("port", "")),
        "OPTIONS": {"application_name": "dripstone", "connect_timeout": 10} | parts,
        # Workers and commands keep their connections; the web process pools them instead (asgi.py).
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


DATABASES = {"default": _database(DATABASE_URL or embedded.url(DRIPSTONE_DATA))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Django: parts ----------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_prose_editor",
    "ninja",
    "oauth2_provider",
    "procrastinate.contrib.django",
    "dripstone.accounts",
    "dripstone.oauth",
    "dripstone.senders",
    "dripstone.events",
    "dripstone.calls",
    "dripstone.tallies",
    "dripstone.subscribers",
    "dripstone.purchases",
    "dripstone.images",
    "dripstone.content",
    "dripstone.tracking",
    "dripstone.sequences",
    "dripstone.engine",
    "dripstone.feedback",
    "dripstone.uses",
    "dripstone.triggers",
    "dripstone.rules",
    "dripstone.automations",
    "dripstone.webhooks",
    "dripstone.bulk",
    "dripstone.imports",
    "dripstone.api",
    "dripstone.web",
    "dripstone.ops",
]

MIDDLEWARE = [
    "dripstone.api.request_ids.RequestIds",
    "dripstone.ops.metrics.RequestMetrics",
    "dripstone.api.errors.ApiReplies",
    "django.middleware.security.SecurityMiddleware",
    "dripstone.web.for_pages.StaticFiles",
    "dripstone.web.headers.PageHeaders",
    "dripstone.web.for_pages.Sessions",
    "django.middleware.common.CommonMiddleware",
    "dripstone.web.for_pages.Csrf",
    "dripstone.web.for_pages.Users",
    "dripstone.web.for_pages.Messages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "dripstone.web.for_pages.Htmx",
    "dripstone.web.unavailable.Unavailable",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

ROOT_URLCONF = "dripstone.urls"
APPEND_SLASH = False  # Kit's paths have no trailing slash, and neither have ours

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/"
PASSWORD_RESET_TIMEOUT = 3600  # seconds
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

TIME_ZONE = "UTC"
USE_TZ = True
LANGUAGE_CODE = "en"
USE_I18N = False

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # served from the packages themselves: nothing to collect at start
WHITENOISE_AUTOREFRESH = False

# --- Django: security -------------------------------------------------------------------------------------------

DEBUG = False
_is_https = _url.scheme == "https"
_is_loopback = DRIPSTONE_HOST in ("127.0.0.1", "::1", "localhost")
# On loopback, or without a public URL, any name may be used. Links are made from DRIPSTONE_URL, never from the
# Host header, so a wrong one leads nowhere.
ALLOWED_HOSTS = (
    ["*"]
    if _is_loopback or not _text("DRIPSTONE_URL")
    else [_url.hostname, "localhost", "127.0.0.1", "[::1]", DRIPSTONE_HOST]
)
CSRF_TRUSTED_ORIGINS = [f"{_url.scheme}://{_url.netloc}"]
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = _is_https
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_NAME = "dripstone_session"
CSRF_COOKIE_NAME = "dripstone_csrf"
CSRF_FAILURE_VIEW = "dripstone.web.refusals.csrf"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _is_https else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

DATA_UPLOAD_MAX_MEMORY_SIZE = None  # dripstone/front limits what is read, by path
FILE_UPLOAD_HANDLERS = ["dripstone.web.uploads.Pictures"]  # one page takes files

# --- Django: apps of others (dripstone/oauth) --------------------------------------------------------------------

OAUTH2_PROVIDER_APPLICATION_MODEL = "oauth.Application"
OAUTH2_PROVIDER_GRANT_MODEL = "oauth.Grant"
OAUTH2_PROVIDER_ACCESS_TOKEN_MODEL = "oauth.AccessToken"  # noqa: S105
OAUTH2_PROVIDER_REFRESH_TOKEN_MODEL = "oauth.RefreshToken"  # noqa: S105
# What the library leaves open by default is closed here. The minute of grace for a refresh token is ours (tokens.py):
# the library's own would have to keep tokens in plain text.
OAUTH2_PROVIDER = {
    "OAUTH2_SERVER_CLASS": "dripstone.oauth.server.Server",
    "OAUTH2_VALIDATOR_CLASS": "dripstone.oauth.server.Validator",
    "OAUTH2_BACKEND_CLASS": "dripstone.oauth.server.Core",
    "ACCESS_TOKEN_GENERATOR": "dripstone.oauth.tokens.new_access_token",
    "REFRESH_TOKEN_GENERATOR": "dripstone.oauth.tokens.new_refresh_token",
    "ACCESS_TOKEN_EXPIRE_SECONDS": 172_800,  # as Kit's
    "SCOPES": {"public": "Read and write", "read": "Read", "write": "Write"},
    "DEFAULT_SCOPES": ["public"],
    "OIDC_ISS_ENDPOINT": DRIPSTONE_URL,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0,
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
}

# --- Django: jobs -----------------------------------------------------------------------------------------------

PROCRASTINATE_IMPORT_PATHS = [
    "dripstone.engine.tasks",
    "dripstone.automations.tasks",
    "dripstone.webhooks.tasks",
    "dripstone.ops.tasks",
]

# --- Django: logs -----------------------------------------------------------------------------------------------


def _without_tokens(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Django names the path of a failed request; paths of links in mails hold somebody's token."""
    event.pop("request", None)
    event["event"] = re.sub(r"(/(?:[uciv]|passwords|first)/)\S+", r"\1…", str(event["event"]))
    return event


# A fixed event name and ids in `extra`; never bodies, tokens or addresses. Pretty on a terminal, JSON elsewhere.
_log_fields: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.contextvars.merge_contextvars,  # whose request it was (api/request_ids.py)
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _without_tokens,
]
_log_end: list[Any] = (
    [structlog.dev.ConsoleRenderer(pad_event_to=24)]
    if sys.stderr.isatty()
    else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "structured": {
            "()": "structlog.stdlib.ProcessorFormatter",
            "foreign_pre_chain": _log_fields,
            "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_log_end],
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "dripstone": {"level": DRIPSTONE_LOG_LEVEL.upper()},
        # Every job logs a line at info; ours say more. A refused request is the client's news, not the operator's.
        "procrastinate": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        # Neither is one that Django takes for suspicious: a wrong Host header, a thousand parameters. It would show a
        # traceback for each.
        "django.security": {"level": "CRITICAL"},
    },
}
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_log_fields,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
