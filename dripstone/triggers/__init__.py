"""What rules, automations and bulk actions have in common: triggers (when.py) and actions (what.py).

Both are kept as JSON, are read by one reader each, and name their things and say themselves in words. Dates in fields
(dates.py) and mail to the owner (owner_mail.py) have rows of their own, since they fall due.
"""
