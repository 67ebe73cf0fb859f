"""A clip's scene: from its prepared frames to tokens that any question about the clip can use."""

import hashlib
from collections.abc import Hashable

import numpy as np
import torch
from torch import Tensor

from modeling.pixelrefer.compression import COMPRESSOR_VERSION, ClipRef, SceneBudget, frame_tokens
from modeling.pixelrefer.inputs import PackedImages, SceneFrames
from modeling.pixelrefer.model import PixelRefer, PixelReferLite
from modeling.pixelrefer.pixel_shuffle import pool
from modeling.pixelrefer.request import Request
from modeling.pixelrefer.reuse import Carry, CarryForm, ClipMemory, Scene, ViewFeatures
from modeling.pixelrefer.scene import frame_grids, pool_frames

DENSE = 2
"""Block edge of a carried frame."""


def scene_key(request: Request) -> Hashable | None:
    """What a scene is shared under: camera, clip, options and the pixels themselves; None for a clip without name."""
    if request.scene.clip is None:
        return None
    digest = hashlib.blake2b(np.ascontiguousarray(request.frames), digest_size=16)
    digest.update(b"" if request.times_s is None else np.ascontiguousarray(request.times_s))
    return request.scene, request.frames.shape, digest.digest()


def carry_version(model_id: str, form: CarryForm, dtype: torch.dtype) -> str:
    """The version under which a frame is carried: model, compressor, form, number format."""
    return f"{model_id}/{COMPRESSOR_VERSION}/{form}/{str(dtype).removeprefix('torch.')}"


def carried_tokens(network: PixelRefer, carry: Carry) -> Tensor:
    """Projected tokens [cells,C] of a carried frame."""
    values = carry.values.to(network.device, network.dtype)
    return values if carry.form == "tokens" else network.model.mm_projector(pool(values[None], DENSE)[0])


def encode_scene(
    network: PixelRefer, frames: SceneFrames, request: Request, carried: Carry | None = None
) -> tuple[Scene, Tensor | None]:
    """The scene of a request's frames, and the features [rows,columns,Cv] of the last one if it is carried on."""
    images = frames.images
    features = network.encode_images(images)
    pooled = pool_frames(features, images, frames.factors, request.scene.reading)
    projected = network.model.mm_projector(torch.cat(pooled))
    tokens = projected[torch.cat(frames.kept).to(projected.device)]
    budget = _budget(frames, carried)
    last = None if frames.last is None else frame_grids(features, images)[-1][0].clone()
    if carried is None or frames.times_s is None:
        return Scene(tokens, frames.counts, frames.roles, frames.times_s, budget), last
    clip, before = request.scene.clip, carried_tokens(network, carried)
    assert clip is not None
    # Adding zero turns a rounded -0.0 into 0.0, which is written shorter.
    times = (round(carried.time_s - clip.begin_s, 1) + 0.0, *frames.times_s)
    roles = ("anchor", *frames.roles)
    counts = (len(before), *frames.counts)
    return Scene(torch.cat((before, tokens)), counts, roles, times, budget), last


def make_carry(
    network: PixelRefer, frames: SceneFrames, request: Request, last: Tensor, form: CarryForm, version: str
) -> Carry:
    """What is kept of a clip for the next one. `last`: features [rows,columns,Cv] of its last frame."""
    clip = request.scene.clip
    assert clip is not None and frames.last is not None and frames.times_s is not None
    values = last if form == "grid" else network.model.mm_projector(pool(last[None], DENSE)[0])
    time_s = clip.begin_s + frames.times_s[-1]
    return Carry(clip.clip, time_s, version, form, values, (last.shape[0], last.shape[1]), frames.last)


def shared_views(network: PixelReferLite, views: PackedImages, clip: ClipRef, memory: ClipMemory) -> Tensor:
    """Features [n,T,Cv] of whole-frame views, each encoded for the first object of the clip that looks at it."""
    pieces = views.patches.split(views.counts)
    keys = [_view_key(piece, clip) for piece in pieces]
    known = {key: memory.views.get(key) for key in keys}
    fresh = [number for number, key in enumerate(keys) if known[key] is None]
    if fresh:
        images = PackedImages(torch.cat([pieces[i] for i in fresh]), views.grids[fresh], views.stride)
        for number, features in zip(fresh, network.encode_views(images), strict=True):
            known[keys[number]] = ViewFeatures(features.clone())
    for key, view in known.items():
        memory.views.put(key, view)
    return torch.stack([known[key].features for key in keys])


def _view_key(patches: Tensor, clip: ClipRef) -> Hashable:
    digest = hashlib.blake2b(np.ascontiguousarray(patches.numpy()), digest_size=16)
    return clip.camera, clip.clip, patches.shape, digest.digest()


def _budget(frames: SceneFrames, carried: Carry | None) -> SceneBudget:
    """Tokens shown and dropped, counted on the frames themselves."""
    by_role = {"anchor": 0, "body": 0}
    for role, count in zip(frames.roles, frames.counts, strict=True):
        by_role[role] += count
    if carried is not None:
        by_role["anchor"] += frame_tokens(carried.grid, DENSE)
    dropped = sum(part.numel() for part in frames.kept) - sum(frames.counts)
    return SceneBudget(by_role["anchor"], by_role["body"], dropped, carried is not None)
