"""What can be heard: the kinds of events of both of Kit's lists, and which of our events each tells of."""

from dataclasses import dataclass

from dripstone.events import types

# What an endpoint may ask for, and the event behind it. `subscriber.activated` also tells of those who come back.
ENDPOINT = {
    "subscriber.created": (types.SUBSCRIBER_CREATED,),
    "subscriber.activated": (types.SUBSCRIBER_ACTIVATED, types.SUBSCRIBER_RESUBSCRIBED),
    "subscriber.unsubscribed": (types.SUBSCRIBER_UNSUBSCRIBED,),
    "subscriber.bounced": (types.SUBSCRIBER_BOUNCED,),
    "subscriber.complained": (types.SUBSCRIBER_COMPLAINED,),
    "subscriber.subscribed_to_form": (types.SUBSCRIBED_TO_FORM,),
    "subscriber.tag_added": (types.TAG_ADDED,),
    "subscriber.tag_removed": (types.TAG_REMOVED,),
    "subscriber.custom_field_value_updated": (types.FIELD_VALUE_UPDATED,),
    "subscriber.added_to_sequence": (types.ADDED_TO_SEQUENCE,),
    "subscriber.sequence_completed": (types.SEQUENCE_COMPLETED,),
    "subscriber.product_purchased": (types.PRODUCT_PURCHASED,),
    "tag.created": (types.TAG_CREATED,),
    "tag.deleted": (types.TAG_DELETED,),
    "custom_field.created": (types.CUSTOM_FIELD_CREATED,),
    "custom_field.deleted": (types.CUSTOM_FIELD_DELETED,),
    "sequence.created": (types.SEQUENCE_CREATED,),
    "sequence.deleted": (types.SEQUENCE_DELETED,),
    "sequence.published": (types.SEQUENCE_PUBLISHED,),
    "sequence.disabled": (types.SEQUENCE_DISABLED,),
    # Ours; Kit has no name for them.
    "subscriber.removed_from_sequence": (types.REMOVED_FROM_SEQUENCE,),
    "subscriber.deleted": (types.SUBSCRIBER_DELETED,),
    "purchase.created": (types.PURCHASE_CREATED,),
}
HEARD_AS = {event: name for name, events in ENDPOINT.items() for event in events}

# Kit has these, or says that it will; nothing here can set them off yet.
NOT_YET_ENDPOINT = ("subscriber.link_clicked", "subscriber.email_opened",
                    "broadcast.", "post.", "landing_page.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Legacy:
    """A webhook of before.

    events  of ours that set it off
    member  of the request that says about which thing; "": it is about none
    is_optional  without it, it tells of all of them
    """

    events: tuple[str, ...]
    member: str = ""
    is_optional: bool = False


LEGACY = {
    "subscriber.subscriber_activate": Legacy((types.SUBSCRIBER_ACTIVATED, types.SUBSCRIBER_RESUBSCRIBED)),
    "subscriber.subscriber_unsubscribe": Legacy((types.SUBSCRIBER_UNSUBSCRIBED,)),
    "subscriber.subscriber_bounce": Legacy((types.SUBSCRIBER_BOUNCED,)),
    "subscriber.subscriber_complain": Legacy((types.SUBSCRIBER_COMPLAINED,)),
    "subscriber.form_subscribe": Legacy((types.SUBSCRIBED_TO_FORM,), "form_id"),
    "subscriber.course_subscribe": Legacy((types.ADDED_TO_SEQUENCE,), "sequence_id"),
    "subscriber.course_complete": Legacy((types.SEQUENCE_COMPLETED,), "sequence_id"),
    "subscriber.tag_add": Legacy((types.TAG_ADDED,), "tag_id"),
    "subscriber.tag_remove": Legacy((types.TAG_REMOVED,), "tag_id"),
    "subscriber.product_purchase": Legacy((types.PRODUCT_PURCHASED,), "product_id"),
    "purchase.purchase_create": Legacy((types.PURCHASE_CREATED,)),
    "custom_field.field_created": Legacy((types.CUSTOM_FIELD_CREATED,)),
    "custom_field.field_deleted": Legacy((types.CUSTOM_FIELD_DELETED,)),
    "custom_field.field_value_updated": Legacy((types.FIELD_VALUE_UPDATED,), "custom_field_id", is_optional=True),
}
NOT_YET_LEGACY = ("subscriber.link_click",)

# Which kind of thing the subject of an event is.
SUBJECTS = {
    types.TAG_ADDED: "tag",
    types.TAG_REMOVED: "tag",
    types.TAG_CREATED: "tag",
    types.TAG_DELETED: "tag",
    types.SUBSCRIBED_TO_FORM: "form",
    types.PRODUCT_PURCHASED: "product",
    types.PURCHASE_CREATED: "purchase",
    types.FIELD_VALUE_UPDATED: "custom_field",
    types.CUSTOM_FIELD_CREATED: "custom_field",
    types.CUSTOM_FIELD_DELETED: "custom_field",
    types.ADDED_TO_SEQUENCE: "sequence",
    types.SEQUENCE_COMPLETED: "sequence",
    types.REMOVED_FROM_SEQUENCE: "sequence",
    types.SEQUENCE_CREATED: "sequence",
    types.SEQUENCE_DELETED: "sequence",
    types.SEQUENCE_PUBLISHED: "sequence",
    types.SEQUENCE_DISABLED: "sequence",
}
