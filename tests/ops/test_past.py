"""The question before mailing the past, as an operator meets it."""

from datetime import timedelta
from typing import Any

import pytest

from dripstone import clock
from dripstone.engine import pulse, reasons
from dripstone.engine.models import Delivery, Pulse
from dripstone.errors import Invalid
from dripstone.ops import past
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db


class Operator:
    """Sits at a terminal (or not), types these answers, and reads what is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: str, terminal: bool = True) -> None:
        self.heard: list[str] = []
        typed = iter(answers)
        monkeypatch.setattr("sys.stdin.isatty", lambda: terminal, raising=False)
        monkeypatch.setattr("typer.prompt", lambda *_, **__: next(typed))

    def tell(self, sentence: str) -> None:
        self.heard.append(sentence)


@pytest.fixture(autouse=True)
def three_days_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """One hourly email fell due while the engine stood still for three days."""
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {})())
    begun = clock.now() - timedelta(days=3)
    account = make_account()
    sequence = make_sequence(account, {"delay_value": 1, "delay_unit": "hours"})
    make_enrollment(sequence, make_subscriber(account), begun)
    Pulse.objects.create(beat_at=begun)


def test_on_a_terminal_it_asks_until_it_understands(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = Operator(monkeypatch, "yes", "skip")
    past.ask_or_tell(alice.tell)
    assert alice.heard[0].startswith("Sending is halted: the engine had not run since")
    assert alice.heard[-1] == "1 email was skipped. Sending goes on."
    assert Delivery.objects.get().reason == reasons.OVERDUE_SKIPPED


def test_later_leaves_it_halted(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = Operator(monkeypatch, "later")
    past.ask_or_tell(alice.tell)
    assert "resume-sending" in alice.heard[-1]
    assert not pulse.may_send(clock.now())


def test_without_a_terminal_it_tells_and_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = Operator(monkeypatch, terminal=False)
    past.ask_or_tell(alice.tell)
    assert "To decide: dripstone resume-sending" in alice.heard[-1]
    assert not pulse.may_send(clock.now())


@pytest.mark.parametrize("answer", [None, "now"])
def test_a_script_must_say_what_it_wants(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    alice = Operator(monkeypatch, terminal=False)
    with pytest.raises(Invalid, match="Say what becomes of overdue mail"):
        past.resume(answer, alice.tell)
    assert not pulse.may_send(clock.now())


def test_with_a_virtual_clock_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.DRIPSTONE_VIRTUAL_CLOCK = True
    alice = Operator(monkeypatch)
    past.ask_or_tell(alice.tell)
    assert alice.heard == []
