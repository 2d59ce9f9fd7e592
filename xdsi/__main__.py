"""`python -m xdsi`."""

import sys

from xdsi.cli import main

if __name__ == "__main__":
    sys.exit(main())
