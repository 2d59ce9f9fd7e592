"""Two evaluators of docs/policy.md agree: the product, and one that was written from the document alone.

CI compares thousands of cases; `make long` runs `python -m tests.differential` over a million.
"""

import pytest

from tests.differential.comparison import compare

CASES = 2400
SHARES = 3


@pytest.mark.parametrize("share", range(SHARES))
def test_the_product_decides_as_the_document_says(share):
    size = CASES // SHARES
    answers = compare(range(share * size, (share + 1) * size))
    # Cases that never reach a part of the order would show nothing about it.
    for kind in ("permit consent", "deny consent", "deny floor", "permit organization", "permit break-glass"):
        assert answers[kind], kind
    for kind in ("deny other-patient", "permit default", "deny default", "permit publishing", "permit own-consent"):
        assert answers[kind], kind
