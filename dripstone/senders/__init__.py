"""Handing messages over: one file per way out of the machine, all behind `base.Sender`."""
