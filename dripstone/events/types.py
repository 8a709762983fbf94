"""The kinds of events, named as Kit names them in webhook endpoints where Kit has a name, and what their subject is."""

SUBSCRIBER_CREATED = "subscriber.created"  # data: `remembered_as`, of somebody who was deleted and must not be mailed
SUBSCRIBER_ACTIVATED = "subscriber.activated"
SUBSCRIBER_UNSUBSCRIBED = "subscriber.unsubscribed"  # these three: the delivery it came back from, or none
SUBSCRIBER_BOUNCED = "subscriber.bounced"
SUBSCRIBER_COMPLAINED = "subscriber.complained"
SUBSCRIBER_RESUBSCRIBED = "subscriber.resubscribed"
SUBSCRIBER_DELETED = "subscriber.deleted"  # the last of theirs, and the only one that is kept
SUBSCRIBED_TO_FORM = "subscriber.subscribed_to_form"  # the form
FORM_FILLED_IN_AGAIN = "subscriber.form_filled_in_again"  # the form; by somebody who is on it
TAG_ADDED = "subscriber.tag_added"  # the tag
TAG_REMOVED = "subscriber.tag_removed"
FIELD_VALUE_UPDATED = "subscriber.custom_field_value_updated"  # the field; data: `value`, null when emptied
ADDED_TO_SEQUENCE = "subscriber.added_to_sequence"  # the sequence; legacy: subscriber.course_subscribe
SEQUENCE_COMPLETED = "subscriber.sequence_completed"  # legacy: subscriber.course_complete
REMOVED_FROM_SEQUENCE = "subscriber.removed_from_sequence"
SEQUENCE_END_REACHED = "subscriber.sequence_end_reached"  # the sequence, which holds: they stay. Not for webhooks
SENT_INTO_AUTOMATION = "subscriber.sent_into_automation"  # the automation; whether it lets them in, it says itself
SENT_OUT_OF_AUTOMATION = "subscriber.sent_out_of_automation"  # these two not for webhooks
PURCHASE_CREATED = "purchase.created"  # the purchase; legacy: purchase.purchase_create
PRODUCT_PURCHASED = "subscriber.product_purchased"  # the product, for each line; data: `purchase_id`

# About a thing and no person. Kit has more of them (`tag.*`, `custom_field.*`) whose names it does not publish.
TAG_CREATED = "tag.created"
TAG_DELETED = "tag.deleted"
CUSTOM_FIELD_CREATED = "custom_field.created"
CUSTOM_FIELD_DELETED = "custom_field.deleted"
SEQUENCE_CREATED = "sequence.created"
SEQUENCE_DELETED = "sequence.deleted"
SEQUENCE_PUBLISHED = "sequence.published"  # it is active now
SEQUENCE_DISABLED = "sequence.disabled"  # it is not

OF_SEQUENCES = (ADDED_TO_SEQUENCE, SEQUENCE_COMPLETED, SEQUENCE_END_REACHED, REMOVED_FROM_SEQUENCE)
"""About somebody's place in one."""
