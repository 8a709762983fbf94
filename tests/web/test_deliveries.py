from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine import reasons
from dripstone.subscribers.models import Tag
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber, make_tag
from tests.web.making import make_delivery
from tests.web.reading import text_of


def test_what_was_skipped_names_the_tag_that_excluded_somebody(
    alice: Client, account: Account, clock: VirtualClock
) -> None:
    bob = make_subscriber(account)
    tag = make_tag(account, bob, name="VIP")
    make_delivery(
        make_enrollment(make_sequence(account, {}), bob, MONDAY_9), "skipped", reason=reasons.excluded("tag", tag.pk)
    )
    page = "/deliveries?status=skipped"
    assert "They have the tag “VIP”, which this sequence excludes" in text_of(alice.get(page))
    Tag.objects.all().delete()
    assert f"They have the tag number {tag.pk}, which is gone now" in text_of(alice.get(page))
