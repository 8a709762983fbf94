"""singer-tap-kit as it is, but for its base URL: it has no setting for it, only an attribute.

Runs in an environment of its own (test_singer_tap.py).
"""

import os

import tap_kit  # type: ignore[import-not-found]


class Elsewhere(tap_kit.KitAPI):  # type: ignore[misc]
    def __init__(self, api_key: str) -> None:
        super().__init__(api_key)
        self.base_url = os.environ["KIT_BASE_URL"]


tap_kit.KitAPI = Elsewhere
tap_kit.main()
