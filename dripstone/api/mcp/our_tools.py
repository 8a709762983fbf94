"""What Kit has no tool for: who is where and why, what comes, what an edit would do. All of it only reads."""

from collections.abc import Mapping

from dripstone.api.mcp import kit_tools
from dripstone.api.mcp.parameters import (
    ADDRESS,
    COUNTED,
    PAGES,
    TEMPLATE,
    id_of,
    one_of,
    open_object,
    text,
    whole,
)
from dripstone.api.mcp.tools import Arguments, Tool
from dripstone.errors import Invalid

# Edits of a sequence: what get_impact tells about.
EDITS: Mapping[str, Tool] = {tool.name: tool for tool in kit_tools.TOOLS if tool.is_foretold}
_DAYS = whole("How many days ahead; 30 if it is left out.", minimum=1, maximum=366)


def _everybody(arguments: Arguments) -> Arguments:
    return {"status": "all", **arguments}


def _change(arguments: Arguments) -> Arguments:
    """The call that an edit would be, as the impact is asked for it."""
    edit = EDITS.get(str(arguments.get("tool")))
    if edit is None:
        raise Invalid(f"tool must be one of: {', '.join(EDITS)}")
    given = arguments.get("arguments")
    if not isinstance(given, dict):
        raise Invalid("arguments must be an object: those of the tool")
    edit.check(given)
    body = None if edit.method == "DELETE" else edit.beside_path(edit.meant(given))
    return {
        "id": given[edit.in_path[0]],
        "change": {"method": edit.method, "path": edit.filled(given), "body": body},
    }


TOOLS = (
    Tool(
        "find_subscriber",
        "GET /v4/subscribers",
        "Find somebody by address",
        "The person with this address, whatever their state; an empty list when there is none.",
        needs={"email_address": ADDRESS},
        given=_everybody,
    ),
    Tool(
        "list_enrollments",
        "GET /ext/v1/enrollments",
        "List people's places in sequences",
        "Who is where: status, the next email and when it is due. By person, by sequence, or both.",
        takes={
            "subscriber_id": id_of("subscriber: only theirs"),
            "sequence_id": id_of("sequence: only its"),
            "status": one_of("Only these.", "unconfirmed", "active", "completed", "removed"),
            **COUNTED,
        },
    ),
    Tool(
        "get_journey",
        "GET /ext/v1/enrollments/{enrollment_id}/journey",
        "Explain why somebody gets what when",
        "One person's way through one sequence, email by email: sent when, or coming when, by which rule and from "
        "which moment counted; or skipped, waiting or not coming, and why. Each has a sentence to show. Ids: "
        "list_enrollments.",
        needs={"enrollment_id": id_of("enrollment")},
    ),
    Tool(
        "list_deliveries",
        "GET /ext/v1/deliveries",
        "List what was sent, and how it ended",
        "Emails that were planned for people: sent, skipped, failed, or unknown (nobody answered), with the reason.",
        takes={
            "subscriber_id": id_of("subscriber: only theirs"),
            "sequence_id": id_of("sequence: only its"),
            "email_id": id_of("email: only of this"),
            "status": one_of("Only these.", "planned", "sending", "sent", "skipped", "failed", "unknown"),
            **COUNTED,
        },
    ),
    Tool(
        "get_message",
        "GET /ext/v1/deliveries/{delivery_id}/message",
        "Show an email as somebody got it",
        "Subject, HTML, text and headers of a delivery, made of the versions that were sent then.",
        needs={"delivery_id": id_of("delivery")},
    ),
    Tool(
        "preview_sequence_email",
        "POST /ext/v1/sequences/{sequence_id}/emails/{id}/preview",
        "Preview an email as somebody would get it",
        "Made by the code that sends, for this person; without one, for somebody invented. Texts that are given are "
        "tried instead of those that are saved. It changes and sends nothing, and warns of what is missing.",
        needs={"sequence_id": id_of("sequence"), "id": id_of("email")},
        takes={
            "subscriber_id": id_of("subscriber who reads it"),
            "subject": text("Another subject. Liquid works."),
            "preview_text": text("Another preview text. Liquid works."),
            "content": text("Another body, as HTML. Liquid works."),
            "email_template_id": TEMPLATE,
        },
        is_reading=True,
    ),
    Tool(
        "get_impact",
        "POST /ext/v1/sequences/{id}/impact",
        "Say what an edit of a sequence would do",
        "To whom an edit sends something, when, and whose dates move, before it is made: counts, people and "
        "a `summary` to show. It changes nothing, and refuses what the edit would be refused for. Use it before you "
        "edit a sequence with people inside, and show the summary to whoever decides. Give its `token` to the edit as "
        "`impact_token`: then it is refused if anything has changed since.",
        needs={
            "tool": one_of("The edit, by the name of its tool.", *EDITS),
            "arguments": open_object("The arguments that the tool would get."),
        },
        given=_change,
        is_reading=True,
    ),
    Tool(
        "get_sequence_health",
        "GET /ext/v1/sequences/{sequence_id}/health",
        "Explain why a sequence sends, or does not",
        "A sentence on how it stands, what goes out next, and everything that stops or hinders it, the gravest "
        "first, each with what mends it. Ask this when somebody says that nothing is sent.",
        needs={"sequence_id": id_of("sequence")},
    ),
    Tool(
        "get_sequence_forecast",
        "GET /ext/v1/sequences/{sequence_id}/forecast",
        "Say what a sequence will send",
        "How many emails go out on each day, by email, to those who are inside now.",
        needs={"sequence_id": id_of("sequence")},
        takes={"days": _DAYS},
    ),
    Tool(
        "get_forecast",
        "GET /ext/v1/forecast",
        "Say what the account will send",
        "How many emails go out on each day, of all sequences together, to those who are inside now.",
        takes={"days": _DAYS},
    ),
    Tool(
        "get_sequence_report",
        "GET /ext/v1/sequences/{sequence_id}/report",
        "Say what became of a sequence",
        "Per email: sent, skipped, failed, how many wait and how many left after it; and over time.",
        needs={"sequence_id": id_of("sequence")},
        takes={"span": one_of("By week for a quarter or a year, by month for all.", "quarter", "year", "all")},
    ),
    Tool(
        "list_sequence_email_versions",
        "GET /ext/v1/sequences/{sequence_id}/emails/{id}/versions",
        "List what was published of an email",
        "Earlier versions of an email, when and by whom they were published; the newest first.",
        needs={"sequence_id": id_of("sequence"), "id": id_of("email")},
        takes=PAGES,
    ),
)
