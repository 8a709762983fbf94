"""Parameters of tools, as JSON schemas: short words for what the tables of tools say again and again.

Types are those that Kit lists for its tools; values and bounds are those of the calls.
"""

from typing import Any

from dripstone.words import WEEKDAYS

Schema = dict[str, Any]
Parameters = dict[str, Schema]

MOST_PER_PAGE = 100  # of a tool; a model reads every row


def id_of(noun: str) -> Schema:
    return {"type": "integer", "minimum": 1, "description": f"Id of the {noun}."}


def text(description: str) -> Schema:
    return {"type": "string", "description": description}


def whole(description: str, **bounds: int) -> Schema:
    return {"type": "integer", "description": description, **bounds}


def yes_no(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def one_of(description: str, *values: str) -> Schema:
    return {"type": "string", "enum": [*values], "description": description}


def some_of(description: str, *values: str) -> Schema:
    return many(description, {"type": "string", "enum": [*values]})


def many(description: str, items: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": items, "description": description, **bounds}


def members(description: str, required: Parameters, **optional: Schema) -> Schema:
    """An object with these members and no others."""
    properties = {**required, **optional}
    return {"type": "object", "properties": properties, "required": [*required], "description": description}


def open_object(description: str, values: Schema | None = None) -> Schema:
    """An object whose members the account decides."""
    return {"type": "object", "additionalProperties": values or True, "description": description}


# Every tool of Kit's takes them; they tell Kit who uses what. Dripstone takes them and looks at neither.
ALWAYS: Parameters = {
    "session_id": text("Taken as Kit's server takes it, and not used."),
    "user_goal": text("Taken as Kit's server takes it, and not used."),
}

# What get_impact tells about takes the token that it gives: docs/decisions/impact.md.
IMPACT = "impact_token"
FORETOLD: Parameters = {
    IMPACT: text("`token` of get_impact's answer for this edit: it is then made only if it still does what was told.")
}

PAGES: Parameters = {
    "after": text("Cursor: `pagination.end_cursor` of an answer, for the page after it."),
    "before": text("Cursor: `pagination.start_cursor` of an answer, for the page before it."),
    "per_page": {
        **whole("How many to list at most.", minimum=1, maximum=MOST_PER_PAGE),
        "default": MOST_PER_PAGE,
    },
}
COUNTED: Parameters = PAGES | {"include_total_count": yes_no("Whether to count all of them: `pagination.total_count`.")}

ADDRESS = text("An email address; capitals do not count.")
FIELDS = open_object(
    'Values of custom fields by key, such as {"company": "Acme"}. Keys that do not exist are ignored, with a warning.',
    {"type": ["string", "null"]},
)
CALLBACK = text(
    "For more than 100 entries: an address that is called with what became of them. Their answer comes at once, "
    "without results."
)

SEND_DAYS = some_of("Days of the week on which emails with a delay in days go.", *WEEKDAYS)
SEND_HOUR = whole("Hour of the day, in the sequence's time zone, at which emails with a delay in days go.",
                  minimum=0, maximum=23)  # fmt: skip
TIME_ZONE = text("Such as America/New_York.")
TEMPLATE = whole("Id of the email template around the text; 0 is the built-in one.", minimum=0)
