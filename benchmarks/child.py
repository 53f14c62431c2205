"""Measure one row: `python -m benchmarks.child NAME ANSWER quick|full OFFICIAL`."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    name, answer, size, official = arguments
    import torch

    from benchmarks import machine
    from benchmarks.harness import LeftOut, Setting
    from benchmarks.rows import ROWS

    torch.set_num_threads(1)
    row = next(row for row in ROWS if row.name == name)
    setting = Setting(size == "quick", Path(official) if official else None)
    others = machine.Others()
    try:
        content = {**row.measure(setting).to_json(), "others": round(others.cores(), 2)}
    except LeftOut as reason:
        content = {"status": "left out", "reason": str(reason)}
    Path(answer).write_text(json.dumps(content), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
