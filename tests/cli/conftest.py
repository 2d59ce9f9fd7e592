"""The archive that commands push into."""

from tests.archives import orthanc

__all__ = ["orthanc"]
