"""The kinds of events, named as Kit names them in webhook endpoints where Kit has a name."""

SUBSCRIBER_CREATED = "subscriber.created"
SUBSCRIBER_ACTIVATED = "subscriber.activated"
SUBSCRIBER_UNSUBSCRIBED = "subscriber.unsubscribed"
SUBSCRIBER_BOUNCED = "subscriber.bounced"
SUBSCRIBER_COMPLAINED = "subscriber.complained"
SUBSCRIBER_RESUBSCRIBED = "subscriber.resubscribed"
SUBSCRIBED_TO_FORM = "subscriber.subscribed_to_form"
TAG_ADDED = "subscriber.tag_added"
TAG_REMOVED = "subscriber.tag_removed"
ADDED_TO_SEQUENCE = "subscriber.added_to_sequence"  # legacy: subscriber.course_subscribe
SEQUENCE_COMPLETED = "subscriber.sequence_completed"  # legacy: subscriber.course_complete
REMOVED_FROM_SEQUENCE = "subscriber.removed_from_sequence"
