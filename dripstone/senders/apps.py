from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from dripstone.senders import urls


class SendersConfig(AppConfig):
    name = "dripstone.senders"
    label = "senders"

    def ready(self) -> None:
        checks.register(check_mail_url)


def check_mail_url(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """A wrong DRIPSTONE_MAIL_URL stops the start, not the first email."""
    try:
        urls.parse(settings.DRIPSTONE_MAIL_URL)
    except ValueError as problem:
        return [checks.Error(str(problem), hint="docs/reference/mail-urls.md", id="dripstone.senders.E001")]
    return []
