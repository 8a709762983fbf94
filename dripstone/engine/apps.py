from django.apps import AppConfig


class EngineConfig(AppConfig):
    name = "dripstone.engine"
    label = "engine"
