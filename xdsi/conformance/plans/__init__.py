"""Test plans as the public XDS toolkit keeps them (a folder per test, a `testplan.xml` per section), played over HTTP.

`Plans(folder, endpoint).run("12346")` plays one and tells what was not as it expects; the tests that it takes ids from
are played before it. `Report.unmapped` names what a plan asks for and nothing here can do. `case_of(test)` makes a case
of a test, to be played with all others.
"""

from .playing import played
from .reading import case_of, tests
from .runner import Plans, Report

__all__ = ["Plans", "Report", "case_of", "played", "tests"]
