"""A journey in plain words. Times are by the sequence's wall clock; the main one of a sentence names the zone."""

from datetime import datetime

from dripstone import words
from dripstone.content import subjects
from dripstone.engine import advance, notes, reasons, schedule
from dripstone.engine.models import Delivery, Note
from dripstone.explain import edit_words
from dripstone.explain.journey import (
    Anchor,
    Coming,
    EarlierRun,
    Facts,
    Journey,
    Reckoning,
    Step,
    is_punctual,
    retimed_since,
)
from dripstone.sequences.models import SequenceEdit, SequenceEmail


def journey(told: Journey) -> str:
    """Where this person stands, in a sentence or two."""
    facts, stop = told.facts, told.stop
    n_sent = sum(step.outcome == "sent" for step in told.steps)
    so_far = f"They have been sent {words.count(n_sent, 'email')} in this run so far."
    if stop:
        return f"{_capital(stopped(stop, facts))}. {so_far}"
    first = next((step for step in told.steps if step.outcome in ("sending", "next")), None)
    return f"{_first(first, facts) if first is not None else _at_the_end(told.waiting_because, facts)} {so_far}"


def _first(step: Step, facts: Facts) -> str:
    title = title_of(step.email)
    if step.outcome == "sending" or step.at is None:
        told = sentence(step, facts)
        return f"{title} was {_uncapital(told)}" if step.why else f"{title} is on its way. {told}"
    at = "right away" if step.at <= facts.now else _on(step.at, facts, is_main=True)
    if step.coming is not None and step.coming.excluded:
        why = because(step.coming.excluded, step.email, facts)
        return f"Next would be {title}, {at}; it will be skipped, because {why}."
    return f"Next is {title}, {at}."


def _at_the_end(why: str, facts: Facts) -> str:
    waiting = facts.next_email
    if waiting is not None and why == "email_on_hold":
        held = _put_on_hold(waiting, facts)
        return f"They wait at {title_of(waiting)}, which {held}; nothing else is sent to them meanwhile."
    if waiting is not None:
        return f"They wait for {title_of(waiting)}, which is not published; nothing else is sent to them meanwhile."
    if not facts.itinerary.live:
        return "They wait: no email of this sequence is published yet."
    if facts.sequence.hold:
        return "They wait at the end: they have had every published email, and hold keeps them for what comes."
    return "They wait: nothing comes next."


def sentence(step: Step, facts: Facts) -> str:
    """What became, or will become, of one email."""
    match step.outcome:
        case "sent" | "skipped" | "failed" | "unknown":
            return f"{_ended(step, facts)}{_cause(step, facts)}."
        case "sending":
            return _sending(step, facts)
        case "next" | "later":
            return _coming(step, facts)
        case "draft":
            return _draft(step, facts)
        case "none":
            end = "" if step.why == "removed" else " What is published now does not reach people who have completed."
            return f"Will not be sent: {stopped(step.why, facts)}.{end}"
    return _waiting(step, facts)


def reason(step: Step, facts: Facts) -> str:
    """Why it is or will be skipped, failed or is tried again, as a sentence; "" for no reason."""
    code = step.delivery.reason if step.delivery else step.coming.excluded if step.coming else ""
    return f"{_capital(because(code, step.email, facts))}." if code else ""


def because(reason: str, email: SequenceEmail, facts: Facts) -> str:
    """Why they skip an email, or skipped it."""
    if reason == reasons.FILTERED and email.pk in facts.readers:
        return reasons.filtered(facts.readers[email.pk])
    return reasons.because(reason, facts.names)


# --- What happened ----------------------------------------------------------------------------------------------


def _ended(step: Step, facts: Facts) -> str:
    assert step.at is not None
    assert step.delivery is not None
    moment, delivery = _on(step.at, facts, is_main=True), step.delivery
    match step.outcome:
        case "sent":
            return f"Sent {moment}"
        case "skipped":
            return f"Skipped {moment}, because {because(delivery.reason, step.email, facts)}"
        case "failed":
            end = f"with the reply {words.reply(delivery.reply)}" if delivery.reply else f"because {_clause(delivery)}"
            return f"Could not be delivered: given up {moment}{_after_three_days(delivery)}, {end}"
    end = f" ({words.reply(delivery.reply) if delivery.reply else _clause(delivery)})" if delivery.reason else ""
    return (
        f"Not known whether it arrived: it was handed over {moment}, but the mail server's answer never came{end}; "
        "it is not sent again by itself, and the sequence goes on"
    )


def _after_three_days(delivery: Delivery) -> str:
    return " after three days of tries" if reasons.is_given_up(delivery.reason) else ""


def _clause(delivery: Delivery) -> str:
    """Why the last try failed, if no reply says it."""
    return reasons.because(reasons.last_try(delivery.reason))


