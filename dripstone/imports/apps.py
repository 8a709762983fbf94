from django.apps import AppConfig


class ImportsConfig(AppConfig):
    name = "dripstone.imports"
    label = "imports"
