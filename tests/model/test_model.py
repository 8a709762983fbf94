"""Random stories, played to the engine and to the model of reference.py: after every step both must tell the same.

What is real here: the database, the verbs everybody uses, the engine under the virtual clock. Only the mail servers are
played: what they answer is part of the story. stage.py holds what the stories are played on.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from dripstone.engine import enroll, transitions
from dripstone.engine.acts import edits, places
from dripstone.engine.models import Enrollment
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.grammar import Condition
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers import forms, tags
from dripstone.subscribers.models import Form, Subscriber
from dripstone.words import WEEKDAYS
from tests.driving import Engine
from tests.factories import make_subscriber, make_tag
from tests.model.changes import tags_in
from tests.model.reference import Course, Email, Person
from tests.model.stage import Stage
from tests.model.where import Weather

ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe"]
CLOCK_CHANGES = [  # a few days before one, in New York, Berlin, and the two islands
    datetime(2026, 3, 6, tzinfo=UTC),
    datetime(2026, 10, 30, tzinfo=UTC),
    datetime(2026, 3, 27, tzinfo=UTC),
    datetime(2026, 10, 23, tzinfo=UTC),
    datetime(2026, 4, 2, tzinfo=UTC),
    datetime(2026, 9, 24, tzinfo=UTC),
    datetime(2026, 10, 1, tzinfo=UTC),
]
MOST_EMAILS, MOST_COURSES, MOST_PEOPLE = 10, 2, 5
MINUTES = st.integers(0, 4 * 24 * 60)

hours = st.one_of(st.sampled_from([0, 1, 2, 3, 9]), st.integers(0, 23))
days = st.one_of(st.just(list(range(7))), st.lists(st.integers(0, 6), min_size=1, unique=True).map(sorted))
delays = st.one_of(
    st.tuples(st.integers(1, 3), st.just("days")),
    st.tuples(st.sampled_from([1, 5, 24, 30]), st.just("hours")),
    st.just((0, "days")),
)
delays_behind = st.sampled_from([(1, "hours"), (30, "hours"), (2, "days"), (3, "days"), (3, "days")])
places_in_row = st.one_of(st.none(), st.integers(0, 6))
indices = st.integers(0, 7)  # of whatever there is, modulo how many there are
sources = st.sampled_from(["api", "form", "rule", "automation", "bulk", "import"])
weathers = st.sampled_from(["sent", "sent", "temporary", "permanent", "bounce", "unknown"])
tagged: st.SearchStrategy[Condition] = st.builds(
    dict, type=st.just("tags"), ids=st.sampled_from([[0], [1], [0, 1]]), has=st.sampled_from(["any", "all"])
)
conditions = st.none() | st.recursive(  # of tags 0 and 1
    tagged,
    lambda part: (
        part.map(lambda one: {"not": one})
        | st.builds(
            lambda joiner, parts: {joiner: parts},
            st.sampled_from(["all", "any"]),
            st.lists(part, min_size=2, max_size=2),
        )
    ),
    max_leaves=3,
)
moments = st.tuples(st.sampled_from(CLOCK_CHANGES), MINUTES).map(lambda pair: pair[0] + timedelta(minutes=pair[1]))
verbs = st.sampled_from(["pause", "pause", "resume", "resume", "skip", "send_now", "move", "restart", "remove"])


class Story(Stage):
    """Two people on their way through one sequence, which is edited: few rules, so that each is told often."""

    @initialize(
        now=moments,
        zone=st.sampled_from(ZONES),
        hour=hours,
        shape=st.lists(st.tuples(delays, st.none() | st.none() | days), min_size=4, max_size=6),
        weather=weathers,
        head_starts=st.tuples(st.integers(0, 3), st.integers(0, 5)),
    )
    def begin(
        self,
        now: datetime,
        zone: str,
        hour: int,
        shape: list[tuple[tuple[int, str], list[int] | None]],
        weather: Weather,
        head_starts: tuple[int, int],
    ) -> None:
        """Two people who stand at different places of one sequence."""
        self.build(now)
        self.new_course(zone, hour, list(range(7)))
        self.build_segments()
        for delay, own in shape:
            self.new_email(0, delay, True, None, own)
        for n_emails in head_starts:
            self.new_person("active", 0)
            for _ in range(n_emails):
                self.let_pass_until_next(0)
        self.model.people[0].weather = weather

    # Edits

    def new_course(self, zone: str, hour: int, days: list[int]) -> None:
        given = {"name": "Course", "time_zone": zone, "send_hour": hour, "send_days": [WEEKDAYS[day] for day in days]}
        row = edits.create_sequence(self.account, given, self.now).sequence
        course = Course(zone, hour, days, number=row.pk)
        self.model.courses.append(course)
        self.rows[course] = row

    def new_email(
        self, index: int, delay: tuple[int, str], published: bool, position: int | None, own: list[int] | None
    ) -> None:
        course = self.course(index)
        if course is None or len(course.emails) >= MOST_EMAILS:
            return
        value, unit = delay
        own = None if unit == "hours" else own
        subject = f"{len(self.model.courses)}.{len(course.emails)}"
        email = Email(subject, 0, value, unit, own, published, published_at=self.now)
        given: dict[str, Any] = {"subject": subject, "content": "<p>Hello</p>", "delay_value": value}
        given |= {"delay_unit": unit, "published": published, "position": position}
        given["send_days"] = None if own is None else [WEEKDAYS[day] for day in own]
        row = self.rows[course]
        try:
            made = edits.create_email(self.account, row.pk, given, self.now).email
        except Invalid:
            assert not self.model.create_email(course, email, position)
        else:
            self.rows[email] = made
            assert self.model.create_email(course, email, position)
        self.after()

    def update_email(self, course: Course, email: Email, **given: Any) -> bool:
        try:
            edits.update_email(self.account, self.rows[course].pk, self.rows[email].pk, given, self.now)
        except Invalid:
            return False
        return True

    def update_course(self, course: Course, **given: Any) -> None:
        edits.update_sequence(self.account, self.rows[course].pk, given, self.now)

    @rule(
        index=indices,
        delay=delays_behind,
        back=st.integers(0, 2),
        n_hours=st.sampled_from([0, 0, 5, 26, 40]),
        n_emails=st.integers(1, 2),
        n_instants=st.integers(0, 2),
    )
    def new_email_behind(
        self, index: int, delay: tuple[int, str], back: int, n_hours: int, n_emails: int, n_instants: int
    ) -> None:
        """Published, before one of the last emails that somebody on their way has had (R7), which they had some time
        ago (what comes next counts from that one still, R2); or two of them, which must not go at once (R4). And how
        they go on."""
        if n_hours:
            self.let_pass(timedelta(hours=n_hours))
        there = [place for place in self.model.places if place.due and place.in_run() and not place.course.deleted]
        if there:
            place = there[index % len(there)]
            had = sorted(delivery.email.position for delivery in place.in_run())
            with self.in_haste():
                for _ in range(n_emails):
                    self.new_email(self.number(place.course), delay, True, had[-1 - back % len(had)], None)
            self.after()
            for _ in range(n_instants):
                self.let_pass_until_next(0)

    @rule(index=indices, email=indices)
    def publish_or_unpublish(self, index: int, email: int) -> None:
        if found := self.email(index, email):
            published = not found[1].published
            self.tick()
            assert self.update_email(*found, published=published)
            self.model.publish(*found, published)
            self.after()

    @rule(index=indices, email=indices, position=st.integers(0, 7))
    def move(self, index: int, email: int, position: int) -> None:
        if found := self.email(index, email):
            assert self.update_email(*found, position=position) == self.model.move(*found, position)
            self.after()

    @rule(index=indices, back=st.integers(0, 2), returns=st.booleans())
    def move_behind(self, index: int, back: int, returns: bool) -> None:
        """What somebody waits for, before one they have had; and perhaps where it was, before anybody has noticed."""
        there = [
            (place, email)
            for place in self.model.places
            if (email := place.waits_for) and place.in_run() and email in place.course.live()
        ]
        if not there:
            return
        place, email = there[index % len(there)]
        course, had = place.course, sorted(delivery.email.position for delivery in place.in_run())
        if course.deleted:
            return
        with self.in_haste():
            for position in (had[-1 - back % len(had)], *([had[-1] + 1] if returns else [])):
                self.move(self.number(course), course.live().index(email), position)
        self.after()

    @rule(index=indices, email=indices, sure=st.booleans())
    def delete_email(self, index: int, email: int, sure: bool) -> None:
        found = self.email(index, email)
        if found and sure:
            edits.delete_email(self.account, self.rows[found[0]].pk, self.rows[found[1]].pk, self.now)
            self.model.delete_email(*found)
            self.after()

    @rule(index=indices, email=indices, awaited=st.booleans())
    def hold_or_release(self, index: int, email: int, awaited: bool) -> None:
        """Any email, or the one that somebody waits for."""
        if found := self.awaited(index) if awaited else self.email(index, email):
            course, one = found
            self.tick()
            act = edits.release_email if one.on_hold else edits.hold_email
            assert act(self.account, self.rows[course].pk, self.rows[one].pk, self.now).moves_people
            self.model.set_on_hold(course, one, not one.on_hold)
            self.after()

    @rule(index=indices, n_hours=st.sampled_from([0, 2, 5, 7, 26]), deleted=st.sampled_from([False, False, True]))
    def hold_over_next(self, index: int, n_hours: int, deleted: bool) -> None:
        """A hold in which the email falls due; then it is released, or deleted."""
        instant, found = self.model.next_instant(), self.awaited(index)
        if instant and found and not found[1].on_hold:
            self.hold_or_release(index, 0, awaited=True)
            self.let_pass(max(instant - self.now, timedelta(0)) + timedelta(hours=n_hours))
            if found[1] in found[0].live():
                number, email = self.number(found[0]), found[0].live().index(found[1])
                if deleted:
                    self.delete_email(number, email, sure=True)
                else:
                    self.hold_or_release(number, email, awaited=False)

    @rule(index=indices, email=indices, awaited=st.booleans())
    def skip_wait(self, index: int, email: int, awaited: bool) -> None:
        found = self.awaited(index) if awaited else self.email(index, email)
        if not found:
            return
        try:
            edits.skip_wait(self.account, self.rows[found[0]].pk, self.rows[found[1]].pk, self.now)
        except Invalid:
            assert not self.model.skip_wait(*found)
        else:
            assert self.model.skip_wait(*found)
        self.after()

    def awaited(self, index: int) -> tuple[Course, Email] | None:
        """What somebody waits for."""
        waited = [(place.course, place.waits_for) for place in self.model.places if not place.course.deleted]
        there = [(course, email) for course, email in waited if email is not None and email in course.live()]
        return there[index % len(there)] if there else None

    @rule(index=indices)
    def pause_or_resume(self, index: int) -> None:
        if course := self.course(index):
            active = not course.active
            self.tick()
            self.update_course(course, active=active)
            self.model.switch(course, active)
            self.after()

    @rule(index=indices, n_hours=st.sampled_from([0, 2, 5, 7, 26]))
    def pause_over_next(self, index: int, n_hours: int) -> None:
        """A pause in which the next email falls due."""
        course, instant = self.course(index), self.model.next_instant()
        if course and course.active and instant:
            self.pause_or_resume(index)
            self.let_pass(max(instant - self.now, timedelta(0)) + timedelta(hours=n_hours))
            self.pause_or_resume(index)

    @rule(
        index=indices,
        email=indices,
        delay=delays,
        zone=st.sampled_from(ZONES),
        hour=hours,
        days=days,
        anew=st.booleans(),
    )
    def change_dates(
        self, index: int, email: int, delay: tuple[int, str], zone: str, hour: int, days: list[int], anew: bool
    ) -> None:
        """A new delay and a new schedule; neither moves anybody, unless asked to."""
        found = self.email(index, email)
        if not found:
            return
        course, (value, unit) = found[0], delay
        assert self.update_email(*found, delay_value=value, delay_unit=unit) == self.model.set_delay(
            *found, value, unit
        )
        self.update_course(course, time_zone=zone, send_hour=hour, send_days=[WEEKDAYS[day] for day in days])
        course.zone, course.hour, course.days = zone, hour, days
        if anew:
            edits.reschedule(self.account, self.rows[course].pk, self.now)
            self.model.reschedule(course)
        self.after()

    # Who gets an email (R21)

    @rule(index=indices, email=indices, awaited=st.booleans(), condition=conditions)
    def filter_email(self, index: int, email: int, awaited: bool, condition: Condition | None) -> None:
        """Set, changed, taken away. Nobody moves."""
        if found := self.awaited(index) if awaited else self.email(index, email):
            course, one = found
            with_tags = None if condition is None else self.with_tags(condition)
            given = {"filter": with_tags}
            try:
                edits.filter_email(self.account, self.rows[course].pk, self.rows[one].pk, given, self.now)
            except Invalid:
                assert with_tags is not None
                assert not self.model.gone.isdisjoint(tags_in(with_tags))
            else:
                one.only_to = with_tags
            self.after()

    def with_tags(self, condition: Condition) -> Condition:
        """With the ids of our tags in place of 0 and 1."""
        if "ids" in condition:
            return {**condition, "ids": [self.tags[number].pk for number in condition["ids"]]}
        if "not" in condition:
            return {"not": self.with_tags(condition["not"])}
        return {joiner: [self.with_tags(part) for part in parts] for joiner, parts in condition.items()}

    @rule(who=indices, which=st.sampled_from([0, 1]))
    def tag_or_untag(self, who: int, which: int) -> None:
        person, tag = self.person(who), self.tags[which]
        if ("tag", tag.pk) in person.marks:
            tags.remove(tag, self.rows[person], self.now, cause=causes.API)
            person.marks.discard(("tag", tag.pk))
        else:
            tags.add(tag, self.rows[person], self.now, cause=causes.API)
            person.marks.add(("tag", tag.pk))

    @rule()
    def make_haste(self) -> None:
        """Several edits, and whatever else is done, before the engine comes to follow them."""
        self.is_hasty = True

    # People

    def new_person(self, state: str, index: int) -> None:
        row = make_subscriber(self.account, state=state)
        person = Person(row.email_address, state)
        self.model.people.append(person)
        self.rows[person] = row
        self.add(index, len(self.model.people) - 1, "form")

    def add(self, index: int, who: int, source: enroll.Source) -> None:
        course, person = self.course(index), self.person(who)
        if course is None or (source == "api" and not course.active):
            return  # the call refuses it (R13)
        row = self.rows[person]
        entries = enroll.add(Sequence.objects.get(pk=self.rows[course].pk), [row.pk], source, self.now)
        assert entries[row.pk].added == self.model.add(person, course, source)
        self.after()

    # Time

    @rule(n=st.integers(1, 30))
    def let_hours_pass(self, n: int) -> None:
        self.let_pass(timedelta(hours=n))

    @rule(early=st.sampled_from([0, 0, 1]))
    def let_pass_until_next(self, early: int) -> None:
        """Up to the very instant at which something is due, or just short of it."""
        instant = self.model.next_instant()
        if instant is not None and instant > self.now:
            self.let_pass(instant - self.now - timedelta(seconds=early))

    @rule(n=st.integers(1, 36), while_due=st.booleans())
    def be_down(self, n: int, while_due: bool) -> None:
        """Nobody works meanwhile, for so many hours or until so many hours after the next thing was due."""
        since = self.model.next_instant() if while_due else None
        self.model.now = max(self.now, since or self.now) + timedelta(hours=n)
        self.engine.clock.set(self.now)
        self.after()

    # What must hold, except while the engine has not followed all edits

    @invariant()
    def both_tell_the_same(self) -> None:
        if not self.is_hasty:
            told = {
                (self.rows[place.person].pk, self.rows[place.course].pk): self.told_by_model(place)
                for place in self.model.places
            }
            assert self.told_by_database() == told

    @invariant()
    def positions_are_the_same(self) -> None:
        rows = {row.pk: (row.position, row.deleted_at is not None) for row in SequenceEmail.objects.all()}
        emails = [email for course in self.model.courses for email in course.emails]
        assert rows == {self.rows[email].pk: (email.position, email.deleted) for email in emails}

    @invariant()
    def states_are_the_same(self) -> None:
        states = dict(Subscriber.objects.values_list("email_address", "state"))
        assert states == {person.name: person.state for person in self.model.people}

    @invariant()
    def nothing_is_sent_twice(self) -> None:
        assert all(n == 1 for n in self.sent.values())


class AnyStory(Story):
    """With everything else that can happen, to several people in several sequences."""

    open_course = precondition(lambda self: len(self.model.courses) < MOST_COURSES)(
        rule(zone=st.sampled_from(ZONES), hour=hours, days=days)(Story.new_course)
    )
    write_email = rule(
        index=indices, delay=delays, published=st.booleans(), position=places_in_row, own=st.none() | days
    )(Story.new_email)
    enter_person = precondition(lambda self: len(self.model.people) < MOST_PEOPLE)(
        rule(state=st.sampled_from(["active", "active", "inactive"]), index=indices)(Story.new_person)
    )
    add_again = rule(index=indices, who=indices, source=sources)(Story.add)

    @rule(index=indices, what=st.sampled_from(["hold", "repeat"]))
    def switch(self, index: int, what: str) -> None:
        course = self.course(index)
        if course and what == "hold":
            self.update_course(course, hold=not course.hold)
            self.model.set_hold(course, not course.hold)
            self.after()
        elif course:
            self.update_course(course, repeat=not course.repeat)
            course.repeat = not course.repeat

    @rule(index=indices, which=st.sets(st.sampled_from(["tag", "form", "sequence", "segment"])), segment=indices)
    def exclude(self, index: int, which: set[str], segment: int) -> None:
        if course := self.course(index):
            sources = [(kind, mark.pk) for kind, mark in self.marks]
            sources += [("sequence", other.number) for other in self.model.courses if other is not course]
            sources += [("segment", self.segments[segment % len(self.segments)].pk)]
            course.without = [
                (kind, number) for kind, number in sources if kind in which and not self.is_gone(kind, number, course)
            ]
            self.update_course(
                course, exclude_subscriber_sources=[{"type": kind, "ids": [n]} for kind, n in course.without]
            )

    def is_gone(self, kind: str, number: int, course: Course) -> bool:
        gone = [other.number for other in self.model.courses if other.deleted]
        return kind == "sequence" and number in gone and ("sequence", number) not in course.without

    @precondition(lambda self: len(self.model.courses) == MOST_COURSES)
    @rule(index=indices, sure=st.integers(0, 3))
    def delete_course(self, index: int, sure: int) -> None:
        course = self.course(index)
        if course and sure == 0:
            edits.delete_sequence(self.account, self.rows[course].pk, self.now)
            self.model.delete_course(course)
            self.after()

    @rule(index=indices, verb=verbs, email=indices)
    def act(self, index: int, verb: str, email: int) -> None:
        """What an owner does to one person."""
        place = self.place(index)
        found = self.email(self.number(place.course), email) if place else None
        if place is None or (verb == "move" and found is None):
            return
        target = found[1] if found and verb == "move" else None
        row = Enrollment.objects.get(sequence=self.rows[place.course], subscriber=self.rows[place.person])
        try:
            if target is not None:
                places.move_to(row.pk, self.rows[target].pk, "owner", "because", self.now)
            else:
                getattr(places, verb)(row.pk, "owner", "because", self.now)
        except Invalid:
            assert not self.model.act(verb, place, target)
        else:
            assert self.model.act(verb, place, target)
        self.after()

    @rule(who=indices, act=st.sampled_from(["cancel", "bounce", "complain", "confirm", "confirm", "come_back"]))
    def change_state(self, who: int, act: str) -> None:
        person = self.person(who)
        getattr(transitions, act)(self.rows[person].pk, self.now, cause=causes.SUBSCRIBER)
        match act:
            case "confirm":
                self.model.confirm(person)
            case "come_back":
                self.model.come_back(person)
            case _:
                states = {"cancel": "cancelled", "bounce": "bounced", "complain": "complained"}
                self.model.end_person(person, states[act])
        self.after()

    @rule(who=indices, which=st.sampled_from([0, 1]))
    def mark(self, who: int, which: int) -> None:
        person, (kind, row) = self.person(who), self.marks[which]
        if isinstance(row, Form):
            forms.add(row, self.rows[person], {}, self.now, cause=causes.API)
        elif (kind, row.pk) in person.marks:
            tags.remove(row, self.rows[person], self.now, cause=causes.API)
            person.marks.discard((kind, row.pk))
            return
        else:
            tags.add(row, self.rows[person], self.now, cause=causes.API)
        person.marks.add((kind, row.pk))

    @rule(which=st.sampled_from([0, 1]), sure=st.integers(0, 3))
    def delete_tag(self, which: int, sure: int) -> None:
        """What names it is met by nobody from now on. Another one takes its place in the story."""
        if sure == 0:
            self.model.gone.add(self.tags[which].pk)
            self.tags[which].delete()
            self.tags[which] = make_tag(self.account)

    @rule(who=indices, weather=weathers)
    def change_weather(self, who: int, weather: Weather) -> None:
        self.person(who).weather = weather

    @rule(n=st.integers(1, 90))
    def let_minutes_pass(self, n: int) -> None:
        self.let_pass(timedelta(minutes=n))

    @rule(n=st.integers(1, 2))
    def let_days_pass(self, n: int) -> None:
        self.let_pass(timedelta(days=n))


@pytest.mark.parametrize("machine", [Story, AnyStory])
@pytest.mark.django_db
def test_the_engine_does_what_the_rules_say(engine: Engine, machine: type[Story]) -> None:
    """A few dozen stories; `script/test --deep` tells many more, and longer ones."""
    Story.engine = engine
    profile = hypothesis.settings.get_profile(hypothesis.settings.get_current_profile_name())
    stories = hypothesis.settings(
        profile,
        max_examples=max(1, profile.max_examples // 2),
        stateful_step_count=30 if profile.max_examples <= 100 else 50,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=stories)
