"""Run the command by `python -m pcmamba.cli`."""

import sys
import warnings

from pcmamba.cli import main

if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    sys.exit(main())
