"""Numbered black-box cases (data; docs/conformance.md), and the tests of what plays them."""
