"""Loaded once by the server that doomed.py forks from: all code, so that no process that is to die has to read it."""

import os
from importlib import import_module

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "dripstone.settings"
django.setup()
import_module("dripstone.urls")  # which comes by nearly everything
