"""Test runs of automations: an imagined person walks through, and nothing of it stays."""

from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, NameOrNull, YesNoOrNull, one_of_or_null
from dripstone.api.ext.automations import INSTANT, SPAN, Start, automation_of
from dripstone.api.replies import reply
from dripstone.automations import trial, trial_reading, verbs
from dripstone.automations.graph import Graph
from dripstone.automations.models import Automation
from dripstone.explain import trial_words
from dripstone.given import MAX_ID, Checked, Given
from dripstone.shapes import test_runs as shapes

router = Router(tags=["Automations"])

DRAFT, PUBLISHED = "draft", "published"

_IDS = {"type": ["array", "null"], "items": {"type": "integer", "minimum": 1, "maximum": MAX_ID}}
_HAPPENS = {
    "type": ["array", "null"],
    "maxItems": trial_reading.MOST,
    "items": {
        "type": "object",
        "description": "`node`: the event for which it waits; or `what`.",
        "properties": {
            "node": {"type": "string"},
            "what": {"type": "string", "enum": list(trial_reading.WHAT)},
            "after": SPAN,
        },
    },
}
_TEXTS = {"type": ["object", "null"], "additionalProperties": {"type": "string"}}
Ids = Annotated[Any, WithJsonSchema(_IDS)]
Texts = Annotated[Any, WithJsonSchema(_TEXTS)]


class TestRunBody(Body):
    """Who the person is, and what is so of them before; `entry`: by which they come in, null for by hand; `at`: when;
    `happens`: what, after how long; `ways`: by which exit they go at a fork, whatever is true. `graph`: the draft, if
    there is one, unless given."""

    graph: Annotated[Any, one_of_or_null(DRAFT, PUBLISHED)] = MISSING
    first_name: NameOrNull = MISSING
    confirmed: YesNoOrNull = MISSING
    tag_ids: Ids = MISSING
    form_ids: Ids = MISSING
    product_ids: Ids = MISSING
    fields: Texts = MISSING
    entry: Start = MISSING
    at: Annotated[Any, WithJsonSchema({**INSTANT, "type": ["string", "null"]})] = MISSING
    happens: Annotated[Any, WithJsonSchema(_HAPPENS)] = MISSING
    ways: Texts = MISSING


ANYBODY = TestRunBody()


class TestRunAnswer(TypedDict):
    test_run: shapes.TestRunShape


@router.post("/automations/{int:id}/test_run", response=TestRunAnswer, summary="Try an automation")
def try_automation(request: KitRequest, id: int, body: TestRunBody = ANYBODY) -> HttpResponse:
    """An imagined person walks through on a clock of their own: every step, email and call, each with its time. Nobody
    is mailed, and nothing is kept."""
    row, given = automation_of(request, id), body.given()
    graph = _graph(row, given)
    asked = trial_reading.read(given, graph, row.account, clock.now())
    with trial.lived(
        row, graph, asked.person, begins_at=asked.begins_at, entry=asked.entry, planned=asked.planned, ways=asked.ways
    ) as life:
        return reply(200, test_run=shapes.test_run(trial_words.told(life)))


def _graph(row: Automation, given: Given) -> Graph:
    read = Checked(given)
    read.drop_nulls("graph")
    read.choice("graph", (DRAFT, PUBLISHED))
    draft = verbs.draft_of(row) if read.sound().get("graph", DRAFT) == DRAFT else None
    return verbs.published(row) if draft is None else draft
