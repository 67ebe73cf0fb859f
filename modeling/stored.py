"""What weights files say of their tensors before any is loaded: safetensors or torch files, whole or sharded."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

MOST_NAMES = 5
"""Names quoted in one complaint."""

NUMBER_FORMATS = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
}
"""Number formats that weights may be stored in, as safetensors spells them."""


class WeightsError(ValueError):
    """A weights file that is absent, unreadable or does not fit the network."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file: its shape and number format as the header has them."""

    file: Path
    shape: tuple[int, ...]
    spelling: str

    @property
    def number_format(self) -> torch.dtype | None:
        """The floating format, or None for a format that no weights of ours have."""
        return NUMBER_FORMATS.get(self.spelling)

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass
class Survey:
    """Tensors found in a folder and complaints about its files. `lost` names tensors that cannot be judged."""

    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    lost_files: set[str] = field(default_factory=set)

    def complain(self, words: str, lost: Iterable[str] = ()) -> None:
        """Note one fault and the tensors that it takes out of judgement."""
        self.complaints.append(words)
        self.lost.update(lost)

    def lose(self, file: Path, words: str) -> None:
        """Note a file that cannot be read."""
        self.lost_files.add(file.name)
        self.complain(words)


def quote_names(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"


def weight_files(folder: Path) -> list[Path]:
    """Files that together hold a model: safetensors if there are any, else torch .bin files.

    Shards are taken from the index. Raises WeightsError when the folder holds none or a shard is absent.
    """
    shards = index_of(folder)
    if shards is None:
        return [whole_file(folder)]
    files = sorted({folder / name for name in shards.values()})
    absent = [file.name for file in files if not file.exists()]
    if absent:
        raise WeightsError(f"{folder} lacks {quote_names(absent)}, named by its index")
    return files


def whole_file(folder: Path) -> Path:
    """The one file of a folder without an index. Raises WeightsError."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).exists():
            return folder / name
    raise WeightsError(
        f"{folder} holds no weights: expected model.safetensors or model.safetensors.index.json"
    )


def index_of(folder: Path) -> dict[str, str] | None:
    """Tensor name to shard name as the folder's index has it; None without an index. Raises WeightsError."""
    for stem, ending in (("model", "safetensors"), ("pytorch_model", "bin")):
        index = folder / f"{stem}.{ending}.index.json"
        if index.exists():
            return _read_index(index)
        if (folder / f"{stem}.{ending}").exists():
            return None
    return None


def _read_index(index: Path) -> dict[str, str]:
    try:
        table = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return {str(tensor): Path(shard).name for tensor, shard in table.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WeightsError(f"{index} is no weights index: it needs a weight_map of names to files") from None


def survey(folder: Path) -> Survey:
    """What a folder's weights files hold, and everything that is wrong with them, without loading tensors.

    Raises WeightsError only where there is nothing to look at: no files, or an unreadable index.
    """
    shards = index_of(folder)
    found = Survey()
    for file in (
        [whole_file(folder)] if shards is None else sorted({folder / name for name in shards.values()})
    ):
        _survey_file(file, found)
    if shards is not None:
        _compare_index(shards, found)
    return found


def _survey_file(file: Path, found: Survey) -> None:
    """Add the tensors of one file."""
    if not file.exists():
        found.lose(file, f"{file.parent} lacks {file.name}, named by its index")
        return
    try:
        for name, tensor in _headers(file):
            if name in found.tensors:
                found.complain(f"{name} is both in {found.tensors[name].file.name} and in {file.name}")
            found.tensors[name] = tensor
    except WeightsError as fault:
        found.lose(file, str(fault))


def _headers(file: Path) -> Iterator[tuple[str, StoredTensor]]:
    """Name, shape and number format of the tensors of one file."""
    if file.suffix == ".bin":
        spelled = {dtype: name for name, dtype in NUMBER_FORMATS.items()}
        for name, tensor in read_bin(file).items():
            spelling = spelled.get(tensor.dtype, str(tensor.dtype))
            yield name, StoredTensor(file, tuple(tensor.shape), spelling)
        return
    try:
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():
                piece = opened.get_slice(name)
                yield name, StoredTensor(file, tuple(piece.get_shape()), piece.get_dtype())
    except (SafetensorError, OSError) as fault:
        raise WeightsError(f"{file} is not a readable safetensors file: {fault}") from None


def _compare_index(shards: Mapping[str, str], found: Survey) -> None:
    """Complain where the index and the shards disagree; tensors of lost shards are left out."""
    there = {name: tensor.file.name for name, tensor in found.tensors.items()}
    found.lost |= {name for name, shard in shards.items() if shard in found.lost_files}
    missed = sorted(name for name in shards if name not in there and name not in found.lost)
    moved = sorted(name for name in shards if there.get(name, shards[name]) != shards[name])
    extra = sorted(name for name in there if name not in shards)
    if missed:
        shown = quote_names([f"{name} ({shards[name]})" for name in missed])
        found.complain(f"the index names tensors that their shards lack: {shown}", missed)
    if moved:
        shown = quote_names([f"{name} ({shards[name]}, but it lies in {there[name]})" for name in moved])
        found.complain(f"the index names wrong shards: {shown}")
    if extra:
        shown = quote_names([f"{name} ({there[name]})" for name in extra])
        found.complain(f"the index does not know {shown}")


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Names, shapes and number formats of all stored tensors. Raises WeightsError naming what is wrong."""
    found = survey(folder)
    if found.complaints:
        place = "" if str(folder) in found.complaints[0] else f"{folder}: "
        raise WeightsError(place + "; ".join(found.complaints))
    return found.tensors


def stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all stored tensors. Raises WeightsError."""
    return {name: tensor.shape for name, tensor in stored_tensors(folder).items()}


def read_bin(file: Path) -> Mapping[str, Tensor]:
    """A torch .bin file, unpickled as weights only; mapped, not read, where its form allows."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # files of the old form cannot be mapped
        pass
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as fault:  # torch raises many types for a broken or hostile file
        raise WeightsError(f"{file} is not a readable weights file: {fault}") from None
