"""Load a tracker's folder (``config.json`` and ``weights.safetensors``) and open sessions on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import torch

from modeling.sam2.build import build_tracker
from modeling.sam2.input_size import batches, with_input_size
from modeling.sam2.network import Network
from modeling.sam2.policy import policy_of
from modeling.sam2.session import Sam2Session
from modeling.sam2.state import fingerprint
from modeling.sam2.steady import Steady
from modeling.sam2.window import WindowSettings

DEFAULT_POLICY = "official"


class Opener(Protocol):
    """Opens a session for a mask size (h, w) with a memory policy; ValueError for a policy that is none."""

    def __call__(self, mask_size: tuple[int, int], policy: str = DEFAULT_POLICY) -> Sam2Session: ...


def load_segmenter(
    folder: Path,
    device: str | torch.device = "cpu",
    encode_batch: int = 8,
    object_batch: int = 16,
    bfloat16: bool = False,
    input_px: int | None = None,
    hidden_every: int = 1,
    compiled: bool = False,
) -> Opener:
    """A function that opens a session for a mask size (h, w); all its sessions share the network.

    Batches bound the memory used at once (less on a CPU where pictures are large: see :func:`batches`), ``bfloat16``
    is mixed precision for GPUs: see :class:`Network`. ``input_px`` is another input size than the folder's own,
    ``compiled`` compiles what every picture needs (:mod:`modeling.sam2.steady`), here and now, which takes minutes;
    ``hidden_every`` is how often hidden objects are looked for: see :class:`Sam2Session`.

    Raises FileNotFoundError or ValueError, naming the file, when the folder holds no tracker.
    """
    folder = Path(folder)
    config, weights = folder / "config.json", folder / "weights.safetensors"
    for path in (config, weights):
        if not path.is_file():
            raise FileNotFoundError(f"tracker: {path} is not there; {folder} holds no tracker")
    source = config if input_px is None else with_input_size(config, input_px)
    model = build_tracker(source, weights, device)
    pictures, objects = batches(model.image_size, str(device), encode_batch, object_batch)
    network = Network(model, pictures, objects, bfloat16, Steady(model) if compiled else None)
    network.warm_up()
    return opener(network, read_window(config), hidden_every)


def opener(network: Network, window: WindowSettings | None = None, hidden_every: int = 1) -> Opener:
    """A function that opens sessions on a network that is already built; ``window`` gives objects windows."""
    model_hash = fingerprint(network.model)

    def open_session(mask_size: tuple[int, int], policy: str = DEFAULT_POLICY) -> Sam2Session:
        return Sam2Session(network, mask_size, model_hash, window, policy_of(policy), hidden_every)

    return open_session


def read_window(config: Path) -> WindowSettings | None:
    """The ``search_window`` beside the ``model`` of a ``config.json``, if it asks for one. Raises ValueError."""
    if config.suffix != ".json":
        return None
    tree = json.loads(config.read_text(encoding="utf-8"))
    try:
        return WindowSettings.read(tree.get("search_window"))
    except ValueError as fault:
        raise ValueError(f"tracker: {config}: {fault}") from None
