"""The registry's metadata as a stream of lines, out of one database and into another.

`lines` says what a line is, `exporting` writes them, `importing` reads them.
"""
