"""A session's state in parts: safetensors, with what is not a tensor as JSON in the metadata of the first.

The part ``session`` holds the header and what changes with every step: every object's recent memories, pointers and
appearance. Each conditioning memory is a part of its own, named by the hash of its bytes, and the header names it.
Not held: pictures, feature maps, position codes (the network makes them again). Loading on the same machine continues
bit for bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from modeling.sam2.carry import PATCH_PX, Patch
from modeling.sam2.memory import Entry, ObjectMemory

SCHEMA = "streamrefer.sam2-session.2"
SESSION = "session"
_MAX_HEADER_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class Header:
    """What must fit (schema, model, input size, whether objects have windows) and what is continued.

    Continued are counters, ids with the steps of birth, by id the middle and side of its search window, the step since
    which it is hidden, where the patch lies that shows it last, the prompted steps with the names of the parts that
    hold their memories, and what the memory policy has noted.
    """

    model: str
    image_size: int
    next_step: int
    next_id: int
    born: dict[int, int]
    schema: str = SCHEMA
    windowed: bool = False
    focus: dict[int, list[float]] = field(default_factory=dict)
    anchors: dict[int, dict[int, str]] = field(default_factory=dict)
    policy: str = "official"
    notes: dict[int, dict[str, Any]] = field(default_factory=dict)
    hidden: dict[int, int] = field(default_factory=dict)
    patches: dict[int, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectState:
    """One object's tensors: its memory, the pointer of the last step at which it was in view, and how it looked on
    the newest picture, where it is carried by optical flow."""

    memory: ObjectMemory
    appearance: torch.Tensor | None
    patch: Patch | None = None


def fingerprint(model: torch.nn.Module) -> str:
    """Hash of every weight's name, type, shape and value; states of other weights must not be continued."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def pack(header: Header, objects: Mapping[int, ObjectState]) -> dict[str, bytes]:
    """The state in parts, the anchors named in the header; tensors are copied to the host."""
    recent: dict[str, torch.Tensor] = {}
    anchors: dict[str, bytes] = {}
    named: dict[int, dict[int, str]] = {}
    patches: dict[int, list[float]] = {}
    for object_id, held in objects.items():
        for kind, step, tensor in held.memory.recent_tensors():
            recent[f"{object_id}.{kind}.{step}"] = tensor
        if held.appearance is not None:
            recent[f"{object_id}.appearance.0"] = held.appearance
        if (patch := held.patch) is not None:
            recent[f"{object_id}.patch.0"] = torch.from_numpy(np.stack([patch.grey, patch.mask]))
            patches[object_id] = [patch.x, patch.y, patch.side, patch.carried]
        for step, entry in held.memory.anchors.items():
            data = _saved({"features": entry.features, "pointer": entry.pointer}, {"schema": SCHEMA})
            name = hashlib.sha256(data).hexdigest()[:40]
            anchors[name] = data
            named.setdefault(object_id, {})[step] = name
    facts = {name: getattr(header, name) for name in Header.__slots__} | {
        "anchors": named,
        "patches": patches,
    }
    return {SESSION: _saved(recent, {"header": json.dumps(facts, sort_keys=True)}), **anchors}


def read_header(state: Mapping[str, bytes]) -> Header:
    """The header alone. Raises ValueError when the parts are no session state of this schema."""
    facts = _metadata(state)
    schema = facts.get("schema")
    if schema != SCHEMA:
        raise ValueError(f"session state: schema {schema!r}, this version reads {SCHEMA!r}")
    try:
        facts["born"] = {int(key): int(step) for key, step in facts["born"].items()}
        facts["focus"] = {int(key): _place(given) for key, given in facts["focus"].items()}
        facts["anchors"] = {
            int(key): {int(step): str(name) for step, name in given.items()}
            for key, given in facts["anchors"].items()
        }
        # States written before hidden objects could rest do not tell.
        facts["patches"] = {
            int(key): [float(x) for x in given] for key, given in facts.get("patches", {}).items()
        }
        facts["hidden"] = {int(key): int(step) for key, step in facts.get("hidden", {}).items()}
        facts["notes"] = {int(key): dict(given) for key, given in facts["notes"].items()}
        return Header(**facts)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"session state: its header cannot be read ({error})") from error


