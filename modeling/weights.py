"""Stored weights put into a network: checked name by name and shape by shape, without a second copy."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from modeling.stored import WeightsError, quote_names, read_bin, stored_shapes, stored_tensors, weight_files

__all__ = ["WeightsError", "check_shapes", "fill_network", "read_tensors", "stored_shapes", "weights_id"]

DIGEST_PART_BYTES = 1 << 20


def weights_id(folder: Path) -> str:
    """Name of the folder with a digest of its weights, for results to say what made them.

    Of each file the size, the first and the last part count: training changes every tensor, and a file of many
    gigabytes need not be read whole. Raises WeightsError.
    """
    digest = hashlib.sha256()
    for file in weight_files(folder):
        size = file.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with file.open("rb") as opened:
            digest.update(opened.read(DIGEST_PART_BYTES))
            opened.seek(max(0, size - DIGEST_PART_BYTES))
            digest.update(opened.read(DIGEST_PART_BYTES))
    return f"{_model_name(folder)}@{digest.hexdigest()[:12]}"


def _model_name(folder: Path) -> str:
    """The folder's name; for a snapshot in the Hugging Face hub's cache, whose name is a commit, the repository's."""
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.rpartition("--")[2]
    return folder.name


def read_tensors(
    folder: Path, names: Collection[str] | None = None, each_mapped: bool = False
) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a folder (those in `names`, or all), one after another, on the CPU.

    Tensors are views of the mapped files: pages are read when first used and belong to the page cache. With
    `each_mapped` every tensor has a mapping of its own, so that its pages go when it goes.
    """
    for file in weight_files(folder):
        if file.suffix == ".bin":
            yield from ((name, x) for name, x in read_bin(file).items() if names is None or name in names)
            continue
        with safe_open(file, framework="pt") as opened:
            held = [name for name in opened.keys() if names is None or name in names]
            if not each_mapped:
                yield from ((name, opened.get_tensor(name)) for name in held)
        for name in held if each_mapped else ():
            with safe_open(file, framework="pt") as opened:
                yield name, opened.get_tensor(name)


def check_shapes(
    wanted: Mapping[str, tuple[int, ...]],
    found: Mapping[str, tuple[int, ...]],
    optional: Collection[str] = (),
    ignored: Collection[str] = (),
) -> None:
    """Raise WeightsError naming missing, unknown and misshapen tensors.

    `optional` may be missing; `ignored` may be present without a place in the network.
    """
    missing, unknown, odd = compare_shapes(wanted, found, optional, ignored)
    lists = (("missing", missing), ("unknown", unknown), ("wrong shape", odd))
    complaints = [f"{kind} {quote_names(names)}" for kind, names in lists if names]
    if complaints:
        raise WeightsError(f"the weights do not fit the network: {'; '.join(complaints)}")


def compare_shapes(
    wanted: Mapping[str, tuple[int, ...]],
    found: Mapping[str, tuple[int, ...]],
    optional: Collection[str] = (),
    ignored: Collection[str] = (),
) -> tuple[list[str], list[str], list[str]]:
    """Names of missing and unknown tensors; names with both shapes of misshapen ones."""
    missing = sorted(name for name in wanted if name not in found and name not in optional)
    unknown = sorted(name for name in found if name not in wanted and name not in ignored)
    odd = sorted(name for name in wanted if name in found and found[name] != wanted[name])
    shown = [f"{name} {list(found[name])} (should be {list(wanted[name])})" for name in odd]
    return missing, unknown, shown


def fill_network(
    network: nn.Module,
    folder: Path,
    dtype: torch.dtype,
    optional: Collection[str] = (),
    ignored: Collection[str] = (),
) -> None:
    """Put the stored tensors, as `dtype`, in the place of the parameters of a network on the meta device.

    Tensors stored as `dtype` are taken as they lie in the mapped file, without a copy; others are cast one by one,
    and no more than one of them is held in both forms. Optional tensors that are absent become zeros. Raises
    WeightsError.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    stored = stored_tensors(folder)
    try:
        check_shapes(wanted, {name: tensor.shape for name, tensor in stored.items()}, optional, ignored)
    except WeightsError as fault:
        raise WeightsError(f"{folder}: {fault}") from None
    ready = {name for name in wanted if name in stored and stored[name].number_format == dtype}
    for name, tensor in read_tensors(folder, ready):
        _put(network, name, tensor)
    for name, tensor in read_tensors(folder, wanted.keys() - ready, each_mapped=True):
        _put(network, name, tensor.to(dtype))
    for name in wanted.keys() - stored.keys():
        _put(network, name, torch.zeros(wanted[name], dtype=dtype))


def _put(network: nn.Module, name: str, tensor: Tensor) -> None:
    """Make `tensor` the parameter or buffer of that dotted name: itself, not a copy."""
    place, _, last = name.rpartition(".")
    module = network.get_submodule(place)
    known = module._parameters.get(last)
    if known is None:
        module._buffers[last] = tensor
    else:
        module._parameters[last] = nn.Parameter(tensor, requires_grad=known.requires_grad)
