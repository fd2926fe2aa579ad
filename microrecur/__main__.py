"""Run the command line as ``python -m microrecur``."""

import sys

from microrecur.cli import main

if __name__ == "__main__":
    sys.exit(main())