def _cause(step: Step, facts: Facts) -> str:
    """`: 2 days after …`, if the figures or a note still explain the date."""
    if step.given_by is not None:
        return f". The date came from this: {_uncapital(note(step.given_by, facts).rstrip('.'))}"
    if step.reckoning is None:
        return ""
    assert step.delivery is not None
    if not is_punctual(step.delivery, step.reckoning):
        return _by_other_rules(step, step.delivery.planned_at < step.reckoning.due, facts)
    lead = ": " if step.outcome == "sent" else ". Its turn came by the rule: "
    return f"{lead}{rule(step.reckoning, facts, past=True)}"


def _by_other_rules(step: Step, is_early: bool, facts: Facts) -> str:
    """Today's figures give a different date from the one it had."""
    assert step.reckoning is not None
    by_rule = _when(step.reckoning.due, facts)
    if step.outcome == "skipped":
        return f". Its turn would have come {_on(step.reckoning.due, facts)}" if is_early else ""
    since = [_retimed(one, facts) for one in retimed_since(step, facts)]
    if since:
        reason = f"since it got its date, {words.listed(since)}"
    else:
        reason = "these were different then" if is_early else "these were different then, or it went late"
    return f". By today's delay and schedule it would have been {by_rule}; {reason}"


def _retimed(one: SequenceEdit, facts: Facts) -> str:
    """`“Second”: delay changed from 2 days to 4 days, on …, by …`"""
    by = "" if one.actor == notes.ENGINE else f", by {one.actor}"
    return f"{edit_words.edit(one)}, {_on(one.at, facts)}{by}"


def _sending(step: Step, facts: Facts) -> str:
    delivery = step.delivery
    assert delivery is not None
    if step.why:
        return f"Held back just before it was sent: {stopped(step.why, facts)}."
    if step.at is None or (delivery.tries == 0 and step.at <= facts.now):
        again = f" (attempt {delivery.tries})" if delivery.tries > 1 else ""
        return f"Being sent now{again}."
    moment = _on(step.at, facts, is_main=True)
    if delivery.tries == 0:
        unreached = f"The mail server could not be reached; {_last_said(delivery)}."
        if not delivery.reason and (delivery.untried == 0 or delivery.unparked_at is not None):
            return f"Was held back, and goes {moment}."
        return f"{unreached if delivery.reason else 'Waits its turn: a limit applies.'} Next try {moment}."
    tries = "once" if delivery.tries == 1 else f"{delivery.tries} times"
    return f"Tried {tries} without success; {_last_said(delivery)}. Next try {moment}."


def _last_said(delivery: Delivery) -> str:
    return reasons.last_said(delivery.reason, delivery.reply)


# --- What comes -------------------------------------------------------------------------------------------------


def _coming(step: Step, facts: Facts) -> str:
    one = step.coming
    assert one is not None
    moment = _on(one.at, facts, is_main=True)
    verb = "Goes"
    if one.excluded:
        verb = f"Will be skipped, because {because(one.excluded, step.email, facts)}: its turn comes"
    is_now = one.at <= facts.now
    return f"{verb} {'right away' if is_now else moment}{_why_that_date(one, step, facts)}."


def _why_that_date(one: Coming, step: Step, facts: Facts) -> str:
    figures = rule(one.reckoning, facts)
    is_by_rule = one.at == one.reckoning.due
    is_just_late = one.at <= facts.now and one.given_by is None and one.reckoning.due <= facts.now
    if one.missed is not None:
        return _why_moved(one, one.missed, facts)
    if one.after_late:
        return (
            f": {figures}. (Its own date had passed; it counts from there, since two emails at once would be a burst)"
        )
    if is_by_rule or is_just_late:
        return f": {figures}"
    if one.given_by is not None:
        return f". {note(one.given_by, facts).rstrip('.')}"
    if step.outcome == "later":
        return f", after the emails before it; its own date ({figures}) has passed by then"
    by_rule = _when(one.reckoning.due, facts)
    return (
        f". This date was given before the delay or the schedule was changed, and stays; by today's settings it "
        f"would be {by_rule} ({figures})"
    )


def _why_moved(one: Coming, missed: datetime, facts: Facts) -> str:
    """The engine was too late for the date it had (R4)."""
    figures = f" ({rule(one.reckoning, facts)})" if missed == one.reckoning.due else ""
    told = (
        f". Its date, {_when(missed, facts)}{figures}, was missed by more than six hours, so "
        "it waits for the next allowed day and hour"
    )
    return told if one.given_by is None else f"{told}. {note(one.given_by, facts).rstrip('.')}"


