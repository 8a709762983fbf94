"""The places of the app: in the side of every page, and on a phone in the bar at the foot, which has room for four of
them and for More, with the rest.

A page that people come back to is a row here; a page inside one of them says whose it is by `section`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """section   what the context of its pages says, so that the place is marked
    short     the first words of its label, where there is no room for all"""

    section: str
    label: str
    url_name: str
    short: str = ""


WORK = (
    Place("sequences", "Sequences", "home"),
    Place("people", "People", "people"),
    Place("forms", "Forms", "forms"),
    Place("automations", "Automations", "automations"),
    Place("rules", "Rules", "rules"),
    Place("library", "Snippets and templates", "snippets", short="Snippets"),
)
RUNNING = (
    Place("forecast", "Forecast", "forecast"),
    Place("activity", "Activity", "activity"),
    Place("inbox", "Inbox", "inbox"),
    Place("engine", "Engine", "engine"),
)

IN_BAR = ("sequences", "people", "forecast", "inbox")
BAR = tuple(place for place in (*WORK, *RUNNING) if place.section in IN_BAR)
MORE = tuple(place for place in (*WORK, *RUNNING) if place.section not in IN_BAR)
