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
_PRODUCTS = frozenset({"mul", "__mul__", "__rmul__"})


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
        if isinstance(filled, torch.Tensor) and filled.is_meta and _changes_values_only(function, args):
            return filled
        if function in _MAKERS and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return function(*args, **kwargs)


def _changes_values_only(function: Any, args: tuple[Any, ...]) -> bool:
    """Whether it fills its first argument or scales it by a number: starting values of parameters, here of no use.

    (Left to itself, the first product without memory would import torch's compiler: seconds.)
    """
    name = getattr(function, "__name__", "")
    if name in _PRODUCTS:
        return not any(isinstance(value, torch.Tensor) for value in args[1:])
    return name.endswith("_") and not name.endswith("__") and name != "requires_grad_"


def build_on_paper(config: Mapping[str, Any] | Path) -> SAM2VideoPredictor:
    """The network of a configuration, with parameters on the meta device: for its names and shapes only.

    Raises FileNotFoundError or ValueError as :func:`modeling.sam2.build.build_tracker`.
    """
    with _Paper():
        return build_tracker(config, device="meta")
