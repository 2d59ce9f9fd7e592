"""Numbered black-box cases for any XDS-I.b endpoint; how a case is written stands in README.md beside this file.

Nothing in here knows the server under test: the engine uses the standard library, requests and lxml only.
"""
