"""The best loops written by hand, as one process: raw_side.py CASE.json OUT.json."""

from __future__ import annotations

import torch
from measure import read_case, write_result
from raw_ar1 import ar1
from raw_replay import replay


def main() -> None:
    case = read_case()
    torch.set_num_threads(case["threads"])
    write_result({"ar1": ar1, "replay": replay}[case["kind"]](case))


if __name__ == "__main__":
    main()
