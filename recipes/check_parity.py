"""Run our code against a folder of reference values and print how far apart they are.

    python -m recipes.check_parity {pixelrefer|pixel_shuffle|sam2} DIR

Exits 0 when every comparison holds, 1 on a miss, 2 when the folder is not what was asked for.
"""

import argparse
import importlib
import sys
from pathlib import Path

import torch

from recipes.parity.table import WrongFolder, render

PARTS = ("pixelrefer", "pixel_shuffle", "sam2")


def main(arguments: list[str] | None = None) -> int:
    """Command line entry; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="check_parity", description="Compare our code with reference values."
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("folder", type=Path, metavar="DIR")
    given = parser.parse_args(arguments)
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        rows = importlib.import_module(f"recipes.parity.{given.part}").rows(given.folder)
    except WrongFolder as fault:
        print(f"check_parity: {fault}", file=sys.stderr)
        return 2
    misses = sum(not row.ok for row in rows)
    if not rows:
        print(f"check_parity: {given.folder} holds nothing to compare", file=sys.stderr)
        return 2
    print(render(rows))
    print(f"{len(rows)} comparisons, {misses} missed" if misses else f"{len(rows)} comparisons, all hold")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