def _waiting(step: Step, facts: Facts) -> str:
    if step.why == "email_unpublished":
        return (
            "They wait for this email, which is not published. It gets a date when it is published, moved or deleted."
        )
    if step.email == facts.next_email:
        held = ""
        if facts.due_at is not None:
            held = f" Its date was {_when(facts.due_at, facts, is_main=True)}; {_after_resuming(step, facts)}"
        if step.email.is_held and step.why != "email_on_hold":
            held = f" And it {_put_on_hold(step.email, facts)}."
        return f"No date: {stopped(step.why, facts)}.{held}"
    first = "" if step.after is not None else _from_what(step.why)
    counted = f"{_delay(step.email)} after {title_of(step.after)}" if step.after else f"{_delay(step.email)}{first}"
    reason = f": {stopped(step.why, facts)}" if step.why != "after_another" else ""
    told = f"No date yet{reason}. It comes {counted}."
    if not step.email.is_held:
        return told
    return f"{told} It {_put_on_hold(step.email, facts)}: unless it is released by then, they wait at it."


def _put_on_hold(email: SequenceEmail, facts: Facts) -> str:
    assert email.held_at is not None
    return f"was put on hold {_on(email.held_at, facts, is_main=True)}, by {email.held_by}"


def _after_resuming(step: Step, facts: Facts) -> str:
    assert facts.due_at is not None
    delay = advance.delay_of(step.email)
    late = "goes at the next allowed day and hour" if schedule.follows_schedule(delay) else "goes right away"
    resumed = "released" if step.why == "email_on_hold" else "resumed"
    if facts.due_at > facts.now:
        return f"{resumed} before then, it goes on that date; {resumed} later, it {late}."
    return f"that has passed, so when {resumed} it {late}."


def _from_what(why: str) -> str:
    return " after they confirm" if why == "unconfirmed" else " after they entered"


def _draft(step: Step, facts: Facts) -> str:
    if step.why == "at_the_end":
        then = f"It then comes {_delay(step.email)} after the email before it."
        return f"A draft: they wait for it, or for any other email, to be published. {then}"
    if any(facts.emails[pk].order > step.email.order for pk in [*facts.deliveries, *_standing_at(facts)]):
        then = "Publishing it sends it to them, right away if its date has passed by then."
        return f"A draft: their turn for it has passed. {then}"
    return "A draft: nobody is sent it, and they will pass over it unless it is published before their turn comes."


def _standing_at(facts: Facts) -> list[int]:
    return [facts.next_email.pk] if facts.next_email is not None else []


def stopped(why: str, facts: Facts) -> str:
    """Why there is no date, without full stop."""
    row = facts.row
    match why:
        case "removed":
            assert row.removed_at is not None
            end = f", because {reasons.because(row.removed_reason)}" if row.removed_reason else ""
            return f"they left the sequence {_on(row.removed_at, facts, is_main=True)}{end}"
        case "completed":
            at = facts.completed_at or facts.now
            return f"they completed the sequence {_on(at, facts, is_main=True)}"
        case "unconfirmed":
            return "they have not confirmed their address yet; delays count from the moment they do"
        case "not_mailable":
            return reasons.because(reasons.subscriber_is(facts.person.state))
        case "sequence_paused":
            return "the sequence is paused (inactive); everybody keeps their place"
        case "person_paused":
            assert row.paused_at is not None
            by = next((one for one in reversed(facts.notes) if one.kind == notes.PAUSED), None)
            return f"this person was paused {_on(row.paused_at, facts, is_main=True)}{f', by {by.actor}' if by else ''}"
        case "email_unpublished":
            return "the email is not published"
        case "email_on_hold" if facts.next_email is not None:
            return f"this email {_put_on_hold(facts.next_email, facts)}"
    return "nothing says when"


# --- The figures ------------------------------------------------------------------------------------------------


def rule(reckoning: Reckoning, facts: Facts, *, past: bool = False) -> str:
    """`2 days after “Welcome” was sent on Thursday, 26 November 2026 at 14:20 is Saturday, 28 November; it is only
    sent on weekdays, so it moves to Monday, 30 November`."""
    since = _anchor(reckoning.anchor, facts)
    own = reckoning.schedule
    delay = words.delay(reckoning.delay.value, reckoning.delay.unit)
    if own is None:
        is_immediate = reckoning.delay.unit == "days"
        return f"at once after {since}" if is_immediate else f"{delay} after {since}"
    assert reckoning.counted_to is not None
    told = f"{delay} after {since}"
    if reckoning.moved:
        moved = "moved" if past else "moves"
        days = words.weekdays(own.send_days)
        told += (
            f" is {words.day(reckoning.counted_to)}, and as it is only sent {days} it {moved} to "
            f"{words.day(reckoning.local_due().date())}"
        )
    return told + _hour(reckoning)


def _hour(reckoning: Reckoning) -> str:
    assert reckoning.schedule is not None
    local, hour = reckoning.local_due(), reckoning.schedule.send_hour
    if local.hour != hour or local.minute:
        return f", at {local:%H:%M}: the clocks skip {hour:02}:00 that day"
    return f", at the sequence's hour of {hour:02}:00"


