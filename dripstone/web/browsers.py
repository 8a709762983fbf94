"""What a browser calls itself, in words."""

import re

# The first that fits: most of them say the names of others too.
_BROWSERS = (
    ("Edge", r"Edg[A-Z]?\w*/"),
    ("Opera", r"OPR/"),
    ("Samsung Internet", r"SamsungBrowser/"),
    ("Firefox", r"Firefox/|FxiOS/"),
    ("Chrome", r"Chrome/|CriOS/|Chromium/"),
    ("Safari", r"Safari/"),
)
_SYSTEMS = (
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Android", r"Android"),
    ("Windows", r"Windows"),
    ("Mac", r"Mac OS X|Macintosh"),
    ("ChromeOS", r"CrOS"),
    ("Linux", r"Linux|X11"),
)


def name(user_agent: str) -> str:
    """`Firefox on Linux`; `A browser` for what says nothing that we know."""
    browser, system = _first(_BROWSERS, user_agent) or "A browser", _first(_SYSTEMS, user_agent)
    return f"{browser} on {system}" if system else browser


def _first(known: tuple[tuple[str, str], ...], text: str) -> str:
    return next((one for one, pattern in known if re.search(pattern, text)), "")
