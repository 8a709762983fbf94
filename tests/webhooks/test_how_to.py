"""The snippets of docs/how-to/receive-webhooks.md, run against signatures as they are sent."""

import json
import re
import subprocess
import time
from pathlib import Path

from playwright._impl._driver import compute_driver_executable

from dripstone.calls import secrets

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "receive-webhooks.md"
BODY = '{"delivery_id":1,"events":[{"data":{"subscriber":{"first_name":"Zoë"}}}]}'.encode()


def snippet(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


def trials() -> list[tuple[str, bytes, bool]]:
    """A signature, a body, and whether it is genuine for "whsec_new"."""
    now = int(time.time())
    rotated = secrets.signature(["whsec_new", "whsec_old"], now, BODY)
    return [
        (secrets.signature(["whsec_new"], now, BODY), BODY, True),
        (rotated, BODY, True),
        (secrets.signature(["whsec_old"], now, BODY), BODY, False),
        (rotated, BODY + b" ", False),
        (secrets.signature(["whsec_new"], now - 400, BODY), BODY, False),
        (secrets.signature(["whsec_new"], now, BODY).replace("t=", "x="), BODY, False),
        ("", BODY, False),
    ]


def test_the_one_in_python_tells_what_is_genuine() -> None:
    names: dict[str, object] = {}
    exec(snippet("python"), names)
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)
    for signature, body, is_so in trials():
        assert is_genuine("whsec_new", signature, body) is is_so, signature


def test_the_one_in_node_tells_what_is_genuine() -> None:
    asked = [[signature, body.decode()] for signature, body, _ in trials()]
    ask = f"{json.dumps(asked)}.map(([signature, body]) => isGenuine('whsec_new', signature, Buffer.from(body)))"
    script = f"{snippet('js')}\nconsole.log(JSON.stringify({ask}));"
    node, _ = compute_driver_executable()  # the one that the browser tests come with: it is on every machine
    said = subprocess.run([node, "-e", script], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(said.stdout) == [is_so for _, _, is_so in trials()]
