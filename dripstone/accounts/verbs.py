"""Open an account, change it, make users and passwords, make and check API keys."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import F, QuerySet

from dripstone import signing
from dripstone.accounts import members, sessions, sign_in
from dripstone.accounts.models import Account, ApiKey, Role, SendingAddress, User
from dripstone.errors import Conflict, Invalid, NotFound
from dripstone.given import ABSENT, Checked, Given, as_number, is_whole, plain_address, unstorable

KEY_PREFIX = "kit_"
FIRST = "first owner"
TAKEN = "Email address has already been taken"
LABELS = {"email_address": "Email address", "name": "Name", "password": "Password"}
DIRECTIONS = ("ltr", "rtl")
LONGEST_PASSWORD = 1_000  # hashing takes longer, the longer it is
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
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
    read = Checked({"name": name, "email_address": email, "time_zone": time_zone}, labels=LABELS)
    read_account(read)
    _read_address(read)
    values = read.sound()
    password = password or secrets.token_urlsafe(12)
    account, user = _open(values, password, now)
    _, plaintext = create_key(account, "default", now)
    return account, user, password, plaintext


def first_link() -> str:
    """Makes the first owner, as long as there is no user; so it works once."""
    return f"{settings.DRIPSTONE_URL}/first/{signing.make(FIRST, 0)}"


def is_first_link(token: str) -> bool:
    return signing.read(FIRST, token) is not None and not User.objects.exists()


@transaction.atomic
def create_first(given: Given, now: datetime) -> tuple[Account, User]:
    """The first account of a server, with its owner.

    given   `name`, `email_address`, `time_zone`, `password`
    Raises Conflict when there is a user already: of two who try at once, one is second. Raises Invalid.
    """
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE accounts_user IN SHARE ROW EXCLUSIVE MODE")  # until the transaction ends
    if User.objects.exists():
        raise Conflict("This server has an owner already")
    read = Checked(given, required=("name", "email_address", "time_zone", "password"), labels=LABELS)
    read_account(read)
    _read_address(read)
    read_password(read, User(email=str(given.get("email_address", ""))))
    values = read.sound()
    return _open(values, values["password"], now)


def _open(values: Mapping[str, Any], password: str, now: datetime) -> tuple[Account, User]:
    email = values["email_address"]
    account = make_account(values["name"], email, values["time_zone"], now)
    user = make_user(plain_address(email), password, now)
    members.join(account, user, Role.OWNER, now)
    return account, user


def make_account(name: str, email: str, time_zone: str, now: datetime) -> Account:
    """Of sound values. The address is its own, so it is the first sending address, and verified."""
    account = Account.objects.create(name=name, primary_email_address=email, time_zone=time_zone, created_at=now)
    SendingAddress.objects.create(account=account, email_address=email, from_name=name, is_default=True, created_at=now)
    return account


def make_user(email: str, password: str, now: datetime) -> User:
    """Of sound values. Raises Invalid when somebody else has just taken the address."""
    user = User(email=email, created_at=now)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise Invalid.member("email_address", TAKEN) from None
    return user


@transaction.atomic
def update_account(account: Account, given: Given) -> Account:
    """given   any of `name`, `postal_address` (printed in every email), `time_zone` and `send_hour` (of new sequences),
            `language` and `direction` of its emails (both may be ""), and the limits `per_second` and `per_day`
            (messages; 0 or null: none)

    Raises Invalid with every problem found.
    """
    read = Checked(given)
    read_account(read)
    values = {name: value.strip() if isinstance(value, str) else value for name, value in read.sound().items()}
    for field, value in values.items():
        setattr(account, field, value)
    account.save(update_fields=list(values))
    return account


def dismiss_first_run(account: Account, now: datetime) -> None:
    """Its pages show the first steps no more, whoever looks at them."""
    account.first_run_dismissed_at = now
    account.save(update_fields=["first_run_dismissed_at"])


def read_account(read: Checked) -> None:
    read.name("name")
    read.text("postal_address")
    read.time_zone("time_zone")
    read.whole_number("send_hour", 0, 23)
    _read_language(read)
    for name, highest in LIMITS.items():
        _limit(read, name, highest)


def _limit(read: Checked, name: str, highest: int) -> None:
    """0, the command line's word for no limit, is kept as null; so is a field left empty."""
    value = read.take(name, as_number)
    if value is None:
        read.values[name] = None
    elif is_whole(value) and 0 <= value <= highest:
        read.values[name] = value or None
    elif value is not ABSENT:
        read.wrong(name, f"must be an integer between 1 and {highest}, or 0 for no limit")


def _read_language(read: Checked) -> None:
    """`language` as BCP 47 writes it, and `direction`; "" for both: readers' programs guess."""
    read.drop_nulls("language", "direction")
    read.text("language")
    if (language := read.values.get("language", "").strip()) and not _LANGUAGE.fullmatch(language):
        read.wrong("language", "must be a language tag, such as de or pt-BR")
    if read.take("direction") == "":
        read.values["direction"] = ""
    else:
        read.choice("direction", DIRECTIONS)


