"""`python -m clrun` is `clrun`."""

import sys

from clrun.cli.main import main

sys.exit(main())
