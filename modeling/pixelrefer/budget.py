"""What each compression costs in scene tokens, as a table: ``python -m modeling.pixelrefer.budget``.

Tokens of frames before unchanged ones are dropped, which on real cameras is rare.
"""

from dataclasses import dataclass

from modeling.pixelrefer.compression import (
    COMPRESSIONS,
    Compression,
    SceneBudget,
    assign_roles,
    frame_tokens,
    scene_budget,
)
from modeling.pixelrefer.images import target_size

PATCH_PX, MERGE = 14, 2
LONGEST_TOKENS = 9477
"""Merged tokens of a clip at which the published code begins to shrink its frames."""
LEAST_PIXELS = 56 * 56


@dataclass(frozen=True)
class BudgetRow:
    """One kind of clip: its frame size (height, width), its number of frames, and whether frames are shrunk to fit."""

    size_px: tuple[int, int]
    frames: int
    capped: bool = True

    @property
    def grid(self) -> tuple[int, int]:
        """Patches of a frame at the published size, rows and columns."""
        limit = LONGEST_TOKENS * MERGE**2 * PATCH_PX**2 // self.frames if self.capped else 1 << 62
        height, width = target_size(self.size_px, PATCH_PX * MERGE, limit, LEAST_PIXELS)
        return height // PATCH_PX, width // PATCH_PX

    @property
    def published(self) -> SceneBudget:
        """Every frame merged 2 x 2."""
        return scene_budget(self.grid, assign_roles(self.frames), COMPRESSIONS["published"])

    def first(self, shape: Compression) -> SceneBudget:
        """The anchor is one of the clip's own frames."""
        return scene_budget(self.grid, assign_roles(self.frames), shape)

    def later(self, shape: Compression) -> SceneBudget:
        """The anchor is the frame carried in, of the same size."""
        roles = assign_roles(self.frames, carried=True)
        return scene_budget(self.grid, roles, shape, carried=self.grid)


ROWS = (
    BudgetRow((448, 448), 8),
    BudgetRow((448, 448), 16),
    BudgetRow((720, 1280), 8),
    BudgetRow((720, 1280), 16),
    BudgetRow((720, 1280), 8, capped=False),
    BudgetRow((720, 1280), 16, capped=False),
)


def table(shape: Compression = COMPRESSIONS["4x4+carry"]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| frames | patches of a frame | published | first clip | saved | later clip | saved |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *(_line(row, shape) for row in ROWS)])


def _line(row: BudgetRow, shape: Compression) -> str:
    (height, width), (rows, columns) = row.size_px, row.grid
    first, later, whole = row.first(shape), row.later(shape), row.published
    dense, coarse = frame_tokens(row.grid, shape.anchor), frame_tokens(row.grid, shape.body)
    cells = (
        f"{row.frames} of {width} x {height}{'' if row.capped else ', uncapped'}",
        f"{columns} x {rows}",
        f"{whole.total:,}",
        f"{dense} + {row.frames - 1} x {coarse} = {first.total:,}",
        f"{first.saved(whole):.1%}",
        f"{dense} + {row.frames} x {coarse} = {later.total:,}",
        f"{later.saved(whole):.1%}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(table())