# --- Users and their passwords ------------------------------------------------------------------------------------


def read_new_user(read: Checked, email: str) -> None:
    """`password`, for a user who does not exist yet."""
    if User.objects.filter(email=email).exists():
        read.refuse("email_address", TAKEN)
    read_password(read, User(email=email))


def _read_address(read: Checked) -> None:
    read.address("email_address")
    address = read.values.get("email_address")
    if address and User.objects.filter(email=plain_address(address)).exists():
        read.refuse("email_address", TAKEN)


def read_password(read: Checked, user: User) -> None:
    """One that is not easily guessed."""
    read.words("password", LONGEST_PASSWORD)
    if "password" in read.values:
        for sentence in _weaknesses(read.values["password"], user):
            read.refuse("password", sentence)


def _weaknesses(password: str, user: User) -> list[str]:
    try:
        validate_password(password, user)
    except ValidationError as error:
        return list(error.messages)
    return []


@transaction.atomic
def change_password(user: User, given: Given) -> None:
    """given   `password`: the new one. Whether they know the old one was looked at before (sign_in.check).

    All sessions end but the one that the caller keeps: each carries a hash of the password it began with.
    """
    read = Checked(given, required=("password",), labels={"password": "New password"})
    read_password(read, user)
    user.set_password(read.sound()["password"])
    user.save(update_fields=["password"])
    sign_in.forgive(user.email)


@transaction.atomic
def set_password(email: str, password: str | None = None) -> tuple[User, str]:
    """Give a user a new password, and end all their sessions: each carries a hash of the password it began with.

    password  made up when absent
    Returns (user, password in plain text). Raises NotFound, and Invalid for a password that is easily guessed.
    """
    user = _by_address(email)
    password = password or secrets.token_urlsafe(12)
    if weaknesses := _weaknesses(password, user):
        raise Invalid(weaknesses)
    user.set_password(password)
    user.save(update_fields=["password"])
    sessions.end_others(user, None)
    sign_in.forgive(user.email)
    return user, password


@transaction.atomic
def change_address(user: User, email: str) -> str:
    """Another address to sign in with, which their mail goes to. Links that waited for the one before end.

    email   given.plain_address
    Returns the one before. Raises Invalid when somebody else has it by now.
    """
    before, user.email = user.email, email
    try:
        with transaction.atomic():
            user.save(update_fields=["email"])
    except IntegrityError:
        user.email = before
        raise Invalid.member("email_address", TAKEN) from None
    sign_in.forgive(email)
    return before


@transaction.atomic
def correct_address(email: str, new_email: str) -> tuple[User, str]:
    """The operator's word for it, without a mail that asks. Returns (user, the address before). Raises NotFound, and
    Invalid."""
    user = _by_address(email)
    read = Checked({"email_address": new_email}, labels=LABELS)
    _read_address(read)
    return user, change_address(user, plain_address(read.sound()["email_address"]))


def _by_address(email: str) -> User:
    try:
        return User.objects.get_by_natural_key("" if unstorable(email) else email)
    except User.DoesNotExist:
        raise NotFound(f"There is no user {email}; dripstone users list shows them.") from None


# --- API keys -----------------------------------------------------------------------------------------------------


def keys_of(account: Account) -> QuerySet[ApiKey]:
    """The newest first; those that were revoked come last."""
    return account.api_keys.order_by(F("revoked_at").asc(nulls_first=True), "-pk")


def make_key(account: Account, given: Given, now: datetime) -> tuple[ApiKey, str]:
    """given   `name`: what it is for; `has_full_access`: whether it opens what Kit keeps for OAuth

    Raises Invalid. The second value is the key itself, which is not kept.
    """
    read = Checked(given, required=("name",), labels=LABELS)
    read.name("name")
    read.flag("has_full_access")
    values = read.sound()
    return create_key(account, values["name"], now, has_full_access=values.get("has_full_access", False))


def revoke_key(account: Account, key_id: int, now: datetime) -> None:
    """At once and for good. Raises NotFound when there is no such key, or it has been revoked already."""
    if not ApiKey.objects.filter(account=account, pk=key_id, revoked_at=None).update(revoked_at=now):
        raise NotFound


def create_key(account: Account, name: str, now: datetime, *, has_full_access: bool = False) -> tuple[ApiKey, str]:
    """A new API key; the second value is the key itself, which is not kept."""
    plaintext = KEY_PREFIX + secrets.token_hex(20)
    key = ApiKey.objects.create(
        account=account,
        name=name,
        key_hash=hash_key(plaintext),
        hint=plaintext[-4:],
        has_full_access=has_full_access,
        created_at=now,
    )
    return key, plaintext


def account_for_key(plaintext: str) -> Account | None:
    """The account a live key opens, or None."""
    key = ApiKey.objects.select_related("account").filter(key_hash=hash_key(plaintext), revoked_at=None).first()
    return key.account if key else None


def hash_key(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode("utf-8", "surrogatepass")).hexdigest()
