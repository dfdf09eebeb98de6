"""The hand-written AR1 with a memory that never grows: raw_overwriting_side.py CASE.json OUT.json.

Avalanche's rule: what the first experience stored is all there is room for, so that later ones
replace old rows while places are free. Labels are right.
"""

from __future__ import annotations

import torch
from measure import read_case, write_result
from raw_ar1 import ar1


def main() -> None:
    case = read_case() | {"overwrites": True}
    torch.set_num_threads(case["threads"])
    write_result(ar1(case))


if __name__ == "__main__":
    main()
