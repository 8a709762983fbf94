from django.apps import AppConfig


class ContentConfig(AppConfig):
    name = "dripstone.content"
    label = "content"
