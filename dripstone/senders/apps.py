from django.apps import AppConfig


class SendersConfig(AppConfig):
    name = "dripstone.senders"
    label = "senders"

    def ready(self) -> None:
        from dripstone.senders import checks  # noqa: F401  (registers them)
