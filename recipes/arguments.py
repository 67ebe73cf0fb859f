"""Types of command line arguments, and the options that recipes have in common.

A value that means nothing ends the program with exit code 2 and one line that names the argument, before any work.
"""

from __future__ import annotations

import math
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import torch


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, 1)


def not_negative_int(text: str) -> int:
    """A whole number of at least 0."""
    return _whole(text, 0)


def positive_float(text: str) -> float:
    """A finite number above 0."""
    value = _number(text)
    if value <= 0:
        raise ArgumentTypeError(f"{text} must be above 0")
    return value


def not_negative_float(text: str) -> float:
    """A finite number of at least 0."""
    value = _number(text)
    if value < 0:
        raise ArgumentTypeError(f"{text} must not be below 0")
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text} must be a share, from 0 to 1")
    return value


def device(text: str) -> torch.device:
    """A device that PyTorch can use here: ``cpu``, ``cuda``, ``cuda:1``."""
    import torch  # takes its seconds only where a network is used

    try:
        found = torch.device(text)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as fault:  # a device torch was not built for is a RuntimeError too
        cause = str(fault).split("\n")[0]
        raise ArgumentTypeError(f"{text!r} is no device here ({cause}): try cpu") from None
    if found.type == "meta":
        raise ArgumentTypeError("'meta' computes nothing: try cpu")
    return found


def existing_folder(text: str) -> Path:
    """A folder that is there."""
    path = Path(text).expanduser()
    if not path.is_dir():
        raise ArgumentTypeError(f"{text}: {'is a file, no folder' if path.exists() else 'no such folder'}")
    return path


def existing_file(text: str) -> Path:
    """A file that is there."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise ArgumentTypeError(f"{text}: {'is no file' if path.exists() else 'no such file'}")
    return path


def new_folder(text: str) -> Path:
    """A folder to write to, which may be there or not."""
    path = Path(text).expanduser()
    if path.exists() and not path.is_dir():
        raise ArgumentTypeError(f"{text}: is a file, no folder")
    return path


class RecipeParser(ArgumentParser):
    """A parser that tells a wrong argument in one line."""

    def error(self, message: str) -> NoReturn:
        """End the program: exit code 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def recipe_parser(name: str, page: str | None) -> ArgumentParser:
    """A parser whose help is the recipe's own page."""
    return RecipeParser(prog=name, description=page, formatter_class=RawDescriptionHelpFormatter)


@contextmanager
def told_in_one_line(parser: ArgumentParser, *more: type[Exception]) -> Iterator[None]:
    """Files and folders that cannot be used, and ``more`` errors, end the program: exit code 2 and one line."""
    try:
        yield
    except (ValueError, OSError, *more) as fault:
        parser.exit(2, f"{parser.prog}: {' '.join(str(fault).split())}\n")


def add_machine(parser: ArgumentParser) -> None:
    """``--device`` and ``--threads``."""
    parser.add_argument("--device", type=device, default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=positive_int, default=1, help="CPU threads")


def add_scoring(parser: ArgumentParser, weights: Path) -> None:
    """What every evaluation has: ``--weights``, the machine, and ``--json``."""
    parser.add_argument("--weights", type=existing_folder, default=weights, help="model folder")
    add_machine(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")


def add_worlds(parser: ArgumentParser, worlds: int, seed: int, split: str = "held_out") -> None:
    """Which drawn worlds: ``--worlds``, ``--seed``, ``--split``."""
    parser.add_argument("--worlds", type=positive_int, default=worlds)
    _add_seeds(parser, seed, split)


def add_streams(parser: ArgumentParser) -> None:
    """Which long streams: ``--streams``, ``--minutes``, ``--seed``, ``--split``."""
    parser.add_argument("--streams", type=positive_int, default=4)
    parser.add_argument("--minutes", type=positive_float, default=2.0)
    _add_seeds(parser, 1, "held_out")


def _add_seeds(parser: ArgumentParser, seed: int, split: str) -> None:
    parser.add_argument("--seed", type=not_negative_int, default=seed)
    parser.add_argument("--split", choices=("held_out", "train"), default=split)


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no whole number") from None
    if value < least:
        raise ArgumentTypeError(f"{text} is too little: at least {least}")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no number") from None
    if not math.isfinite(value):
        raise ArgumentTypeError(f"{text} is no finite number")
    return value
