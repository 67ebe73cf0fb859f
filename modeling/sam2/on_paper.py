"""A network's tensors by name and shape alone: nothing is allocated or drawn at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch.overrides import TorchFunctionMode

from modeling.sam2.build import build_tracker

_MAKERS = frozenset({torch.empty, torch.zeros, torch.ones, torch.randn})
"""Functions by which the package makes its parameters."""


class _Paper(TorchFunctionMode):
    """Parameters have no memory. What constructors compute on the way (a schedule, rotary codes) stays real."""

    def __torch_function__(
        self,
        function: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        filled = args[0] if args else kwargs.get("tensor")
        if _fills(function) and isinstance(filled, torch.Tensor) and filled.is_meta:
            return filled
        if function in _MAKERS and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return function(*args, **kwargs)


def _fills(function: Any) -> bool:
    """Whether it writes into its first argument: the starting values of parameters, here of no use."""
    name = getattr(function, "__name__", "")
    return name.endswith("_") and not name.endswith("__") and name != "requires_grad_"


def build_on_paper(config: Mapping[str, Any] | Path) -> SAM2VideoPredictor:
    """The network of a configuration, with parameters on the meta device: for its names and shapes only.

    Raises FileNotFoundError or ValueError as :func:`modeling.sam2.build.build_tracker`.
    """
    with _Paper():
        return build_tracker(config, device="meta")
