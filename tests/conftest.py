"""Settings of the whole suite, and the servers that several modules talk to."""

import os
import sys

from hypothesis import settings

from tests.servers import full_server, open_server
from tests.trusted import trusted

__all__ = ["full_server", "open_server", "trusted"]

# Tests start hundreds of processes; without bytecode each of them would compile the whole package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The suite runs on busy machines: how long an example takes says nothing.
settings.register_profile("xdsi", deadline=None)
settings.load_profile("xdsi")
