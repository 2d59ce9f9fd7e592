"""Everything that persists; implements the ports of the domain."""
