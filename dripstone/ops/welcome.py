"""What `dripstone up` prints once it is ready: where it is, who may enter, and three lines to try."""

import sys
from pathlib import Path

from django.conf import settings
from django.db import connections
from rich.console import Console

from dripstone.accounts import members, verbs
from dripstone.accounts.models import Account, User
from dripstone.ops.demo import DemoResult
from dripstone.sequences.models import Sequence

out = Console(highlight=False, soft_wrap=True)


def show(first: DemoResult | None) -> None:
    """first: what the demo made, or None when this is a later start."""
    out.print(f"\nDripstone is ready: {settings.DRIPSTONE_URL}", style="bold green")
    if first is not None:
        _show_first(first)
    elif account := Account.objects.order_by("id").first():
        _show_later(account)
    else:
        _show_none()
    out.print("\nCtrl-C stops everything.", style="dim")


def show_if_empty() -> None:
    """For `dripstone web`, which has nothing else to say."""
    if not User.objects.exists():
        _show_none()
    connections.close_all()  # a child forked later must not inherit one


def _show_first(first: DemoResult) -> None:
    _line(f"  user      {first.user_email}")
    _line(f"  password  {first.password}")
    _line(f"  API key   {first.api_key}")
    _line(f"            {first.examples_key}  (for the account in which Kit's own examples work)")
    out.print("Password and keys are shown this once.\n\nTry:", style="dim")
    for line in curl_lines(first.api_key, first.sequence_id):
        _line(line)


def _show_none() -> None:
    """Whoever opens the link first owns the server; then it leads nowhere."""
    if User.objects.exists():
        out.print("There is no account. Make one beside this running server:")
        _line(f"{_command()} accounts create --name 'My account' --email you@example.com --time-zone UTC")
    else:
        out.print("There is no account yet. This link makes the first one, once:")
        _line(f"  {verbs.first_link()}")


def _show_later(account: Account) -> None:
    user = members.users_of(account).first()
    _line(f"  user      {user.email if user else '(none)'}, with the password shown at the first start")
    _line(f"  API key   kept hashed; a new one: {_command()} keys create --account {account.pk}")
    sequence = Sequence.objects.filter(account=account).order_by("id").first()
    out.print("\nTry:", style="dim")
    _line(f"KEY=$({_command()} keys create --account {account.pk})")
    for line in curl_lines("$KEY", sequence.pk if sequence else 1):
        _line(line)


def curl_lines(api_key: str, sequence_id: int) -> list[str]:
    """Three lines for a shell: list sequences, create a person, put them into a sequence."""
    base = f"{_local_url()}/v4"
    key = f'-H "X-Kit-Api-Key: {api_key}"'
    post = f'curl -s {key} -H "Content-Type: application/json"'
    person = "grace@example.com"
    return [
        f"curl -s {key} {base}/sequences",
        f"""{post} -d '{{"email_address": "{person}", "first_name": "Grace"}}' {base}/subscribers""",
        f"""{post} -d '{{"email_address": "{person}"}}' {base}/sequences/{sequence_id}/subscribers""",
    ]


def _local_url() -> str:
    """Where curl on this machine reaches us: the public URL may need DNS or a proxy that is not there yet."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}  # noqa: S104  (compared, not bound)
    return f"http://{host.get(settings.DRIPSTONE_HOST, settings.DRIPSTONE_HOST)}:{settings.DRIPSTONE_PORT}"


def _command() -> str:
    """How this `dripstone` was called, so that the line works when pasted into the same folder."""
    beside = Path(sys.executable).parent / "dripstone"
    if not beside.exists():
        return f"{sys.executable} -m dripstone"
    try:
        return str(beside.relative_to(Path.cwd()))
    except ValueError:
        return str(beside)


def _line(text: str) -> None:
    out.print(text, markup=False)
