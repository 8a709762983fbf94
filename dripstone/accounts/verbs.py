"""Open an account, make and check API keys."""

import hashlib
import secrets
from datetime import datetime

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from dripstone.accounts import members, sign_in
from dripstone.accounts.models import Account, ApiKey, Role, SendingAddress, User
from dripstone.errors import Invalid, NotFound
from dripstone.given import ABSENT, Checked, Given, as_number, is_whole, plain_address, unstorable

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
    given = {"name": name, "email_address": email, "time_zone": time_zone}
    read = Checked(given, labels={"email_address": "Email address"})
    _read(read)
    read.address("email_address")
    if "email_address" in read.values and User.objects.filter(email=plain_address(email)).exists():
        read.wrong("email_address", "has already been taken")
    values = read.sound()
    name, email = values["name"], values["email_address"]
    account = Account.objects.create(name=name, primary_email_address=email, time_zone=time_zone, created_at=now)
    SendingAddress.objects.create(account=account, email_address=email, from_name=name, is_default=True, created_at=now)
    password = password or secrets.token_urlsafe(12)
    user = User(email=plain_address(email), created_at=now)
    user.set_password(password)
    user.save()
    members.join(account, user, Role.OWNER, now)
    _, plaintext = create_key(account, "default", now)
    return account, user, password, plaintext


@transaction.atomic
def update_account(account: Account, given: Given) -> Account:
    """given   any of `name`, `postal_address` (printed in every email), `time_zone` and `send_hour` (of new sequences),
            and the limits `per_second` and `per_day` (messages; 0: none)

    Raises Invalid with every problem found.
    """
    read = Checked(given)
    _read(read)
    values = {name: value.strip() if isinstance(value, str) else value for name, value in read.sound().items()}
    for field, value in values.items():
        setattr(account, field, value)
    account.save(update_fields=list(values))
    return account


def dismiss_first_run(account: Account, now: datetime) -> None:
    """Its pages show the first steps no more, whoever looks at them."""
    account.first_run_dismissed_at = now
    account.save(update_fields=["first_run_dismissed_at"])


def _read(read: Checked) -> None:
    read.name("name")
    read.text("postal_address")
    read.time_zone("time_zone")
    read.whole_number("send_hour", 0, 23)
    for name, highest in LIMITS.items():
        _limit(read, name, highest)


def _limit(read: Checked, name: str, highest: int) -> None:
    """0, the command line's word for no limit, is kept as null."""
    value = read.take(name, as_number)
    if is_whole(value) and 0 <= value <= highest:
        read.values[name] = value or None
    elif value is not ABSENT:
        read.wrong(name, f"must be an integer between 1 and {highest}, or 0 for no limit")


@transaction.atomic
def set_password(email: str, password: str | None = None) -> tuple[User, str]:
    """Give a user a new password, and end all their sessions: each carries a hash of the password it began with.

    password  made up when absent
    Returns (user, password in plain text). Raises NotFound, and Invalid for a password that is easily guessed.
    """
    try:
        user = User.objects.get_by_natural_key("" if unstorable(email) else email)
    except User.DoesNotExist:
        raise NotFound(f"There is no user {email}; dripstone users list shows them.") from None
    password = password or secrets.token_urlsafe(12)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(*error.messages) from None
    user.set_password(password)
    user.save(update_fields=["password"])
    sign_in.forgive(user.email)
    return user, password


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