def tensor_bytes(state: Mapping[str, bytes]) -> dict[int, dict[str, int]]:
    """Bytes of each object's memory by kind (anchors, features, pointer ...), without loading tensors."""
    found: dict[int, dict[str, int]] = {}
    for object_id, anchors in read_header(state).anchors.items():
        found[object_id] = {"anchors": sum(len(state.get(name, b"")) for name in anchors.values())}
    session = state[SESSION]
    size = int.from_bytes(session[:8], "little")
    for name, about in json.loads(session[8 : 8 + size]).items():
        if name != "__metadata__":
            object_id, kind, _ = name.split(".")
            begin, end = about["data_offsets"]
            kinds = found.setdefault(int(object_id), {})
            kinds[kind] = kinds.get(kind, 0) + end - begin
    return found


def _saved(tensors: Mapping[str, torch.Tensor], metadata: dict[str, str]) -> bytes:
    return save({name: x.detach().cpu().contiguous() for name, x in tensors.items()}, metadata)


def _metadata(state: Mapping[str, bytes]) -> dict[str, Any]:
    session = state.get(SESSION, b"")
    size = int.from_bytes(session[:8], "little")
    if len(session) < 8 or not 0 < size <= min(_MAX_HEADER_BYTES, len(session) - 8):
        raise ValueError(f"session state: its part {SESSION!r} is missing or not a safetensors file")
    try:
        return dict(json.loads(json.loads(session[8 : 8 + size])["__metadata__"]["header"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"session state: its header cannot be read ({error})") from error


def _place(given: list[float]) -> list[float]:
    x, y, side = (float(value) for value in given)
    return [x, y, side]


def unpack(
    state: Mapping[str, bytes], header: Header, new_memory: Callable[[], ObjectMemory], device: torch.device
) -> dict[int, ObjectState]:
    """Every object's tensors, in order of id. Raises ValueError when tensors or parts are missing or spare."""
    by_object: dict[int, dict[tuple[str, int], torch.Tensor]] = {key: {} for key in sorted(header.born)}
    for name, tensor in _loaded(state, SESSION).items():
        object_id, kind, step = name.split(".")
        if int(object_id) not in by_object:
            raise ValueError(f"session state: tensor {name} belongs to no object of the header")
        by_object[int(object_id)][kind, int(step)] = tensor.to(device)
    found = {}
    for key, parts in by_object.items():
        memory = new_memory()
        for step, name in sorted(header.anchors.get(key, {}).items()):
            held = _loaded(state, name)
            memory.anchors[step] = Entry(held["features"].to(device), held["pointer"].to(device))
        if not memory.anchors:
            raise ValueError(f"session state: object {key} has no prompted step")
        found[key] = _object(parts, memory, header.patches.get(key))
    return found


def _loaded(state: Mapping[str, bytes], name: str) -> dict[str, torch.Tensor]:
    if name not in state:
        raise ValueError(f"session state: its part {name!r} is missing")
    try:
        return load(state[name])
    except SafetensorError as error:
        raise ValueError(f"session state: part {name!r}: {error}") from error


def _object(
    parts: dict[tuple[str, int], torch.Tensor], memory: ObjectMemory, place: list[float] | None
) -> ObjectState:
    # A file does not keep the order of its tensors; recent steps were entered in order of step.
    for (kind, step), tensor in sorted(parts.items(), key=lambda item: item[0][1]):
        if kind == "features":
            memory.features[step] = tensor
        elif kind == "pointer":
            memory.pointers[step] = tensor
    patch = None if place is None else _patch(parts.get(("patch", 0)), place)
    return ObjectState(memory, parts.get(("appearance", 0)), patch)


def _patch(layers: torch.Tensor | None, place: list[float]) -> Patch:
    if layers is None or layers.shape != (2, PATCH_PX, PATCH_PX) or layers.dtype != torch.uint8:
        raise ValueError(f"session state: a patch is uint8 [2, {PATCH_PX}, {PATCH_PX}]")
    x, y, side, carried = place
    grey, mask = layers.cpu().numpy()
    return Patch(grey, mask, x, y, side, int(carried))
