"""Odd bytes on a good connection: on what is hidden none gives anything away, on what may be seen each does as it says.

And what is hidden answers as what is not there, byte for byte but for what was asked and the trace.
"""

from __future__ import annotations

import base64

import pytest

from tests.security.asking import Asker
from tests.security.odd_messages import SOAP, Credentials
from tests.security.odd_requests import OK, REST, Shown
from tests.security.raw import sent
from tests.security.targets import Target
from tests.security.test_ways_to_a_study import _absent
from tests.trusted import Trusted, token


@pytest.fixture(scope="module")
def shown(trusted: Trusted) -> Shown:
    return Shown(token(), base64.b64encode(Asker(trusted).assertion()).decode(), trusted.server.port)


@pytest.mark.parametrize("name", REST)
def test_an_odd_request(trusted: Trusted, hidden: Target, visible: Target, shown: Shown, name: str) -> None:
    build, expected = REST[name]
    absent = _absent(hidden)

    allowed = build(visible, shown).encode()
    answer = sent(trusted, allowed)
    assert answer.statuses[:1] == (expected,), answer.content[:2000]
    if expected == OK and not allowed.startswith(b"HEAD"):
        assert answer.gives_away(visible, allowed), answer.content[:2000]

    asked = build(hidden, shown).encode()
    refused = sent(trusted, asked)
    assert not refused.gives_away(hidden, asked), refused.content[:2000]
    assert OK not in refused.statuses

    nothing = sent(trusted, build(absent, shown).encode())
    words = (hidden.study, hidden.series, hidden.instance), (absent.study, absent.series, absent.instance)
    assert refused.statuses == nothing.statuses
    assert refused.shape(words[0]) == nothing.shape(words[1])


@pytest.mark.parametrize("name", SOAP)
def test_an_odd_message(trusted: Trusted, hidden: Target, visible: Target, name: str) -> None:
    build, arrives = SOAP[name]
    absent = _absent(hidden)
    by = Credentials(Asker(trusted).header, token())

    allowed = build(visible, by)
    answer = sent(trusted, allowed)
    assert (b"DocumentResponse>" in answer.content) is arrives, answer.content[:2000]
    assert answer.content.startswith(b"HTTP/1.1 "), "it was answered"

    asked = build(hidden, by)
    refused = sent(trusted, asked)
    assert not refused.gives_away(hidden, asked), refused.content[:2000]

    nothing = sent(trusted, build(absent, by))
    assert refused.statuses == nothing.statuses
    assert refused.shape((hidden.unique_id,)) == nothing.shape((absent.unique_id,))
