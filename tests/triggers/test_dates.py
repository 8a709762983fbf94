"""Dates in fields: each is reached once for a trigger and a person, at its hour on the wall of the account's zone."""

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.conditions import people
from dripstone.engine.acts import forget
from dripstone.events import causes, types
from dripstone.events.models import Event
from dripstone.subscribers import fields, subscribe
from dripstone.subscribers.models import CustomField, Subscriber
from dripstone.triggers import dates
from dripstone.triggers.dates import Due, Owner
from dripstone.triggers.models import DatedDue, DatedTrigger
from dripstone.triggers.when import Trigger
from tests import factories
from tests.factories import MONDAY_9, make_subscriber

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu")

# --- The calendar -------------------------------------------------------------------------------------------------

DAYS = st.dates(date(1890, 1, 1), date(2100, 12, 31)) | st.sampled_from([date(2024, 2, 29), date(2000, 2, 29)])
ASKED = st.tuples(DAYS, st.integers(-800, 800), st.integers(0, 23), st.sampled_from(ZONES))
AFTER = st.integers(0, 60 * 365 * 24).map(lambda hours: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(hours=hours))


def in_every_year(asked: tuple[date, int, int, str]) -> list[tuple[date, datetime]]:
    """By the words of the rule, one year after the other."""
    day, days, hour, zone = asked
    found = []
    for year in range(day.year, 2110):
        is_short = (day.month, day.day) == (2, 29) and not (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
        one = date(year, 2, 28) if is_short else date(year, day.month, day.day)
        wall = datetime.combine(one, datetime.min.time()) + timedelta(days=days, hours=hour)
        instant = wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        if instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall:
            found.append((one, instant))
        else:  # skipped: the first minute that there is behind it
            minutes = (instant + timedelta(minutes=n) for n in range(-3_000, 3_000))
            later = (at for at in minutes if at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) >= wall)
            found.append((one, next(later)))
    return found


@hypothesis.settings(max_examples=60, deadline=None)
@given(ASKED, AFTER, st.booleans())
def test_the_first_date_later_than_value_and_trigger_is_reached(
    asked: tuple[date, int, int, str], after: datetime, yearly: bool
) -> None:
    every = in_every_year(asked) if yearly else in_every_year(asked)[:1]
    expected = next(((one, at) for one, at in every if at > after), None)
    assert dates.reached(*asked, after, yearly=yearly) == expected


@hypothesis.settings(max_examples=60, deadline=None)
@given(ASKED, AFTER)
def test_years_follow_one_another_without_a_gap(asked: tuple[date, int, int, str], after: datetime) -> None:
    first = dates.reached(*asked, after, yearly=True)
    assert first is not None
    second = dates.reached(*asked, first[1], yearly=True, taken=first[0])
    assert second is not None
    assert second[0].year == first[0].year + 1
    assert dates.reached(*asked, after, yearly=True, taken=first[0]) == second


def test_leap_days_clock_changes_and_days_before() -> None:
    born = (date(2000, 2, 29), 0, 9, "UTC")
    assert dates.reached(*born, NEW_YEAR, yearly=True) == (date(2027, 2, 28), datetime(2027, 2, 28, 9, tzinfo=UTC))
    in_2028 = dates.reached(*born, datetime(2028, 1, 1, tzinfo=UTC), yearly=True)
    assert in_2028 == (date(2028, 2, 29), datetime(2028, 2, 29, 9, tzinfo=UTC))
    gap = dates.reached(date(2027, 3, 28), 0, 2, "Europe/Berlin", NEW_YEAR, yearly=False)
    assert gap == (date(2027, 3, 28), datetime(2027, 3, 28, 1, tzinfo=UTC))
    before = dates.reached(date(2027, 1, 2), -3, 9, "UTC", datetime(2026, 12, 29, tzinfo=UTC), yearly=False)
    assert before == (date(2027, 1, 2), datetime(2026, 12, 30, 9, tzinfo=UTC))
    assert dates.reached(date(2027, 1, 2), -3, 9, "UTC", NEW_YEAR, yearly=False) is None
    assert dates.reached(*born, datetime(2027, 2, 28, 9, tzinfo=UTC), yearly=False) is None


