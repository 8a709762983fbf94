"""Kit's tools, with the names and parameters they have on Kit's own server, and the calls behind them.

Which of them are not answered, and why, is at the end. docs/reference/agents.md lists both (a test keeps it so).
"""

from collections.abc import Mapping

from dripstone.api.mcp.parameters import (
    ADDRESS,
    CALLBACK,
    COUNTED,
    FIELDS,
    PAGES,
    SEND_DAYS,
    SEND_HOUR,
    TEMPLATE,
    TIME_ZONE,
    Parameters,
    id_of,
    many,
    members,
    one_of,
    open_object,
    some_of,
    text,
    whole,
    yes_no,
)
from dripstone.api.mcp.tools import Arguments, Tool
from dripstone.errors import Invalid
from dripstone.subscribers.subscribe import STATES

# --- What several tools take --------------------------------------------------------------------------------------

_INCLUDED = ("fields", "custom_fields")  # two words for the same
_WITH_FIELDS = {"include": some_of("`fields`: the values of custom fields, too.", *_INCLUDED)}
_STATUS = one_of("State of the subscribers; active ones if it is left out.", *STATES, "all")
_ORDER = one_of("Descending if it is left out.", "asc", "desc")

_SEQUENCE_SETTINGS: Parameters = {
    "email_address": text("Sender: one of the account's sending addresses (get_current_account lists them)."),
    "email_template_id": TEMPLATE,
    "send_days": SEND_DAYS,
    "send_hour": SEND_HOUR,
    "time_zone": TIME_ZONE,
    "repeat": yes_no("Whether people who have completed it may go through it again."),
}
_EMAIL_TEXTS: Parameters = {
    "preview_text": text("What inboxes show after the subject. Liquid works."),
    "content": text(
        "The body, as HTML. Liquid works: {{ subscriber.first_name }}, {{ subscriber.KEY }} for custom fields, "
        "{{ snippet.KEY }}."
    ),
    "email_template_id": TEMPLATE,
}
_SUBJECT = text("Subject. Liquid works.")
_DELAY_VALUE = whole(
    "How long after the email before it, or after entering, in delay_unit. 0 days is for the first email only: at "
    "once.",
    minimum=0,
)
_DELAY_UNIT = one_of("days: at the sequence's hour, on its days. hours: to the minute, on any day.", "days", "hours")
_PLACED: Parameters = {
    "position": whole("Place among the emails, from 0. A taken one moves the following emails back.", minimum=0),
    "published": yes_no("Whether it is sent; an unpublished email is a draft that people pass by."),
    "send_days": some_of("Days for this email alone, instead of the sequence's. Not with a delay in hours.",
                         "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
}  # fmt: skip
_SNIPPET_TEXTS: Parameters = {
    "content": text("Text of an inline snippet. Liquid works."),
    "document_attributes": members("HTML of a block snippet.", {"value_html": text("HTML. Liquid works.")}),
}
_TAGGINGS = {
    "taggings": many(
        "Pairs of a tag and a subscriber.",
        members("A pair.", {"tag_id": id_of("tag"), "subscriber_id": id_of("subscriber")}),
    )
}
_WITH_CALLBACK: Parameters = {"callback_url": CALLBACK}


def _fields_on_request(arguments: Arguments) -> Arguments:
    """Kit's tools leave the values of custom fields out unless asked; its calls leave them out when told to."""
    given = dict(arguments)
    included = given.pop("include", None) or []
    if not isinstance(included, list) or not all(isinstance(one, str) for one in included):
        raise Invalid("include must be an array of strings")
    given["slim"] = not set(_INCLUDED) & set(included)
    if others := [one for one in included if one not in _INCLUDED]:
        given["include"] = others
    return given


def _fields_only(arguments: Arguments) -> Arguments:
    given = _fields_on_request(arguments)
    if "include" in given:
        raise Invalid(f"include must be one or more of: {', '.join(_INCLUDED)}")
    return given


# --- The account --------------------------------------------------------------------------------------------------

_ACCOUNT = (
    Tool(
        "get_current_account",
        "GET /v4/account",
        "Get the account",
        "Whose account this is: name, time zone, plan, and the sending addresses that sequences may use. Read it "
        "first.",
    ),
    Tool(
        "get_creator_profile",
        "GET /v4/account/creator_profile",
        "Get the creator profile",
        "What the account shows of its creator in public: name, byline, text, pictures. “Not Found” when there is "
        "none.",
    ),
    Tool(
        "list_colors",
        "GET /v4/account/colors",
        "List brand colors",
        "The account's palette, as hex codes.",
    ),
    Tool(
        "update_colors",
        "PUT /v4/account/colors",
        "Replace the brand colors",
        "Replaces the whole palette. To add a color, read list_colors first and send the old ones with it.",
        needs={"colors": many("Hex codes such as #1a2b3c, at most 10.", text("A hex code."), maxItems=10)},
    ),
)

# --- Subscribers --------------------------------------------------------------------------------------------------

_SUBSCRIBERS = (
    Tool(
        "list_subscribers",
        "GET /v4/subscribers",
        "List subscribers",
        "People of the account, newest first; only active ones unless `status` says otherwise. Somebody whose "
        "address is known is found by find_subscriber, people who meet conditions by filter_subscribers.",
        takes={
            **PAGES,
            "status": _STATUS,
            "sort_field": one_of(
                "What to sort by. cancelled_at needs status cancelled.",
                "id",
                "created_at",
                "updated_at",
                "cancelled_at",
                "canceled_at",
                "engagement__sent",
                "engagement__opens",
                "engagement__clicks",
                "engagement__open_rate",
                "engagement__click_rate",
            ),
            "sort_order": _ORDER,
            "include": some_of(
                "What to add to each: `fields` are the values of custom fields; canceled_at needs status cancelled.",
                *_INCLUDED,
                "tags",
                "attribution",
                "location",
                "canceled_at",
            ),
        },
        given=_fields_on_request,
    ),
    Tool(
        "filter_subscribers",
        "POST /v4/subscribers/filter",
        "Find subscribers by conditions",
        "People who meet all of the conditions in `all`: sign-up dates, states, tags, where they came from, values "
        "of custom fields. Without conditions: everybody. Opens and clicks are understood but not recorded, which "
        "the answer says.",
        takes={
            **COUNTED,
            "all": many(
                'Conditions by `type`, such as {"type": "subscribed", "after": "2026-01-01"}, {"type": "tags", "any": '
                '[{"type": "ids", "matching": [5]}]}, {"type": "subscriber_state", "states": ["active"]}, {"type": '
                '"custom_field", "subscriber_custom_field_id": 3, "comparison": "is", "value": "x"}; also attribution, '
                "location, sent, delivered, opens, clicks, with the members of Kit's API.",
                open_object("A condition."),
            ),
            "sort_field": one_of(
                "What to sort by; created_at if it is left out.",
                "id",
                "first_name",
                "email_address",
                "created_at",
                "engagement__sent",
                "engagement__opens",
                "engagement__clicks",
                "engagement__open_rate",
                "engagement__click_rate",
                "location__distance",
            ),
            "sort_order": _ORDER,
        },
        given=lambda arguments: {"all": [], **arguments},
        is_reading=True,
    ),
    Tool(
        "get_subscriber",
        "GET /v4/subscribers/{id}",
        "Get a subscriber",
        "One person by id: address, name, state, values of custom fields. For what they get and when: "
        "list_enrollments, then get_journey.",
        needs={"id": id_of("subscriber")},
    ),
    Tool(
        "create_subscriber",
        "POST /v4/subscribers",
        "Add a subscriber, or update one",
        "Adds a person by address. Whoever is there already keeps their state (nobody who unsubscribed comes back "
        "by this); name and fields that are given are written. It puts nobody in a sequence: see "
        "add_subscriber_to_sequence.",
        needs={"email_address": ADDRESS},
        takes={
            "first_name": text("First name."),
            "state": one_of("Of somebody new; active if it is left out.", *STATES),
            "fields": FIELDS,
        },
        is_repeatable=True,
    ),
    Tool(
        "update_subscriber",
        "PUT /v4/subscribers/{subscriber_id}",
        "Update a subscriber",
        "Changes the address, first name or values of custom fields that are given, and nothing else. Mail that is "
        "still to come says the new values.",
        needs={"subscriber_id": id_of("subscriber")},
        takes={"email_address": ADDRESS, "first_name": text("First name."), "fields": FIELDS},
    ),
    Tool(
        "unsubscribe",
        "POST /v4/subscribers/{subscriber_id}/unsubscribe",
        "Unsubscribe somebody from everything",
        "The person gets no more mail of this account and leaves all sequences. Only they themselves can come back, by "
        "signing up and confirming. To end one sequence only, do not use this.",
        needs={"subscriber_id": id_of("subscriber")},
        is_destructive=True,
        is_repeatable=True,
    ),
    Tool(
        "list_tags_for_a_subscriber",
        "GET /v4/subscribers/{id}/tags",
        "List a subscriber's tags",
        "The tags one person carries, each with when they got it.",
        needs={"id": id_of("subscriber")},
        takes=PAGES,
    ),
)

# --- Tags and custom fields ---------------------------------------------------------------------------------------

_TAGS = (
    Tool("list_tags", "GET /v4/tags", "List tags", "The account's tags, newest first.", takes=PAGES),
    Tool(
        "create_tag",
        "POST /v4/tags",
        "Make a tag",
        "Makes a tag. One of that name, in any case, is answered as it is.",
        needs={"name": text("Name of the tag.")},
        is_repeatable=True,
    ),
    Tool(
        "update_tag_name",
        "PUT /v4/tags/{tag_id}",
        "Rename a tag",
        "Gives a tag another name; the people who carry it keep it.",
        needs={"tag_id": id_of("tag"), "name": text("The new name; no other tag may have it.")},
    ),
    Tool(
        "list_subscribers_for_tag",
        "GET /v4/tags/{id}/subscribers",
        "List who carries a tag",
        "Active people with a tag, newest first, each with when they got it.",
        needs={"id": id_of("tag")},
        takes={**COUNTED, **_WITH_FIELDS},
        given=_fields_only,
    ),
    Tool(
        "tag_subscriber",
        "POST /v4/tags/{tag_id}/subscribers",
        "Tag somebody",
        "Puts a tag on the person with this address, who has to be a subscriber. Nothing changes if they have it.",
        needs={"tag_id": id_of("tag"), "email_address": ADDRESS},
        is_repeatable=True,
    ),
    Tool(
        "remove_tag_from_subscriber",
        "DELETE /v4/tags/{tag_id}/subscribers/{subscriber_id}",
        "Take a tag off somebody",
        "Takes one tag off one person. Emails and exclusions that look at the tag see the change from then on.",
        needs={"tag_id": id_of("tag"), "subscriber_id": id_of("subscriber")},
    ),
    Tool(
        "list_custom_fields",
        "GET /v4/custom_fields",
        "List custom fields",
        "The account's own fields of subscribers: label, and the key by which calls and Liquid name it.",
        takes=PAGES,
    ),
    Tool(
        "create_custom_field",
        "POST /v4/custom_fields",
        "Make a custom field",
        "Makes a field; its key is made from the label. One of that label is answered as it is.",
        needs={"label": text("What people call it, such as Last name.")},
        is_repeatable=True,
    ),
    Tool(
        "update_custom_field",
        "PUT /v4/custom_fields/{custom_field_id}",
        "Give a custom field another label",
        "The key changes with the label, so Liquid that says the old key stops working: look for it in emails and "
        "snippets first.",
        needs={"custom_field_id": id_of("custom field"), "label": text("The new label.")},
    ),
    Tool(
        "delete_custom_field",
        "DELETE /v4/custom_fields/{custom_field_id}",
        "Delete a custom field",
        "Deletes the field with everybody's values of it, for good.",
        needs={"custom_field_id": id_of("custom field")},
    ),
)

# --- Forms, segments, templates, snippets -------------------------------------------------------------------------

_FORMS = (
    Tool(
        "list_forms",
        "GET /v4/forms",
        "List forms",
        "Forms and landing pages by which people sign up.",
        takes={**PAGES, "status": one_of("Active ones if it is left out.", "active", "archived", "trashed", "all")},
    ),
    Tool(
        "list_subscribers_for_form",
        "GET /v4/forms/{id}/subscribers",
        "List who signed up by a form",
        "Active people on a form, newest first, each with when they came and from where.",
        needs={"id": id_of("form")},
        takes={**COUNTED, **_WITH_FIELDS},
        given=_fields_only,
    ),
    Tool(
        "add_subscriber_to_form",
        "POST /v4/forms/{form_id}/subscribers",
        "Put somebody on a form",
        "As if the person with this address had signed up by it: they get the tags and sequences of the form. They "
        "have to be a subscriber (create_subscriber). What they confirm and when depends on the form.",
        needs={"form_id": id_of("form"), "email_address": ADDRESS},
        is_repeatable=True,
        reaches_people=True,
    ),
    Tool(
        "list_segments",
        "GET /v4/segments",
        "List segments",
        "Saved conditions; who is in one is looked up whenever it is used.",
        takes=PAGES,
    ),
    Tool(
        "list_email_templates",
        "GET /v4/email_templates",
        "List email templates",
        "What stands around the text of emails: names and ids. get_email_template has the HTML.",
        takes=PAGES,
    ),
    Tool(
        "get_email_template",
        "GET /ext/v1/email_templates/{id}",
        "Get an email template",
        "A template with its HTML; the email's text goes where {{ message_content }} stands.",
        needs={"id": id_of("email template")},
    ),
    Tool(
        "list_snippets",
        "GET /v4/snippets",
        "List snippets",
        "Texts that emails print by {{ snippet.KEY }}. Their content only with include_content.",
        takes={
            **PAGES,
            "archived": yes_no("Only archived ones, instead of those in use."),
            "include_content": yes_no("With what each says."),
            "snippet_type": one_of("Only this kind.", "inline", "block"),
        },
    ),
    Tool(
        "get_snippet",
        "GET /v4/snippets/{id}",
        "Get a snippet",
        "One snippet with what it says.",
        needs={"id": id_of("snippet")},
    ),
    Tool(
        "create_snippet",
        "POST /v4/snippets",
        "Make a snippet",
        "Makes a text that several emails can print. Its kind and its key, made from the name, stay.",
        needs={
            "name": text("Name; the key is made from it."),
            "snippet_type": one_of(
                "inline: text, by `content`. block: HTML, by `document_attributes`.", "inline", "block"
            ),
        },
        takes=_SNIPPET_TEXTS,
    ),
    Tool(
        "update_snippet",
        "PUT /v4/snippets/{id}",
        "Update a snippet",
        "Changes what is given. Every email that prints it says the new text the next time it is sent. `archived` "
        "puts it away or back.",
        needs={"id": id_of("snippet")},
        takes={
            "name": text("Another name; the key stays."),
            **_SNIPPET_TEXTS,
            "archived": yes_no("true puts it away, false brings it back."),
        },
    ),
)

# --- Sequences ----------------------------------------------------------------------------------------------------

_SEQUENCES = (
    Tool(
        "list_sequences",
        "GET /v4/sequences",
        "List sequences",
        "Sequences with their settings, how many emails each has and how many people are inside.",
        takes=PAGES,
    ),
    Tool(
        "get_sequence",
        "GET /v4/sequences/{id}",
        "Get a sequence",
        "One sequence with its settings. get_sequence_health says whether it sends, and if not why.",
        needs={"id": id_of("sequence")},
    ),
    Tool(
        "create_sequence",
        "POST /v4/sequences",
        "Make a sequence",
        "Makes an empty sequence: all days, the account's time zone and sending address unless given. Nothing is "
        "sent until it has a published email and people.",
        needs={"name": text("Name; subscribers do not see it.")},
        takes=_SEQUENCE_SETTINGS,
    ),
    Tool(
        "update_sequence",
        "PUT /v4/sequences/{id}",
        "Update a sequence",
        "Changes the settings that are given. `active` false pauses it and keeps everybody's place; true resumes. "
        "Days, hour and zone hold for dates given from now on. Ask get_impact first when people are inside.",
        needs={"id": id_of("sequence")},
        takes={
            "name": text("Another name."),
            **_SEQUENCE_SETTINGS,
            "active": yes_no("false pauses, true resumes."),
            "hold": yes_no("true: people stay after the last email and get those that are added later."),
        },
        reaches_people=True,
        is_foretold=True,
    ),
    Tool(
        "delete_sequence",
        "DELETE /v4/sequences/{id}",
        "Delete a sequence",
        "Deletes it with its emails. Nobody inside gets anything more of it. To stop for a while, pause it by "
        "update_sequence. Ask get_impact first.",
        needs={"id": id_of("sequence")},
        is_foretold=True,
    ),
    Tool(
        "list_sequence_emails",
        "GET /v4/sequences/{sequence_id}/emails",
        "List a sequence's emails",
        "In the order in which people get them, with delays. Their HTML only with include_content.",
        needs={"sequence_id": id_of("sequence")},
        takes={**PAGES, "include_content": yes_no("With the HTML of each.")},
    ),
    Tool(
        "get_sequence_email",
        "GET /v4/sequences/{sequence_id}/emails/{id}",
        "Get an email of a sequence",
        "One email with its HTML. preview_sequence_email shows it as a person gets it.",
        needs={"sequence_id": id_of("sequence"), "id": id_of("email")},
    ),
    Tool(
        "create_sequence_email",
        "POST /v4/sequences/{sequence_id}/emails",
        "Add an email to a sequence",
        "Adds an email: the last one, and a draft, unless said otherwise. Published before people's place, it is "
        "sent to them, mostly at once: ask get_impact first.",
        needs={
            "sequence_id": id_of("sequence"),
            "subject": _SUBJECT,
            "delay_value": _DELAY_VALUE,
            "delay_unit": _DELAY_UNIT,
        },
        takes={**_EMAIL_TEXTS, **_PLACED},
        reaches_people=True,
        is_foretold=True,
    ),
    Tool(
        "update_sequence_email",
        "PUT /v4/sequences/{sequence_id}/emails/{id}",
        "Update an email of a sequence",
        "Changes what is given. New texts are what everybody gets from then on. Publishing and moving may send at "
        "once, a new delay moves no date that is given: get_impact tells.",
        needs={"sequence_id": id_of("sequence"), "id": id_of("email")},
        takes={
            "subject": _SUBJECT,
            **_EMAIL_TEXTS,
            "delay_value": _DELAY_VALUE,
            "delay_unit": _DELAY_UNIT,
            **_PLACED,
        },
        reaches_people=True,
        is_foretold=True,
    ),
    Tool(
        "delete_sequence_email",
        "DELETE /v4/sequences/{sequence_id}/emails/{id}",
        "Delete an email of a sequence",
        "Deletes it for good. People who wait for it skip it when it would have gone. To keep it, unpublish it by "
        "update_sequence_email. Ask get_impact first.",
        needs={"sequence_id": id_of("sequence"), "id": id_of("email")},
        is_foretold=True,
    ),
    Tool(
        "list_subscribers_for_sequence",
        "GET /v4/sequences/{id}/subscribers",
        "List who is in a sequence",
        "Active people who are inside or have completed it, newest first, each with when they entered. "
        "list_enrollments says where each of them is.",
        needs={"id": id_of("sequence")},
        takes={**COUNTED, **_WITH_FIELDS},
        given=_fields_only,
    ),
    Tool(
        "add_subscriber_to_sequence",
        "POST /v4/sequences/{sequence_id}/subscribers",
        "Start somebody in a sequence",
        "Puts the person with this address, who has to be a subscriber, at its beginning: they may get the first "
        "email within a minute. Nothing changes for somebody inside. An inactive sequence takes nobody.",
        needs={"sequence_id": id_of("sequence"), "email_address": ADDRESS},
        reaches_people=True,
    ),
)

# --- Many at once -------------------------------------------------------------------------------------------------

_LATER = " More than 100 entries are done in the background."

_BULK = (
    Tool(
        "bulk_create_subscribers",
        "POST /v4/bulk/subscribers",
        "Add many subscribers",
        "As create_subscriber, for many: who is there keeps their state. What could not be done is in `failures`."
        + _LATER,
        needs={
            "subscribers": many(
                "The people.",
                members(
                    "A person.",
                    {"email_address": ADDRESS},
                    first_name=text("First name."),
                    state=one_of("Of somebody new.", *STATES),
                ),
            )
        },
        takes=_WITH_CALLBACK,
        is_repeatable=True,
        reaches_people=True,
    ),
    Tool(
        "bulk_create_tags",
        "POST /v4/bulk/tags",
        "Make many tags",
        "As create_tag, for many: those that exist are answered as they are." + _LATER,
        needs={"tags": many("The tags.", members("A tag.", {"name": text("Its name.")}))},
        takes=_WITH_CALLBACK,
        is_repeatable=True,
        reaches_people=True,
    ),
    Tool(
        "bulk_delete_tags",
        "DELETE /v4/bulk/tags",
        "Delete many tags",
        "Deletes tags, and takes them off everybody. Those that do not exist are in `failures`." + _LATER,
        needs={"tags": many("The tags.", members("A tag.", {"id": id_of("tag")}))},
        takes=_WITH_CALLBACK,
        reaches_people=True,
    ),
    Tool(
        "bulk_tag_subscribers",
        "POST /v4/bulk/tags/subscribers",
        "Tag many people",
        "Puts tags on people, by ids. What could not be done is in `failures`." + _LATER,
        needs=_TAGGINGS,
        takes=_WITH_CALLBACK,
        is_repeatable=True,
        reaches_people=True,
    ),
    Tool(
        "bulk_remove_tags_from_subscribers",
        "DELETE /v4/bulk/tags/subscribers",
        "Take tags off many people",
        "Takes tags off people, by ids. What could not be done is in `failures`." + _LATER,
        needs=_TAGGINGS,
        takes=_WITH_CALLBACK,
        reaches_people=True,
    ),
    Tool(
        "bulk_add_subscribers_to_forms",
        "POST /v4/bulk/forms/subscribers",
        "Put many people on forms",
        "As add_subscriber_to_form, by ids: people get what the form gives, mail included. What could not be done "
        "is in "
        "`failures`." + _LATER,
        needs={
            "additions": many(
                "Pairs of a form and a subscriber.",
                members(
                    "A pair.",
                    {"form_id": id_of("form"), "subscriber_id": id_of("subscriber")},
                    referrer=text("Address of the page where they signed up."),
                ),
            )
        },
        takes=_WITH_CALLBACK,
        is_repeatable=True,
        reaches_people=True,
    ),
    Tool(
        "bulk_create_custom_fields",
        "POST /v4/bulk/custom_fields",
        "Make many custom fields",
        "As create_custom_field, for many: those that exist are answered as they are." + _LATER,
        needs={"custom_fields": many("The fields.", members("A field.", {"label": text("Its label.")}))},
        takes=_WITH_CALLBACK,
        is_repeatable=True,
        reaches_people=True,
    ),
    Tool(
        "bulk_update_subscriber_custom_field_values",
        "POST /v4/bulk/custom_fields/subscribers",
        "Write many values of custom fields",
        "Writes values of custom fields of people, over those that are there. What could not be done is in `failures`."
        + _LATER,
        needs={
            "custom_field_values": many(
                "The values.",
                members(
                    "A value.",
                    {
                        "subscriber_id": id_of("subscriber"),
                        "subscriber_custom_field_id": id_of("custom field"),
                        "value": text("What to write."),
                    },
                ),
            )
        },
        takes=_WITH_CALLBACK,
        is_destructive=True,
        is_repeatable=True,
        reaches_people=True,
    ),
)

# --- Purchases and webhooks ---------------------------------------------------------------------------------------

_PURCHASES = (
    Tool(
        "list_purchases",
        "GET /v4/purchases",
        "List purchases",
        "What people bought, as shops have reported it; newest first.",
        takes=PAGES,
    ),
    Tool(
        "get_purchase",
        "GET /v4/purchases/{id}",
        "Get a purchase",
        "One purchase with its products and totals.",
        needs={"id": id_of("purchase")},
    ),
)

_WEBHOOKS = (
    Tool(
        "list_webhooks",
        "GET /v4/webhooks",
        "List webhooks",
        "Addresses that are called when something happens, of the older kind: one event each.",
        takes=PAGES,
    ),
    Tool(
        "create_webhook",
        "POST /v4/webhooks",
        "Make a webhook",
        "From then on this address is called, with people's data, whenever the event happens.",
        needs={
            "target_url": text("Address to call, on a public host."),
            "event": {
                **members(
                    "The event, and what it is about.",
                    {
                        "name": text(
                            "Such as subscriber.subscriber_activate, subscriber.tag_add or subscriber.form_subscribe."
                        )
                    },
                    form_id=id_of("form: for subscriber.form_subscribe"),
                    sequence_id=id_of("sequence: for subscriber.course_subscribe and course_complete"),
                    tag_id=id_of("tag: for subscriber.tag_add and tag_remove"),
                    product_id=id_of("product: for subscriber.product_purchase"),
                    custom_field_id=id_of("custom field: for custom_field.field_value_updated"),
                    initiator_value=text("The link: for subscriber.link_click."),
                )
            },
        },
        reaches_people=True,
    ),
    Tool(
        "delete_webhook",
        "DELETE /v4/webhooks/{webhook_id}",
        "Delete a webhook",
        "The address is called no more.",
        needs={"webhook_id": id_of("webhook")},
    ),
)

TOOLS = (*_ACCOUNT, *_SUBSCRIBERS, *_TAGS, *_FORMS, *_SEQUENCES, *_BULK, *_PURCHASES, *_WEBHOOKS)

# --- What is not answered -----------------------------------------------------------------------------------------

_BROADCASTS = "Dripstone sends sequences; it has no broadcasts yet"
_POSTS = "posts are broadcasts on the web, and there are no broadcasts yet"
_STATS = "opens and clicks are not recorded yet, and figures of 0 would be wrong"
_SHOP = "Dripstone sells nothing; purchases of other shops are recorded"
_PAGES = "Dripstone has forms with pages of their own, and no builder of landing pages"

MISSING: Mapping[str, str] = {
    "create_broadcast": _BROADCASTS,
    "update_broadcast": _BROADCASTS,
    "delete_broadcast": _BROADCASTS,
    "get_broadcast": _BROADCASTS,
    "list_broadcasts": _BROADCASTS,
    "get_stats_for_a_broadcast": _BROADCASTS,
    "get_stats_for_a_list_of_broadcasts": _BROADCASTS,
    "get_link_clicks_for_a_broadcast": _BROADCASTS,
    "get_post": _POSTS,
    "list_posts": _POSTS,
    "get_email_stats": _STATS,
    "get_growth_stats": _STATS,
    "list_stats_for_a_subscriber": _STATS,
    "create_product": _SHOP,
    "update_product": _SHOP,
    "get_product": _SHOP,
    "list_products": _SHOP,
    "list_tax_codes": _SHOP,
    "list_domains": "sending addresses are listed by get_current_account; there are no domains to verify",
    "create_landing_page": _PAGES,
    "update_landing_page": _PAGES,
    "get_landing_page": _PAGES,
    "get_landing_page_schema": _PAGES,
    "list_landing_pages": _PAGES,
    "list_prompt_suggestions": "examples for people are in the documentation",
}
