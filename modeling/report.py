"""What was found in a model folder, whichever network it is for."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Report:
    """What was found in a model folder. It can be loaded when there are no faults; notes are worth knowing."""

    folder: Path
    framework: str = ""
    number_format: str = ""
    tensors: int = 0
    parameters: int = 0
    stored_bytes: int = 0
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults
