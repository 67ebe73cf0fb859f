"""Reading weights files: safetensors, whole or sharded, checked name by name and shape by shape."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

MOST_NAMES = 5
"""Names quoted in one complaint."""

DIGEST_PART_BYTES = 1 << 20


class WeightsError(ValueError):
    """A weights file that is absent, unreadable or does not fit the network."""


def weight_files(folder: Path) -> list[Path]:
    """Files that together hold a model: safetensors if there are any, else torch .bin files.

    Shards are taken from the index. Raises WeightsError when the folder holds none or a shard is absent.
    """
    for stem, ending in (("model", "safetensors"), ("pytorch_model", "bin")):
        index, whole = folder / f"{stem}.{ending}.index.json", folder / f"{stem}.{ending}"
        if index.exists():
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
            files = [folder / Path(name).name for name in names]
            absent = [file.name for file in files if not file.exists()]
            if absent:
                raise WeightsError(f"{folder} lacks {_some(absent)}, named by {index.name}")
            return files
        if whole.exists():
            return [whole]
    raise WeightsError(
        f"{folder} holds no weights: expected model.safetensors or model.safetensors.index.json"
    )


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
    return f"{folder.name}@{digest.hexdigest()[:12]}"


def stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all stored tensors, read without loading safetensors data."""
    shapes: dict[str, tuple[int, ...]] = {}
    for file in weight_files(folder):
        if file.suffix == ".bin":
            shapes |= {name: tuple(tensor.shape) for name, tensor in _read_bin(file).items()}
            continue
        try:
            with safe_open(file, framework="pt") as opened:
                shapes |= {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}
        except SafetensorError as fault:
            raise WeightsError(f"{file} is not a readable safetensors file: {fault}") from None
    return shapes


def _read_bin(file: Path) -> Mapping[str, Tensor]:
    """A torch .bin file, unpickled as weights only."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as fault:  # torch raises many types for a broken or hostile file
        raise WeightsError(f"{file} is not a readable weights file: {fault}") from None


def read_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """All tensors of a folder, one after another, on the CPU."""
    for file in weight_files(folder):
        if file.suffix == ".bin":
            yield from _read_bin(file).items()
            continue
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():
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
    complaints = []
    missing = sorted(name for name in wanted if name not in found and name not in optional)
    unknown = sorted(name for name in found if name not in wanted and name not in ignored)
    odd = sorted(name for name in wanted if name in found and found[name] != wanted[name])
    if missing:
        complaints.append(f"missing {_some(missing)}")
    if unknown:
        complaints.append(f"unknown {_some(unknown)}")
    if odd:
        shown = [f"{name} {list(found[name])} (should be {list(wanted[name])})" for name in odd]
        complaints.append(f"wrong shape {_some(shown)}")
    if complaints:
        raise WeightsError(f"the weights do not fit the network: {'; '.join(complaints)}")


def fill_network(
    network: nn.Module,
    folder: Path,
    dtype: torch.dtype,
    optional: Collection[str] = (),
    ignored: Collection[str] = (),
) -> None:
    """Put the stored tensors, cast to `dtype`, in the place of the parameters of a network on the meta device.

    Optional tensors that are absent become zeros. Raises WeightsError.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    try:
        check_shapes(wanted, stored_shapes(folder), optional, ignored)
    except WeightsError as fault:
        raise WeightsError(f"{folder}: {fault}") from None
    tensors = {name: tensor.to(dtype) for name, tensor in read_tensors(folder) if name in wanted}
    tensors |= {
        name: torch.zeros(shape, dtype=dtype) for name, shape in wanted.items() if name not in tensors
    }
    network.load_state_dict(tensors, assign=True)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"
