"""`python -m clrun` is `clrun`."""

import sys

from clrun.cli.main import command

sys.exit(command())