# --- Rows ---------------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> Account:
    return factories.make_account("Alice")


@pytest.fixture
def birthday(account: Account) -> CustomField:
    return fields.create(account.pk, {"label": "Birthday"}, MONDAY_9, cause=causes.OWNER)[0]


def a_rule(account: Account, pk: int = 7) -> Owner:
    return Owner("rule", pk, account.pk)


def on(field: CustomField, **values: Any) -> Trigger:
    return {"trigger": "field_date", "custom_field_id": field.pk, "days": 0, "hour": 9, "yearly": False, **values}


def listen(account: Account, *triggers: Trigger, now: datetime = MONDAY_9, pk: int = 7) -> None:
    dates.set_up(a_rule(account, pk), triggers, now)
    catch_up(now)


def catch_up(now: datetime) -> None:
    while dates.catch_up(now):
        pass


def born(account: Account, field: CustomField, value: str | None, **values: Any) -> Subscriber:
    return make_subscriber(account, fields={} if value is None else {str(field.pk): value}, **values)


def change(person: Subscriber, field: CustomField, value: str | None, now: datetime) -> None:
    """As it comes about, and as readers of events hear of it."""
    subscribe.update(person.pk, {"fields": {field.key: value}}, now, cause=causes.API)
    changes = Event.objects.filter(type=types.FIELD_VALUE_UPDATED, subscriber_id=person.pk, occurred_at=now)
    dates.follow(changes.order_by("pk"), now)


def waiting() -> dict[int, tuple[date | None, datetime | None]]:
    rows = DatedDue.objects.filter(at__isnull=False, trigger__ended_at=None)
    return {row.subscriber_id: (row.date, row.at) for row in rows}


def taken_by(now: datetime, limit: int = 100) -> list[tuple[int, date]]:
    with transaction.atomic():
        return [(due.subscriber_id, due.date) for due in dates.take(now, limit)]


