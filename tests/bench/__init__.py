"""Measurements as ratios: both sides in one run, on one machine, with one client. `python -m tests.bench`."""
