"""Attacks: each test is one, and shows that it fails."""
