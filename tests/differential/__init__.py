"""A second evaluator of docs/policy.md, and the comparison of the product with it."""
