"""xdsi: an IHE XDS-I.b document registry, document repository and imaging document source."""

__version__ = "0.1.0"
