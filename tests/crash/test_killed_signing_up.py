"""A web process is killed while somebody signs up, or clicks, before each of its statements: all of it or nothing is
there, and the next try finds either. (What comes after the commit only wakes a worker.)"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dripstone import clock
from dripstone.engine.acts import sign_ups
from dripstone.engine.models import Delivery, Enrollment, Notice
from dripstone.events import types
from dripstone.events.models import Event
from dripstone.subscribers import forms
from dripstone.subscribers.models import Form, FormSubscription, SignUp, Subscriber, Tagging
from dripstone.subscribers.sign_ups import Asked
from tests.crash import doomed
from tests.crash.doomed import Place
from tests.factories import make_account, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db(transaction=True)

ANN = "ann@example.org"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(connection.settings_dict["NAME"], tmp_path, "memory://signing-up")
    connection.close()


def make_form(opt_in: str) -> Form:
    account, now = make_account(), clock.now()
    sequence, tag = make_sequence(account, {"delay_value": 0}), make_tag(account)
    given = {"name": "Footer", "opt_in": opt_in, "tag_ids": [tag.pk], "sequence_ids": [sequence.pk]}
    return forms.create(account.pk, given, now, sequence_ids={sequence.pk})


def seen(form: Form) -> list[Any]:
    """All that a sign-up may leave."""
    of_account = {"account": form.account_id}
    person = Subscriber.objects.filter(**of_account, email_address=ANN).first()
    return [
        (person.state, person.first_name) if person else None,
        list(FormSubscription.objects.filter(form=form).values_list("is_unconfirmed", flat=True)),
        Tagging.objects.filter(tag__account=form.account_id).count(),
        list(Enrollment.objects.filter(**of_account).values_list("status", flat=True)),
        list(SignUp.objects.filter(form=form).order_by("pk").values_list("status", flat=True)),
        Notice.objects.filter(**of_account).count(),
        Delivery.objects.filter(**of_account).count(),
        # Asking once more after what was done already is filling in the form again, and recorded as such.
        sorted(
            Event.objects.filter(account_id=form.account_id)
            .exclude(type=types.FORM_FILLED_IN_AGAIN)
            .values_list("type", flat=True)
        ),
    ]


@pytest.mark.parametrize("opt_in", ["single", "double"])
@pytest.mark.parametrize("was", [None, "active", "cancelled"])
def test_killed_while_somebody_signs_up(place: Place, opt_in: str, was: str | None) -> None:
    expected = None
    for n_statements in range(1, 100):
        form = make_form(opt_in)
        if was is not None:
            make_subscriber(form.account, email_address=ANN, state=was, canceled_at=clock.now())
        before = seen(form)
        connection.close()
        with doomed.worker(doomed.sign_up_and_die_at, place, form.pk, ANN, n_statements) as worker:
            worker.join(60)
            was_killed = worker.exitcode == -9
        left = seen(form)
        sign_ups.ask(form, Asked(ANN, "Ann"), clock.now())  # once more, as whoever saw an error does
        expected = expected or seen(form)
        assert left == expected or (left == before and was_killed)
        assert seen(form) == expected
        if not was_killed:
            return
    pytest.fail("it does not end")


def test_killed_at_the_click(place: Place) -> None:
    for n_statements in range(1, 100):
        form = make_form("double")
        sign_ups.ask(form, Asked(ANN, "Ann"), clock.now())
        row, before = SignUp.objects.get(form=form), seen(form)
        connection.close()
        with doomed.worker(doomed.click_and_die_at, place, row.pk, n_statements) as worker:
            worker.join(60)
            was_killed = worker.exitcode == -9
        left = seen(form)
        assert left != before or was_killed
        assert sign_ups.click(row.pk, clock.now()) == (left == before)
        assert seen(form)[:5] == [("active", "Ann"), [False], 1, ["active"], ["confirmed"]]
        if not was_killed:
            return
    pytest.fail("it does not end")
