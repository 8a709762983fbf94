"""The account, its sending addresses and its time zone."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from typing_extensions import TypedDict

from dripstone.accounts.models import Account, CreatorProfile, SendingAddress
from dripstone.shapes.instants import instant

# Rails' names for zones, which Kit shows to people; every other zone is called by its city.
FRIENDLY = {
    "America/New_York": "Eastern Time (US & Canada)",
    "America/Chicago": "Central Time (US & Canada)",
    "America/Denver": "Mountain Time (US & Canada)",
    "America/Phoenix": "Arizona",
    "America/Los_Angeles": "Pacific Time (US & Canada)",
    "America/Anchorage": "Alaska",
    "Pacific/Honolulu": "Hawaii",
    "America/Halifax": "Atlantic Time (Canada)",
    "Etc/UTC": "UTC",
    "UTC": "UTC",
}


class TimeZone(TypedDict):
    name: str
    friendly_name: str
    utc_offset: str


class SendingAddressShape(TypedDict):
    email_address: str
    from_name: str
    status: str
    is_default: bool
    is_verified: bool
    is_dmarc_configured: bool


class Plan(TypedDict):
    plan_type: str
    interval: str
    subscriber_limit: int
    on_trial: bool
    trial_lapse_date: str | None
    renews_at: str
    cancels_at: str | None


class AccountShape(TypedDict):
    id: int
    name: str
    plan_type: str
    primary_email_address: str
    created_at: str
    timezone: TimeZone
    sending_addresses: list[SendingAddressShape]
    plan: Plan


def account(account: Account, now: datetime) -> AccountShape:
    """`now` decides the UTC offset shown."""
    return AccountShape(
        id=account.pk,
        name=account.name,
        plan_type=account.plan_type,
        primary_email_address=account.primary_email_address,
        created_at=instant(account.created_at),
        timezone=time_zone(account.time_zone, now),
        sending_addresses=[sending_address(row) for row in account.sending_addresses.order_by("-is_default", "id")],
        plan=_plan(account, now),
    )


def sending_address(row: SendingAddress) -> SendingAddressShape:
    return SendingAddressShape(
        email_address=row.email_address,
        from_name=row.from_name,
        status="verified" if row.is_verified else "pending",
        is_default=row.is_default,
        is_verified=row.is_verified,
        is_dmarc_configured=row.is_dmarc_configured,
    )


def time_zone(name: str, now: datetime) -> TimeZone:
    offset = now.astimezone(ZoneInfo(name)).strftime("%z")
    friendly = FRIENDLY.get(name, name.rsplit("/", 1)[-1].replace("_", " "))
    return TimeZone(name=name, friendly_name=friendly, utc_offset=f"{offset[:3]}:{offset[3:]}")


def _plan(account: Account, now: datetime) -> Plan:
    """Nobody pays here and nothing is limited: Kit's members with values that say so to its clients."""
    return Plan(
        plan_type=account.plan_type,
        interval="month",
        subscriber_limit=2**31 - 1,
        on_trial=False,
        trial_lapse_date=None,
        renews_at=instant(now.replace(year=now.year + 1, day=1)),
        cancels_at=None,
    )


class ProfileShape(TypedDict):
    """What nobody wrote is ""."""

    name: str
    byline: str
    bio: str
    image_url: str
    profile_url: str


def profile(row: CreatorProfile) -> ProfileShape:
    return ProfileShape(
        name=row.name,
        byline=row.byline,
        bio=row.bio,
        image_url=f"{settings.DRIPSTONE_URL}{row.image_url}" if row.image_url.startswith("/") else row.image_url,
        profile_url=row.profile_url,
    )
