"""Why a rule did not fire, as `Firing.reason` keeps it. Codes are on the wire: none changes its meaning.

What an event with a quiet cause does (`fire_rules=false`, an import) is no firing and is not logged: it was asked for.
"""

CONDITION = "condition"  # the person did not meet it when the event was read
IN_ITS_OWN_CHAIN = "in_its_own_chain"  # the event comes of what this rule did (A16)
TOO_DEEP = "too_deep"  # so many rules and automations lie between the event and what began it (causes.DEEPEST)
TOO_OFTEN = "too_often"  # it took this person ten times in 24 hours, by something else than an act of outside
OUR_MISTAKE = "our_mistake"  # an error of Dripstone's own, which its log has; nothing was done

ALL = (CONDITION, IN_ITS_OWN_CHAIN, TOO_DEEP, TOO_OFTEN, OUR_MISTAKE)
"""In the order in which they are looked at: those before are found without asking about the person."""
