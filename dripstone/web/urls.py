"""The pages. Names are nouns; every change is a POST."""

from django.urls import URLPattern, URLResolver, path

from dripstone.web import sign_in
from dripstone.web.pages import (
    accounts,
    beside,
    deliveries,
    first_run,
    home,
    images,
    inbox,
    new_person,
    new_sequence,
    sequence_emails,
    sequence_people,
    sequence_settings,
    sequences,
)
from dripstone.web.public import confirm, pictures, unsubscribe

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("sign-in", sign_in.sign_in, name="sign_in"),
    path("sign-out", sign_in.sign_out, name="sign_out"),
    path("accounts/none", accounts.none, name="no_account"),
    path("accounts/<int:account_id>/choosing", accounts.choosing, name="choosing"),
    path("sequences/new", new_sequence.new_sequence, name="new_sequence"),
    path("sequences/<int:sequence_id>", sequences.sequence, name="sequence"),
    path("sequences/<int:sequence_id>/activity", sequences.activity, name="sequence_activity"),
    path("sequences/<int:sequence_id>/publication", sequences.publication, name="sequence_publication"),
    path("sequences/<int:sequence_id>/rescheduling", sequences.rescheduling, name="sequence_rescheduling"),
    path("sequences/<int:sequence_id>/deletion", sequences.deletion, name="sequence_deletion"),
    path("sequences/<int:sequence_id>/emails", sequence_emails.new_email, name="new_email"),
    path("sequences/<int:sequence_id>/emails/<int:email_id>/order", sequence_emails.order, name="email_order"),
    path("sequences/<int:sequence_id>/emails/<int:email_id>/delay", sequence_emails.delay, name="email_delay"),
    path(
        "sequences/<int:sequence_id>/emails/<int:email_id>/publication",
        sequence_emails.publication,
        name="email_publication",
    ),
    path(
        "sequences/<int:sequence_id>/emails/<int:email_id>/unpublication",
        sequence_emails.unpublication,
        name="email_unpublication",
    ),
    path("sequences/<int:sequence_id>/emails/<int:email_id>/deletion", sequence_emails.deletion, name="email_deletion"),
    path("sequences/<int:sequence_id>/people", sequence_people.people, name="sequence_people"),
    path("sequences/<int:sequence_id>/settings", sequence_settings.settings, name="sequence_settings"),
    path("sequences/<int:sequence_id>/checks", beside.checks_of_sequence, name="sequence_checks"),
    path("sequences/<int:sequence_id>/week", beside.week_of_sequence, name="sequence_week"),
    path("sequences/<int:sequence_id>/people/new", new_person.new_person, name="new_person"),
    path("first-run", first_run.first_run, name="first_run"),
    path("first-run/postal-address", first_run.postal_address, name="first_run_address"),
    path("first-run/test", first_run.test, name="first_run_test"),
    path("first-run/dismissal", first_run.dismissal, name="first_run_dismissal"),
    path("deliveries", deliveries.sendings, name="sendings"),
    path("deliveries/<int:delivery_id>/resending", deliveries.resending, name="resending"),
    path("deliveries/<int:delivery_id>/acceptance", deliveries.acceptance, name="acceptance"),
    path("inbox", inbox.inbox, name="inbox"),
    path("inbox/emptying", inbox.emptying, name="inbox_emptying"),
    path("inbox/<int:message_id>", inbox.message, name="message"),
    path("inbox/<int:message_id>/body", inbox.body, name="message_body"),
    path("inbox/<int:message_id>/raw", inbox.raw, name="message_raw"),
    path("images", images.images, name="images"),
    path("images/<int:image_id>", images.image, name="image"),
    path("images/<int:image_id>/deletion", images.deletion, name="image_deletion"),
    # Public: the links in emails. Short, because they stand in every one.
    path("i/<str:name>", pictures.picture, name="picture"),
    path("u/<str:token>", unsubscribe.unsubscribe, name="unsubscribe"),
    path("u/<str:token>/resubscription", unsubscribe.resubscription, name="resubscription"),
    path("c/<str:token>", confirm.confirm, name="confirm"),
]
