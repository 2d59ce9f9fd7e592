"""Which metadata attributes a sender must, may or must not give, and which a registry must return.

ITI TF-3 4.3.1 and 4.3.2 (tables by actor); Metadata Update 4.3.1 for logicalID, version and documentAvailability.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

REQUIRED: Final = "R"
REQUIRED_IF_KNOWN: Final = "R2"
OPTIONAL: Final = "O"
PROHIBITED: Final = "X"
REQUIRED_FOR_STABLE: Final = "R3"
"""in `RETURNED`: R for a Stable DocumentEntry, X for an On-Demand one"""


class Column(StrEnum):
    """The sending actor whose column applies."""

    DOCUMENT_SOURCE = "DS"
    """ITI-41"""
    REPOSITORY = "DR"
    """ITI-42"""
    ON_DEMAND = "OD"
    """ITI-61"""


Row = Mapping[Column, str]


def _table(text: str) -> tuple[Mapping[str, Row], Mapping[str, str]]:
    """Read lines of `attribute DS DR OD returned`."""
    sent: dict[str, Row] = {}
    returned: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.strip():
            continue
        name, source, repository, on_demand, back = line.split()
        if {source, repository, on_demand, back} - {"R", "R2", "R3", "O", "X"}:
            raise ValueError(f"not an optionality: {line}")
        sent[name] = {
            Column.DOCUMENT_SOURCE: source,
            Column.REPOSITORY: repository,
            Column.ON_DEMAND: on_demand,
        }
        returned[name] = back
    return sent, returned


# columns: Document Source (41), Document Repository (42), On-Demand Document Source (61), returned by a registry (18)
DOCUMENT_ENTRY, DOCUMENT_ENTRY_RETURNED = _table("""
author                      R2 R2 R2 R2
availabilityStatus          O  O  O  R
classCode                   R  R  R  R
comments                    O  O  O  O
confidentialityCode         R  R  R  R
creationTime                R  R  X  R3
documentAvailability        O  O  X  O
entryUUID                   R  R  R  R
eventCodeList               O  O  O  O
formatCode                  R  R  R  R
hash                        O  R  X  R3
healthcareFacilityTypeCode  R  R  R  R
homeCommunityId             O  O  O  O
languageCode                R  R  R  R
legalAuthenticator          O  O  O  O
limitedMetadata             X  X  X  X
logicalID                   O  O  O  R
mimeType                    R  R  R  R
objectType                  R  R  R  R
patientId                   R  R  R  R
practiceSettingCode         R  R  R  R
referenceIdList             O  O  O  O
repositoryUniqueId          O  R  R  R
serviceStartTime            R2 R2 O  R2
serviceStopTime             R2 R2 O  R2
size                        O  R  X  R3
sourcePatientId             R  R  R  R
sourcePatientInfo           O  O  O  O
title                       O  O  O  O
typeCode                    R  R  R  R
uniqueId                    R  R  R  R
URI                         O  O  O  O
version                     O  O  O  R
""")

SUBMISSION_SET, SUBMISSION_SET_RETURNED = _table("""
author                      R2 R2 R2 R2
availabilityStatus          O  O  O  R
comments                    O  O  O  O
contentTypeCode             R  R  R  R
entryUUID                   R  R  R  R
homeCommunityId             O  O  O  O
intendedRecipient           O  O  O  O
limitedMetadata             X  X  X  X
patientId                   R  R  R  R
sourceId                    R  R  R  R
submissionTime              R  R  R  R
title                       O  O  O  O
uniqueId                    R  R  R  R
""")

FOLDER, FOLDER_RETURNED = _table("""
availabilityStatus          O  O  O  R
codeList                    R  R  R  R
comments                    O  O  O  O
entryUUID                   R  R  R  R
homeCommunityId             O  O  O  O
lastUpdateTime              O  O  O  O
limitedMetadata             X  X  X  X
logicalID                   O  O  O  R
patientId                   R  R  R  R
title                       R  R  R  R
uniqueId                    R  R  R  R
version                     O  O  O  R
""")
