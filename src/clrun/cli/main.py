"""The `clrun` command: verbs have their own parsers, everything else is Hydra's. No torch here."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from clrun.cli.verbs import VERBS
from clrun.errors import ClrunError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code (see clrun.errors)."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        if words and words[0] in VERBS:
            return int(import_module(VERBS[words[0]].module).main(words[1:]))
        from clrun.cli import hydra_app  # Hydra takes 0.3 s to import

        return hydra_app.main(words[1:] if words[:1] == ["run"] else words)
    except ClrunError as error:
        return _failed(str(error), error.exit_code, debug)
    except KeyboardInterrupt:
        return _failed("interrupted.", 130, debug)
    except BrokenPipeError:
        sys.stderr.close()  # the reader left (clrun list | head): nobody to answer
        return 1
    except Exception as error:
        hint = "" if debug else " (--debug shows the traceback)"
        return _failed(f"{type(error).__name__}: {error}{hint}", 1, debug)


def _failed(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    for line in message.splitlines():
        print(f"clrun: {line}", file=sys.stderr)
    return code
