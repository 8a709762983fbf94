from django.apps import AppConfig


class ImagesConfig(AppConfig):
    name = "dripstone.images"
    label = "images"
