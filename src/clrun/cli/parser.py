"""An argument parser whose errors are one line, like every other error of clrun."""

from __future__ import annotations

import argparse
from typing import NoReturn

from clrun.errors import ConfigError


class OneLineParser(argparse.ArgumentParser):
    """Raises instead of printing its usage and exiting."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}. See {self.prog} --help.")
