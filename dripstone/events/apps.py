from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "dripstone.events"
    label = "events"
