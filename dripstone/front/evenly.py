"""Sign-ups, and how they may not be told apart: their answers leave at even times, however long each took to make.

Somebody on the list is found, somebody new is added, a robot is passed over: that takes from one to ten milliseconds,
and whoever measures them would learn who is on the list. Waiting costs no thread, only the answer's bytes. They also
get a part of the threads, so that a flood of them leaves room for everybody else.
"""

import asyncio
import re

from dripstone.front.heads import Environ

EVERY = 0.2  # seconds
_DOOR = re.compile(r"/f/")  # web/public/door.py


def is_sign_up(environ: Environ) -> bool:
    return environ["REQUEST_METHOD"] == "POST" and _DOOR.match(environ["PATH_INFO"]) is not None


async def wait(seconds: float) -> None:
    """seconds   since the request came in"""
    await asyncio.sleep(EVERY - seconds % EVERY)
