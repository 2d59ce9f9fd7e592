"""One codec per format; no input or output, no decisions."""
