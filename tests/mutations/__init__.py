"""Servers that are deliberately broken, one defect each, and whether the conformance cases find it.

`table.toml` has the defects; `python -m tests.mutations` plays them. Nothing of this is in the product.
"""
