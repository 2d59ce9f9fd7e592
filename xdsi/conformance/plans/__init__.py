"""Test plans as the public XDS toolkit keeps them (a folder per test, a `testplan.xml` per section), played over HTTP.

`Plans(folder, endpoint).run("12346")` plays one and tells what was not as it expects; the tests that it takes ids from
are played before it. `Report.unmapped` names what a plan asks for and nothing here can do.
"""

from .runner import Plans, Report

__all__ = ["Plans", "Report"]
