"""Open an account, make and check API keys."""

import hashlib
import secrets
from datetime import datetime
from zoneinfo import available_timezones

from django.db import transaction
from email_validator import EmailNotValidError, validate_email

from dripstone.accounts.models import Account, ApiKey, SendingAddress, User
from dripstone.errors import Invalid

KEY_PREFIX = "kit_"
LIMITS = {"per_second": 100_000, "per_day": 1_000_000_000}  # the highest of each


@transaction.atomic
def create_account(
    name: str, email: str, time_zone: str, *, now: datetime, password: str | None = None
) -> tuple[Account, User, str, str]:
    """A new account with its first user, default sending address and API key.

    time_zone  IANA name
    password   made up when absent
    Returns (account, user, password, API key in plain text). Both secrets are shown here and never again.
    Raises Invalid with every problem found.
    """
    problems = _problems(name=name, time_zone=time_zone)
    problems += [] if is_address(email) else ["Email address is invalid"]
    problems += ["Email address has already been taken"] if User.objects.filter(email=email.lower()).exists() else []
    if problems:
        raise Invalid(problems)
    account = Account.objects.create(
        name=name.strip(), primary_email_address=email, time_zone=time_zone, created_at=now
    )
    SendingAddress.objects.create(
        account=account, email_address=email, from_name=name.strip(), is_default=True, created_at=now
    )
    password = password or secrets.token_urlsafe(12)
    user = User(account=account, email=email.lower(), created_at=now)
    user.set_password(password)
    user.save()
    _, plaintext = create_key(account, "default", now)
    return account, user, password, plaintext


@transaction.atomic
def update_account(account: Account, **values: str | int) -> Account:
    """Change `name`, `postal_address` (printed in every email), `time_zone` and `send_hour` (of new sequences), and the
    limits `per_second` and `per_day` (messages; 0: none).

    Only what is given changes. Raises Invalid with every problem found.
    """
    problems = _problems(**values)
    if problems:
        raise Invalid(problems)
    for field, value in values.items():
        value = value.strip() if isinstance(value, str) else value
        setattr(account, field, None if field in LIMITS and value == 0 else value)
    account.save(update_fields=list(values))
    return account


def _problems(
    name: str | int = "x",
    postal_address: str | int = "",
    time_zone: str | int = "UTC",
    send_hour: str | int = 0,
    **limits: str | int,
) -> list[str]:
    problems = [] if str(name).strip() else ["name can't be blank"]
    problems += [] if time_zone in available_timezones() else [f"time_zone {time_zone} is not an IANA time zone"]
    problems += [] if send_hour in range(24) else ["send_hour must be an integer between 0 and 23"]
    problems += [
        f"{name} must be an integer between 1 and {LIMITS[name]}, or 0 for no limit"
        for name, value in limits.items()
        if value not in range(LIMITS[name] + 1)
    ]
    return problems


def create_key(account: Account, name: str, now: datetime) -> tuple[ApiKey, str]:
    """A new API key; the second value is the key itself, which is not kept."""
    plaintext = KEY_PREFIX + secrets.token_hex(20)
    key = ApiKey.objects.create(
        account=account, name=name, key_hash=hash_key(plaintext), hint=plaintext[-4:], created_at=now
    )
    return key, plaintext


def account_for_key(plaintext: str) -> Account | None:
    """The account a live key opens, or None."""
    key = ApiKey.objects.select_related("account").filter(key_hash=hash_key(plaintext), revoked_at=None).first()
    return key.account if key else None


def hash_key(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode("utf-8", "surrogatepass")).hexdigest()


def is_address(address: str) -> bool:
    """Syntax only: what cannot be delivered shows itself when we send."""
    try:
        validate_email(address, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True
