from django.apps import AppConfig


class FeedbackConfig(AppConfig):
    name = "dripstone.feedback"
    default_auto_field = "django.db.models.BigAutoField"
