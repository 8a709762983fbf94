from django.apps import AppConfig


class SequencesConfig(AppConfig):
    name = "dripstone.sequences"
    label = "sequences"
