from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "dripstone.ops"

    def ready(self) -> None:
        from dripstone.ops import checks  # noqa: F401  (registers them)
