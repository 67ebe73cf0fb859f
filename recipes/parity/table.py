"""Rows of a parity table: what was compared, how far apart it was, and whether that is acceptable."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

Array = torch.Tensor | np.ndarray


class WrongFolder(ValueError):
    """A folder that does not hold the parity data asked for."""


@dataclass(frozen=True)
class Row:
    """One comparison. `difference` is the largest absolute one; `tolerance` 0 means exactly equal."""

    case: str
    stage: str
    difference: float
    tolerance: float
    ok: bool
    note: str = ""


def compare(case: str, stage: str, ours: Array, theirs: Array, tolerance: float) -> Row:
    """A row for two arrays. Different shapes or a NaN are a miss."""
    one, other = torch.as_tensor(ours).detach().cpu(), torch.as_tensor(theirs).detach().cpu()
    if one.shape != other.shape:
        note = f"shape {list(one.shape)}, should be {list(other.shape)}"
        return Row(case, stage, float("inf"), tolerance, False, note)
    difference = float((one.double() - other.double()).abs().max()) if one.numel() else 0.0
    return Row(case, stage, difference, tolerance, difference <= tolerance)


def equal(case: str, stage: str, ours: Sequence | str, theirs: Sequence | str) -> Row:
    """A row for two texts or lists that must be the same; the difference counts the unequal entries."""
    unequal = abs(len(ours) - len(theirs)) + sum(a != b for a, b in zip(ours, theirs, strict=False))
    return Row(case, stage, float(unequal), 0.0, unequal == 0, "entries" if unequal else "")


def need(folder: Path, *names: str) -> None:
    """Raise WrongFolder, naming what is absent, unless the folder holds all the named files."""
    if not folder.is_dir():
        raise WrongFolder(f"{folder} is not a folder")
    absent = [name for name in names if not (folder / name).exists()]
    if absent:
        raise WrongFolder(f"{folder} is not the parity data asked for: it lacks {', '.join(absent)}")


def render(rows: Iterable[Row]) -> str:
    """The rows as an aligned table."""
    head = ("case", "stage", "max difference", "tolerance", "")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                     for line in lines)  # fmt: skip


def _cells(row: Row) -> tuple[str, ...]:
    verdict = "ok" if row.ok else "MISS"
    allowed = "exact" if row.tolerance == 0 else f"{row.tolerance:.1e}"
    return row.case, row.stage, f"{row.difference:.3g}", allowed, f"{verdict}  {row.note}".rstrip()
