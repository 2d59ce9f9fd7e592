"""Settings of the whole suite."""

from hypothesis import settings

# The suite runs on busy machines: how long an example takes says nothing.
settings.register_profile("xdsi", deadline=None)
settings.load_profile("xdsi")
