"""A batch that takes too long to render gives its turn back, and what is left of it waits behind the mail of others."""

from collections.abc import Iterator

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import claim, plan, record, render
from dripstone.engine.models import Delivery
from tests.driving import Engine
from tests.engine import many
from tests.factories import MONDAY_9, make_account

pytestmark = pytest.mark.django_db
NOW = MONDAY_9


def clock_of(*seconds: float) -> Iterator[float]:
    """The instants at which each message is begun, the first one being when the batch is."""
    yield from seconds
    while True:
        yield seconds[-1]


@pytest.mark.parametrize(
    ("instants", "n_rendered"),
    [((0.0, 0.5, 1.0, 1.5, 2.0), 5), ((0.0, 0.5, 2.1), 2), ((0.0, 900.0), 1)],
    ids=["all in time", "two in time", "the first alone takes minutes"],
)
def test_what_is_not_rendered_in_time_goes_back_untried(
    alice: Account, engine: Engine, instants: tuple[float, ...], n_rendered: int
) -> None:
    many.course(alice, 5, now=NOW)
    plan.everything_due(NOW)
    rows = claim.take("worker", NOW)
    ticking = clock_of(*instants)
    rendered = render.messages(rows, NOW, seconds=lambda: next(ticking))
    assert [message.delivery_id for message in rendered.messages] == [row.delivery_id for row in rows[:n_rendered]]
    record.outcomes(rendered.withheld, NOW)
    back = Delivery.objects.filter(status="planned")
    assert set(back.values_list("pk", "ready_at", "untried")) == {
        (row.delivery_id, NOW, 1) for row in rows[n_rendered:]
    }


def test_others_go_before_the_rest_of_it(alice: Account, engine: Engine) -> None:
    many.course(alice, 3, now=NOW)
    many.course(make_account("Bob"), 3, now=NOW)
    plan.everything_due(NOW)
    rows = claim.take("worker", NOW, 3)
    theirs = {row.sequence_id for row in rows}
    ticking = clock_of(0.0, 900.0)
    record.outcomes(render.messages(rows, NOW, seconds=lambda: next(ticking)).withheld, engine.clock.advance(seconds=1))
    assert {row.sequence_id for row in claim.take("worker", engine.clock.now(), 3)}.isdisjoint(theirs)