def _anchor(anchor: Anchor, facts: Facts) -> str:
    when = _on(anchor.at, facts)
    if anchor.email is not None:
        title = title_of(anchor.email)
        if anchor.kind == "email":
            return title
        ended = {"sent": "was sent", "skipped": "was skipped", "failed": "failed", "unknown": "was handed over"}
        return f"{title} {ended[anchor.kind]} {when}"
    happened = {
        "entered": "they entered",
        "re_added": "they were added again",
        "restarted": "they started again",
        "confirmed": "they confirmed their address",
        "moved": "they were moved by the owner",
    }
    return f"{happened[anchor.kind]} {when}"


def _delay(email: SequenceEmail) -> str:
    delay = advance.delay_of(email)
    return words.delay(delay.value, delay.unit) if delay.value else "at once"


# --- Notes and runs ---------------------------------------------------------------------------------------------


def note(one: Note, facts: Facts) -> str:
    """`On …, after an edit (“Draft” published, by API key …), their next email was “Draft”, to go right away.`"""
    at = _capital(_on(one.at, facts, is_main=True))
    if one.kind == notes.MOVED:
        return f"{at}, {_edited(one, facts)}."
    email = facts.emails.get(one.email_id or 0)
    reason = f": {one.reason}" if one.reason else ""
    came = f"; what comes next is {_to_go(one, facts)}" if one.due_after else ""
    which = title_of(email) if email else "their next email"
    said = {
        notes.LATE: f"the engine came too late for {which}, so it waits for the next allowed day and hour: it is "
        f"{_to_go(one, facts)}{_had_been(one, facts)}",
        notes.PAUSED: f"they were paused{reason}",
        notes.RESUMED: f"they were resumed{reason}{came}",
        notes.SKIPPED: f"{which} was skipped{reason}{came}",
        notes.SENT_NOW: f"{which} was told to go right away{reason}",
        notes.MOVED_TO: f"they were moved{f' to {which}' if email else ''}{reason}{came}",
        notes.RESTARTED: f"they were started again from the beginning{reason}{came}",
        notes.SENT_AGAIN: f"{which} was told to be sent again{reason}",
        notes.TREATED_AS_SENT: f"{which} was declared as sent, though no answer had come{reason}",
        notes.REMOVED: f"they were taken out of the sequence{reason}",
    }
    by = "" if one.actor == notes.ENGINE else f" (by {one.actor})"
    return f"{at} {said.get(one.kind, one.kind + reason)}{by}."


def _edited(one: Note, facts: Facts) -> str:
    by = "" if one.actor == notes.ENGINE else f", by {one.actor}"
    edit = f"after an edit ({edit_words.edits(one.reason, facts.edits)}{by}),"
    email = facts.emails.get(one.email_id or 0)
    if email is None:
        return f"{edit} nothing came next for them"
    return f"{edit} their next email was {title_of(email)}, {_to_go(one, facts)}{_had_been(one, facts)}"


def _to_go(one: Note, facts: Facts) -> str:
    if one.due_after is None:
        return "without a date"
    if one.due_after <= one.at:
        return "to go right away"
    return f"to go {_on(one.due_after, facts)}"


def _had_been(one: Note, facts: Facts) -> str:
    if one.due_before is None:
        return ""
    return f"; their date before was {_when(one.due_before, facts)}"


def earlier_run(run: EarlierRun, facts: Facts) -> str:
    """`Run 1, from … to …: 3 sent, 1 skipped.`"""
    order = [name for name in ("sent", "skipped", "failed", "unknown", "sending", "planned") if name in run.counts]
    until = f" to {_when(run.ended, facts)}" if run.ended else ""
    counts = words.listed(f"{run.counts[name]} {name}" for name in order)
    return f"Run {run.number}, from {_when(run.began, facts, is_main=True)}{until}: {counts}."


# --- Pieces -----------------------------------------------------------------------------------------------------


def _on(at: datetime, facts: Facts, *, is_main: bool = False) -> str:
    """`on Monday, 30 November 2026 at 09:00`; briefly `today, 09:00`, or `on Tue 1 Dec, 09:00`.

    is_main   of the sentence: it names the zone
    """
    if facts.is_brief:
        return words.on(at, facts.sequence.time_zone, facts.now)
    return f"on {_when(at, facts, is_main=is_main)}"


def _when(at: datetime, facts: Facts, *, is_main: bool = False) -> str:
    """The same without "on"."""
    if facts.is_brief:
        return words.soon(at, facts.sequence.time_zone, facts.now)
    return (words.moment if is_main else words.when)(at, facts.sequence.time_zone)


def title_of(email: SequenceEmail) -> str:
    return subjects.title(email.subject)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _uncapital(text: str) -> str:
    return text[:1].lower() + text[1:]