TEXTS = [
    *("2027-03-01", " 2027-03-01\n", "2027-03-01T23:30", "2027-03-01 23:30:15.5", "2027-03-01T23:30Z"),
    *("2027-03-01T00:30:00+05:45", "2027-03-01 00:30:00-1400", "2024-02-29", "2023-02-29", "2027-13-01", "2027-1-1"),
    *("1 March 2027", "", "tomorrow", "0000-01-01", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59-12:00"),
    *("2027-03-01T24:00", "2027-03-01T12:60", "20270301", "2027-03-01T10:00:00.123456789Z", "2027-03-01T10", "12:00"),
    *("2027-03-01T12:00+15:00", "2027-03-01T12:00 +01:00", "２０２７-03-01", "2027-03-01x", "1889-12-31"),
]
BEYOND = {"9999-12-31", "9999-12-31T23:59:59-12:00"}  # dates for conditions; no trigger can wait for them
WRITTEN = st.builds(
    "{:04}-{:02}-{:02}{}{}".format,
    st.integers(1890, 2100),
    st.integers(0, 13),
    st.integers(0, 32),
    st.sampled_from(["", "T00:15", " 23:45:59", "T12"]),
    st.sampled_from(["", "Z", "+0530", "-11:00"]),
)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Pacific/Kiritimati"])
def test_a_text_is_the_same_date_here_as_in_conditions(birthday: CustomField, account: Account, zone: str) -> None:
    Account.objects.filter(pk=account.pk).update(time_zone=zone)
    account.refresh_from_db()

    @hypothesis.settings(max_examples=3, deadline=None, database=None, phases=(hypothesis.Phase.generate,))
    @given(st.lists(WRITTEN, max_size=30))
    def check(more: list[str]) -> None:
        texts = {born(account, birthday, text).pk: text for text in (*TEXTS, *more)}
        rule = next(_numbers)
        listen(account, on(birthday, yearly=True), pk=rule)
        rows = DatedDue.objects.filter(trigger__owner_id=rule, subscriber_id__in=texts)
        days = {row.subscriber_id: row.day for row in rows if row.day is not None and row.day.year > 1900}
        assert met_by(account, birthday, texts, after="1900-12-31") == {texts[pk] for pk in days}
        for day in set(days.values()):
            around = {"after": str(day - timedelta(days=1)), "before": str(day + timedelta(days=1))}
            assert met_by(account, birthday, texts, **around) == {texts[pk] for pk, one in days.items() if one == day}

    check()


_numbers = itertools.count(100)


def met_by(account: Account, field: CustomField, texts: dict[int, str], **asked: str) -> set[str]:
    """The texts of those whom conditions find by all of these comparisons."""
    leaf = {"type": "custom_field", "subscriber_custom_field_id": field.pk}
    every = {"all": [leaf | {"comparison": comparison, "value": value} for comparison, value in asked.items()]}
    found = people.matching(every, account, MONDAY_9, among=list(texts))
    return {texts[pk] for pk in found.values_list("pk", flat=True)} - BEYOND


def test_people_who_are_there_are_found_in_batches(
    account: Account, birthday: CustomField, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dates, "BATCH", 3)
    there = [born(account, birthday, f"2026-12-{day:02}") for day in range(1, 8)]
    born(account, birthday, "2026-11-22")  # over
    born(account, birthday, "soon")
    born(account, birthday, None)
    born(factories.make_account("Mallory"), birthday, "2026-12-24")
    assert waiting() == {}
    listen(account, on(birthday, hour=6))
    assert waiting() == {
        person.pk: (date(2026, 12, day), datetime(2026, 12, day, 6, tzinfo=UTC))
        for day, person in enumerate(there, start=1)
    }
    assert not dates.catch_up(MONDAY_9)


def test_a_batch_that_is_cut_off_is_done_again(account: Account, birthday: CustomField) -> None:
    born(account, birthday, "2026-12-24")
    dates.set_up(a_rule(account), [on(birthday)], MONDAY_9)
    with transaction.atomic():
        assert dates.catch_up(MONDAY_9)
        transaction.set_rollback(True)
    assert waiting() == {}
    catch_up(MONDAY_9)
    assert len(waiting()) == 1


def test_only_a_date_later_than_value_and_trigger_counts(account: Account, birthday: CustomField) -> None:
    at_nine, later = born(account, birthday, "2026-11-23"), born(account, birthday, "2026-11-24")
    listen(account, on(birthday))
    assert waiting().keys() == {later.pk}  # 9:00 of today is not later than 9:00
    change(at_nine, birthday, "2026-11-30", MONDAY_9 + timedelta(hours=1))
    change(later, birthday, "2026-11-23", MONDAY_9 + timedelta(hours=1))
    assert waiting() == {at_nine.pk: (date(2026, 11, 30), datetime(2026, 11, 30, 9, tzinfo=UTC))}


def test_somebody_changed_since_the_trigger_was_set_up_waits_for_their_event(
    account: Account, birthday: CustomField
) -> None:
    """Their value may be younger than its date, and only the event knows."""
    person = born(account, birthday, "2026-11-23", updated_at=MONDAY_9 + timedelta(minutes=30))
    listen(account, on(birthday), now=MONDAY_9 - timedelta(hours=1))
    assert person.pk not in waiting()


def test_a_changed_value_moves_its_date_and_an_emptied_one_takes_it_away(
    account: Account, birthday: CustomField
) -> None:
    person = born(account, birthday, "2026-12-24")
    listen(account, on(birthday, days=-1), on(birthday, yearly=True))
    assert DatedDue.objects.count() == 2
    change(person, birthday, "2026-12-31", MONDAY_9 + timedelta(hours=1))
    found = DatedDue.objects.order_by("trigger__number").values_list("at", flat=True)
    assert list(found) == [datetime(2026, 12, 30, 9, tzinfo=UTC), datetime(2026, 12, 31, 9, tzinfo=UTC)]
    change(person, birthday, None, MONDAY_9 + timedelta(hours=2))
    assert waiting() == {}
    change(person, birthday, "2027-01-15T23:00:00-05:00", MONDAY_9 + timedelta(hours=3))
    assert {row.date for row in DatedDue.objects.all()} == {date(2027, 1, 16)}  # in the account's zone


def test_the_last_of_several_changes_counts(account: Account, birthday: CustomField) -> None:
    person = born(account, birthday, None)
    listen(account, on(birthday))
    for hours, value in enumerate(("2026-12-01", "2026-12-02", "2026-12-03")):
        now = MONDAY_9 + timedelta(hours=hours)
        subscribe.update(person.pk, {"fields": {birthday.key: value}}, now, cause=causes.quietly(causes.OWNER))
    dates.follow(Event.objects.order_by("pk"), MONDAY_9 + timedelta(hours=9))
    assert waiting()[person.pk][0] == date(2026, 12, 3)


def test_a_date_is_taken_once(account: Account, birthday: CustomField) -> None:
    first, second = born(account, birthday, "2026-12-01"), born(account, birthday, "2026-12-02")
    listen(account, on(birthday, hour=0))
    second_of_december = datetime(2026, 12, 2, tzinfo=UTC)
    assert dates.next_instant(MONDAY_9) == datetime(2026, 12, 1, tzinfo=UTC)
    assert taken_by(datetime(2026, 11, 30, 23, 59, tzinfo=UTC)) == []
    with transaction.atomic():
        [due, _] = dates.take(second_of_december, 100)
        transaction.set_rollback(True)
    assert due == Due(a_rule(account), 0, first.pk, datetime(2026, 12, 1, tzinfo=UTC), date(2026, 12, 1))
    assert taken_by(second_of_december, 1) == [(first.pk, date(2026, 12, 1))]
    assert taken_by(second_of_december) == [(second.pk, date(2026, 12, 2))]
    assert taken_by(second_of_december) == []
    assert dates.next_instant(MONDAY_9) is None


def test_a_yearly_date_comes_every_year(account: Account, birthday: CustomField) -> None:
    person = born(account, birthday, "2000-02-29")
    listen(account, on(birthday, yearly=True))
    for year, last in ((2027, 28), (2028, 29), (2029, 28)):
        at = dates.next_instant(MONDAY_9)
        assert at == datetime(year, 2, last, 9, tzinfo=UTC)
        assert taken_by(at) == [(person.pk, date(year, 2, last))]
        assert taken_by(at) == []


def test_what_was_taken_does_not_come_again_by_an_edit_or_a_value_that_comes_back(
    account: Account, birthday: CustomField
) -> None:
    person = born(account, birthday, "2026-11-24")
    listen(account, on(birthday))
    tuesday = datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert taken_by(tuesday) == [(person.pk, date(2026, 11, 24))]
    listen(account, on(birthday, hour=18), now=tuesday + timedelta(hours=1))
    assert waiting() == {}
    change(person, birthday, None, tuesday + timedelta(hours=2))
    change(person, birthday, "2026-11-24", tuesday + timedelta(hours=3))
    assert waiting() == {}
    listen(account, on(birthday, hour=18, yearly=True), now=tuesday + timedelta(hours=4))
    assert waiting()[person.pk][0] == date(2027, 11, 24)


def test_triggers_that_stay_keep_their_dates_wherever_they_stand(account: Account, birthday: CustomField) -> None:
    born(account, birthday, "2026-12-24")
    other, _ = fields.create(account.pk, {"label": "Other"}, MONDAY_9, cause=causes.OWNER)
    tag: Trigger = {"trigger": "tag_added", "tag_id": 1}
    listen(account, on(other), on(birthday))
    before = {row.pk: row.since for row in DatedTrigger.objects.filter(custom_field_id=birthday.pk)}
    listen(account, tag, tag, on(birthday), now=MONDAY_9 + timedelta(days=1))
    rows = DatedTrigger.objects.all()
    assert {row.pk: row.since for row in rows} == before
    assert [row.number for row in rows] == [2]
    assert len(waiting()) == 1
    listen(account, now=MONDAY_9 + timedelta(days=2))
    assert (DatedTrigger.objects.count(), DatedDue.objects.count()) == (0, 0)


def test_nobody_hears_of_an_owner_who_does_not_listen(account: Account, birthday: CustomField) -> None:
    born(account, birthday, "2026-12-24")
    listen(account, on(birthday))
    dates.set_up(a_rule(account), [], MONDAY_9)
    assert taken_by(NEW_YEAR) == []
    assert dates.next_instant(MONDAY_9) is None


def test_a_deleted_field_puts_its_triggers_to_rest(account: Account, birthday: CustomField) -> None:
    born(account, birthday, "2026-12-24")
    listen(account, on(birthday))
    fields.delete(birthday, MONDAY_9, cause=causes.OWNER)
    assert taken_by(NEW_YEAR) == []
    assert dates.next_instant(MONDAY_9) is None
    catch_up(MONDAY_9)
    assert not DatedDue.objects.exists()


def test_another_zone_moves_what_is_to_come_and_brings_it_once(
    account: Account, birthday: CustomField, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dates, "BATCH", 2)
    some = [born(account, birthday, value) for value in ("2026-11-24", "2026-11-25", "2026-11-25")]
    listen(account, on(birthday))
    at_ten = datetime(2026, 11, 24, 10, tzinfo=UTC)
    assert taken_by(at_ten) == [(some[0].pk, date(2026, 11, 24))]
    Account.objects.filter(pk=account.pk).update(time_zone="America/New_York")
    account.refresh_from_db()
    dates.rezone(account)
    catch_up(at_ten)
    assert waiting() == {person.pk: (date(2026, 11, 25), datetime(2026, 11, 25, 14, tzinfo=UTC)) for person in some[1:]}
    Account.objects.filter(pk=account.pk).update(time_zone="Pacific/Kiritimati")  # and nobody says so
    catch_up(at_ten)
    assert {at for _, at in waiting().values()} == {datetime(2026, 11, 24, 19, tzinfo=UTC)}
    at_noon_of_the_day = datetime(2026, 11, 24, 22, tzinfo=UTC)
    Account.objects.filter(pk=account.pk).update(time_zone="UTC")
    catch_up(at_noon_of_the_day)
    Account.objects.filter(pk=account.pk).update(time_zone="Pacific/Kiritimati")
    catch_up(at_noon_of_the_day)  # the change puts it into the past: at once
    assert sorted(taken_by(at_noon_of_the_day)) == sorted((one.pk, date(2026, 11, 25)) for one in some[1:])
    assert taken_by(NEW_YEAR) == []


def test_accounts_take_turns(account: Account, birthday: CustomField) -> None:
    bob = factories.make_account("Bob")
    theirs, _ = fields.create(bob.pk, {"label": "Birthday"}, MONDAY_9, cause=causes.OWNER)
    for _ in range(5):
        born(account, birthday, "2026-11-24")
    small = born(bob, theirs, "2026-11-25")
    listen(account, on(birthday))
    listen(bob, on(theirs), pk=8)
    assert small.pk in {pk for pk, _ in taken_by(NEW_YEAR, 2)}


def test_a_deleted_person_has_no_dates(account: Account, birthday: CustomField) -> None:
    person = born(account, birthday, "2026-12-24")
    listen(account, on(birthday))
    forget.forget(account, person.pk, "owner", MONDAY_9)
    assert not DatedDue.objects.exists()
    late = Event(
        type=types.FIELD_VALUE_UPDATED,
        account_id=account.pk,
        subscriber_id=person.pk,
        subject_id=birthday.pk,
        data={"value": "2026-12-31"},
        occurred_at=MONDAY_9,
    )
    dates.follow([late], MONDAY_9)  # read before they were deleted
    assert not DatedDue.objects.exists()
