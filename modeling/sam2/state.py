"""A session's state as bytes: safetensors, with what is not a tensor as JSON in the file's metadata.

Held: for every object its memories, pointers and appearance. Not held: pictures, feature maps, position codes
(the network makes them again). Loading on the same machine continues bit for bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from modeling.sam2.memory import Entry, ObjectMemory

SCHEMA = "streamrefer.sam2-session.1"
_MAX_HEADER_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class Header:
    """What must fit (schema, model, input size, whether objects have windows) and what is continued.

    Continued are counters, ids with the steps of birth, and by id the middle and side of its search window.
    """

    model: str
    image_size: int
    next_step: int
    next_id: int
    born: dict[int, int]
    schema: str = SCHEMA
    windowed: bool = False
    focus: dict[int, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectState:
    """One object's tensors: its memory and the pointer of the last step at which it was in view."""

    memory: ObjectMemory
    appearance: torch.Tensor | None


def fingerprint(model: torch.nn.Module) -> str:
    """Hash of every weight's name, type, shape and value; states of other weights must not be continued."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def pack(header: Header, objects: Mapping[int, ObjectState]) -> bytes:
    """The state as bytes; tensors are copied to the host."""
    tensors: dict[str, torch.Tensor] = {}
    for object_id, held in objects.items():
        for kind, step, tensor in held.memory.tensors():
            tensors[f"{object_id}.{kind}.{step}"] = tensor
        if held.appearance is not None:
            tensors[f"{object_id}.appearance.0"] = held.appearance
    facts = {name: getattr(header, name) for name in Header.__slots__}
    host = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(host, metadata={"header": json.dumps(facts, sort_keys=True)})


def read_header(state: bytes) -> Header:
    """The header alone. Raises ValueError when the bytes are no session state of this schema."""
    size = int.from_bytes(state[:8], "little")
    if len(state) < 8 or not 0 < size <= min(_MAX_HEADER_BYTES, len(state) - 8):
        raise ValueError("session state: not a safetensors file")
    try:
        facts = json.loads(json.loads(state[8 : 8 + size])["__metadata__"]["header"])
        schema = facts.get("schema")
        if schema != SCHEMA:
            raise ValueError(f"session state: schema {schema!r}, this version reads {SCHEMA!r}")
        facts["born"] = {int(key): int(step) for key, step in facts["born"].items()}
        facts["focus"] = {int(key): _place(given) for key, given in facts.get("focus", {}).items()}
        return Header(**facts)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"session state: its header cannot be read ({error})") from error


def tensor_bytes(state: bytes) -> dict[int, dict[str, int]]:
    """Bytes of each object's tensors by kind (anchor_features, features, pointer ...), read from the header alone."""
    size = int.from_bytes(state[:8], "little")
    found: dict[int, dict[str, int]] = {}
    for name, about in json.loads(state[8 : 8 + size]).items():
        if name != "__metadata__":
            object_id, kind, _ = name.split(".")
            begin, end = about["data_offsets"]
            kinds = found.setdefault(int(object_id), {})
            kinds[kind] = kinds.get(kind, 0) + end - begin
    return found


def _place(given: list[float]) -> list[float]:
    x, y, side = (float(value) for value in given)
    return [x, y, side]


def unpack(
    state: bytes, header: Header, new_memory: Callable[[], ObjectMemory], device: torch.device
) -> dict[int, ObjectState]:
    """Every object's tensors, in the order of their ids. Raises ValueError when tensors are missing or spare."""
    try:
        tensors = load(state)
    except SafetensorError as error:
        raise ValueError(f"session state: {error}") from error
    by_object: dict[int, dict[tuple[str, int], torch.Tensor]] = {key: {} for key in sorted(header.born)}
    for name, tensor in tensors.items():
        object_id, kind, step = name.split(".")
        if int(object_id) not in by_object:
            raise ValueError(f"session state: tensor {name} belongs to no object of the header")
        by_object[int(object_id)][kind, int(step)] = tensor.to(device)
    return {key: _object(key, parts, new_memory()) for key, parts in by_object.items()}


def _object(object_id: int, parts: dict[tuple[str, int], torch.Tensor], memory: ObjectMemory) -> ObjectState:
    # A file does not keep the order of its tensors; anchors and recent steps were entered in order of step.
    for (kind, step), tensor in sorted(parts.items(), key=lambda item: item[0][1]):
        if kind == "anchor_features":
            memory.anchors[step] = Entry(tensor, parts["anchor_pointer", step])
        elif kind == "features":
            memory.features[step] = tensor
        elif kind == "pointer":
            memory.pointers[step] = tensor
    if not memory.anchors:
        raise ValueError(f"session state: object {object_id} has no prompted step")
    return ObjectState(memory, parts.get(("appearance", 0)))
