"""Letting people in: invitations, accounts that somebody makes by themselves, forgotten passwords, another address of a
user, sending addresses. Each is a row (dripstone/accounts) and a mail (notices.py) in one transaction: there is never
one without the other.

Nobody learns from an answer whether an address belongs to a user. Asking is limited as signing in is.
"""

from datetime import datetime

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.tokens import PasswordResetTokenGenerator, default_token_generator
from django.db import transaction
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from dripstone.accounts import invitations, sending_addresses, sessions, sign_in, verbs
from dripstone.accounts.models import Account, Invitation, SendingAddress, User
from dripstone.engine import notices
from dripstone.errors import Invalid, NotFound
from dripstone.given import Checked, Given, plain_address


@transaction.atomic
def invite(account: Account, given: Given, by: User, now: datetime) -> Invitation:
    """given   `email_address`, `role`

    Raises Invalid, also when no mail can be sent: then the operator's command prints the link.
    """
    row = invitations.invite(account, given, by, now)
    notices.invitation(row, now)
    return row


@transaction.atomic
def ask_to_sign_up(given: Given, network: str, now: datetime) -> None:
    """Mails a link with which the address can make an account.

    given   `email_address`
    Raises Invalid, and sign_in.TooManyFailures when the network or the address asks too often.
    """
    email = _address(given)
    if sign_in.may_ask(email, network, now):
        notices.invitation(invitations.to_sign_up(email, now), now)


@transaction.atomic
def ask_for_password(given: Given, network: str, now: datetime) -> None:
    """Mails a link with which a user chooses a new password. An address that is nobody's costs the same time, and gets
    nothing.

    given   `email_address`
    Raises Invalid, and sign_in.TooManyFailures when the network asks too often.
    """
    email = _address(given)
    if not sign_in.may_ask(email, network, now):
        return
    user = User.objects.filter(email=email).first() or User(email=email)
    with transaction.atomic():
        notices.password_reset(user, password_link(user), now)
        if user.pk is None:
            transaction.set_rollback(True)


def _address(given: Given) -> str:
    read = Checked(given, required=("email_address",), labels={"email_address": "Email address"})
    read.address("email_address")
    return plain_address(read.sound()["email_address"])


def password_link(user: User) -> str:
    """It ends when the password changes, when they sign in, and after PASSWORD_RESET_TIMEOUT."""
    return f"{settings.DRIPSTONE_URL}/passwords/{user.pk}/{default_token_generator.make_token(user)}"


def of_password_link(user_id: int, token: str) -> User | None:
    user = User.objects.filter(pk=user_id).first()
    return user if user is not None and default_token_generator.check_token(user, token) else None


@transaction.atomic
def choose_password(user_id: int, token: str, given: Given) -> User:
    """given   `password`

    All their sessions end. Raises NotFound for a link that does not work any more (of two at once, one is second), and
    Invalid.
    """
    locked = User.objects.select_for_update().filter(pk=user_id).first()
    if locked is None or not default_token_generator.check_token(locked, token):
        raise NotFound
    verbs.change_password(locked, given)
    sessions.end_others(locked, None)
    return locked


# --- Another address of a user ----------------------------------------------------------------------------------------


@transaction.atomic
def ask_for_new_address(user: User, given: Given, network: str, now: datetime) -> str:
    """Mails a link to the address that a user wants to sign in with. One that another user has gets nothing, and nobody
    is told.

    given   `email_address`
    Returns the address. Raises Invalid, and sign_in.TooManyFailures when the network asks too often.
    """
    email = _address(given)
    if email == user.email:
        raise Invalid.member("email_address", "This is your address already")
    if problem := notices.why_no_account_mail():
        raise Invalid(problem)
    if sign_in.may_ask(email, network, now) and not User.objects.filter(email=email).exists():
        notices.new_address(user, email, new_address_link(user, email), now)
    return email


class _NewAddressTokens(PasswordResetTokenGenerator):
    """Django's tokens over one more value: where somebody signs in meanwhile does not matter, a new password does."""

    key_salt = "dripstone.new_address"

    def __init__(self, email: str) -> None:
        super().__init__()
        self.email = email

    def _make_hash_value(self, user: AbstractBaseUser, timestamp: int) -> str:
        assert isinstance(user, User)
        return f"{user.pk} {user.password} {user.email} {self.email} {timestamp}"


def new_address_link(user: User, email: str) -> str:
    """It ends when their address or password changes, and after PASSWORD_RESET_TIMEOUT."""
    told, token = urlsafe_base64_encode(email.encode()), _NewAddressTokens(email).make_token(user)
    return f"{settings.DRIPSTONE_URL}/new-address/{user.pk}/{told}/{token}"


def of_new_address_link(user_id: int, told: str, token: str) -> tuple[User, str] | None:
    """Whose, and the address, of a link that still works."""
    return _of_new_address(User.objects.filter(pk=user_id).first(), told, token)


def _of_new_address(user: User | None, told: str, token: str) -> tuple[User, str] | None:
    try:
        email = urlsafe_base64_decode(told).decode()
    except ValueError:
        return None
    return (user, email) if user and _NewAddressTokens(email).check_token(user, token) else None


@transaction.atomic
def take_new_address(user_id: int, told: str, token: str, now: datetime) -> User:
    """From now on they sign in with it. The address before is told.

    Raises NotFound for a link that does not work any more (of two at once, one is second), and Invalid when somebody
    else has the address by now.
    """
    found = _of_new_address(User.objects.select_for_update().filter(pk=user_id).first(), told, token)
    if found is None:
        raise NotFound
    user, email = found
    before = verbs.change_address(user, email)
    if not notices.why_no_account_mail():
        notices.address_changed(user, before, now)
    return user


# --- Sending addresses ------------------------------------------------------------------------------------------------


@transaction.atomic
def add_address(account: Account, given: Given, now: datetime) -> SendingAddress:
    """given   `email_address`, `from_name`. A mail asks whoever reads it. Raises Invalid."""
    row = sending_addresses.add(account, given, now)
    return ask_address(account, row.pk, now)


@transaction.atomic
def ask_address(account: Account, address_id: int, now: datetime) -> SendingAddress:
    """Asks (again) whether the account may send from it. Raises NotFound and Invalid."""
    row = sending_addresses.ask(account, address_id, now)
    notices.verification(row, now)
    return row
