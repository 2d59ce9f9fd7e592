"""Addresses to listen on."""

from __future__ import annotations

import ipaddress


def is_loopback(address: str) -> bool:
    """True for an address that only this machine reaches; ValueError for what is no address."""
    return address == "localhost" or ipaddress.ip_address(address).is_loopback
