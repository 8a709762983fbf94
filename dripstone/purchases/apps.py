from django.apps import AppConfig


class PurchasesConfig(AppConfig):
    name = "dripstone.purchases"
    label = "purchases"
