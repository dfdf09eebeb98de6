"""One side of a case, in a process of its own: side.py MODULE CASE.json OUT.json.

MODULE is one of sides/; its `measure(case)` returns the numbers. Final weights go beside OUT.json.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    module, case_file, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    case = json.loads(case_file.read_text()) | {"final_weights": str(out.with_suffix(".npz"))}
    out.write_text(json.dumps(import_module(f"sides.{module}").measure(case)))


if __name__ == "__main__":
    main()
