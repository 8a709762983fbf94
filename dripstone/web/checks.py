"""What the checks found (explain/), for pages: the sentence, and a link to the field that mends it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.urls import reverse

from dripstone import clock
from dripstone.explain import health
from dripstone.explain.findings import Finding
from dripstone.sequences.models import Sequence


class Mending(NamedTuple):
    """Where it is mended, and what pressing the link is for."""

    url: str
    label: str


@dataclass(frozen=True, slots=True)
class Check:
    """mend_by   what somebody else has to do, where no field of a page mends it"""

    severity: str  # of explain/findings.py
    sentence: str
    mending: Mending
    mend_by: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """is_good   nothing to mend, or nothing that is not chosen so
    sound     what was looked at and found in order, as a sentence; "" for nothing
    """

    checks: list[Check]
    is_good: bool
    sound: str


def of_sequence(sequence: Sequence, now: datetime) -> Checked:
    """Reads all people in it: 0.1 s for a million. The sequence comes with account and sending_address."""
    [found] = health.of([sequence], now, clock.system_now())
    return Checked([_check(one, sequence) for one in found.findings], found.is_healthy, _sound(found.findings))


def mend(finding: Finding, sequence: Sequence) -> Mending:
    return _MENDING[finding.code](sequence, finding)


def _check(finding: Finding, sequence: Sequence) -> Check:
    by_others = finding.mend_by if finding.code in OF_THE_OPERATOR else ""
    return Check(finding.severity, finding.sentence, mend(finding, sequence), by_others)


def _sound(findings: list[Finding]) -> str:
    found = {one.code for one in findings}
    parts = [
        "the sender is verified" if "sender_unverified" not in found else "",
        "the postal address and a link to unsubscribe are in every email" if "no_postal_address" not in found else "",
        "a worker is running" if "engine_silent" not in found else "",
    ]
    said = "; ".join(part for part in parts if part)
    return f"{said[:1].upper()}{said[1:]}." if said else ""


# --- Where each is mended -----------------------------------------------------------------------------------------

Way = Callable[[Sequence, Finding], Mending]


def _setting(member: str, label: str) -> Way:
    return lambda sequence, _: Mending(f"{reverse('sequence_settings', args=[sequence.pk])}#f-{member}", label)


def _in_line(label: str) -> Way:
    """At the email in its place; at the line as a whole when the finding names none."""

    def way(sequence: Sequence, finding: Finding) -> Mending:
        place = f"#e{finding.email_id}" if finding.email_id else "#emails"
        return Mending(reverse("sequence", args=[sequence.pk]) + place, label)

    return way


def _in_editor(label: str) -> Way:
    return lambda sequence, finding: Mending(reverse("sequence_email", args=[sequence.pk, finding.email_id]), label)


def _at_filter(label: str) -> Way:
    return lambda sequence, finding: Mending(reverse("email_filter", args=[sequence.pk, finding.email_id]), label)


def _people(label: str, status: str = "") -> Way:
    query = f"?status={status}" if status else ""
    return lambda sequence, _: Mending(reverse("sequence_people", args=[sequence.pk]) + query, label)


def _to(name: str, label: str, rest: str = "") -> Way:
    return lambda *_: Mending(reverse(name) + rest, label)


def _of_sequence(name: str, label: str) -> Way:
    return lambda sequence, _: Mending(reverse(name, args=[sequence.pk]), label)


# What runs the server is no field of a page: who reads it sees what goes out, and whom to ask.
OF_THE_OPERATOR = {"engine_silent", "server_left_alone", "sending_halted", "edits_not_followed", "late", "mail_failing"}

_MENDING: Mapping[str, Way] = {
    "all_drafts": _in_line("Publish the first"),
    "draft_in_the_middle": _in_line("See it"),
    "edits_not_followed": _to("sendings", "See what goes out"),
    "email_on_hold": _in_line("Release it"),
    "engine_silent": _to("sendings", "See what went out last"),
    "everybody_at_the_end": _in_line("Add an email"),
    "everybody_completed": _of_sequence("new_person", "Add somebody"),
    "everybody_excluded": _setting("exclude_subscriber_sources", "Change who is left out"),
    "everybody_paused": _people("See them", "active"),
    "everybody_unconfirmed": _people("See them", "unconfirmed"),
    "exclusion_gone": _setting("exclude_subscriber_sources", "Change who is left out"),
    "field_compared_with_number": _in_editor("Change the email"),
    "field_without_fallback": _in_editor("Give it a fallback"),
    "filter_met_by_nobody": _at_filter("Say who gets it"),
    "following_edits": _people("See who is inside", "active"),
    "inactive": _setting("active", "Let it run"),
    "late": _to("sendings", "See what goes out"),
    "liquid_over_budget": _in_line("Shorten the email"),
    "mail_failing": _to("sendings", "See what failed", "?status=failed"),
    "missing_snippet": _in_editor("Change the email"),
    "no_emails": _in_line("Write the first"),
    "no_postal_address": _to("first_run", "Give the address", "#f-postal_address"),
    "nobody_inside": _of_sequence("new_person", "Add somebody"),
    "sender_unverified": _setting("email_address", "Choose another sender"),
    "sending_halted": _to("home", "See what waits", "#week"),
    "server_left_alone": _to("sendings", "See what went out last"),
    "unknown_field": _in_editor("Change the email"),
    "waiting_for_a_draft": _in_line("Publish it"),
    "words_to_replace": _in_editor("Write it"),
}
