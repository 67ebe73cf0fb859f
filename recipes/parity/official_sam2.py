"""The sam2 package's own predictor, driven like a stream: what the bounded session is compared with.

It needs every picture beforehand and keeps everything of every step, so it is a reference and nothing else.
"""

from __future__ import annotations

import contextlib
import io
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor

from modeling.sam2.encode import prepare

Tensors = dict[str, torch.Tensor]

OUTPUTS = {
    "pred_masks": "low_res_logits",  # [1, S/4, S/4]
    "object_score_logits": "object_score_logit",  # [1]
    "obj_ptr": "obj_ptr",  # [d]
    "maskmem_features": "maskmem_features",  # bfloat16 [c, S/16, S/16]
}


@dataclass(frozen=True, slots=True)
class Act:
    """Something done at a step after its tracking: a prompt for an object, or (nothing given) its removal.

    ``points`` float32 [n, 2] and ``box`` float32 [4] are normalised to the picture, ``mask`` is bool [h, w].
    """

    step: int
    object_id: int
    points: np.ndarray | None = None
    labels: np.ndarray | None = None
    box: np.ndarray | None = None
    mask: np.ndarray | None = None

    @property
    def removes(self) -> bool:
        return self.points is None and self.box is None and self.mask is None


class OfficialRun:
    """One run of the official predictor over pictures, RGB uint8 [H, W, 3], that are all known.

    ``shown`` holds the newest step's logits at video size, [1, H, W], by object id.
    """

    def __init__(
        self,
        model: SAM2VideoPredictor,
        pictures: Sequence[np.ndarray],
        video_size: tuple[int, ...] | None = None,
    ) -> None:
        # In a stream nothing is recomputed, so a correction must be kept as a conditioning memory.
        model.add_all_frames_to_correct_as_cond = True
        self.model = model
        self.num_steps = len(pictures)
        self.shown: dict[int, torch.Tensor] = {}
        size = video_size or pictures[0].shape[:2]
        self.state = _state(prepare(pictures, model.image_size), size, model.device)

    def outputs(self, acts: Sequence[Act]) -> Iterator[tuple[int, dict[int, Tensors]]]:
        """After each step: its number, and every object's tensors as named in :data:`OUTPUTS`."""
        for step in range(self.num_steps):
            self._propagate(step)
            now = [act for act in acts if act.step == step]
            for act in now:
                self._do(act)
            if not all(act.removes for act in now):
                self._propagate(step)
            yield step, {key: self._kept(key, step) for key in self.state["obj_ids"]}

    def _propagate(self, step: int) -> None:
        if not self.state["obj_ids"]:
            return
        with contextlib.redirect_stderr(io.StringIO()):  # it draws a progress bar
            # The predictor tracks one frame more than it is asked for.
            for _, ids, logits in self.model.propagate_in_video(self.state, step, 0):
                self.shown = dict(zip(ids, logits, strict=True))

    def _do(self, act: Act) -> None:
        if act.removes:
            self.model.remove_object(self.state, act.object_id, need_output=False)
        elif act.mask is not None:
            self.model.add_new_mask(self.state, act.step, act.object_id, mask=torch.from_numpy(act.mask))
        else:
            # Normalised already: dividing by the picture's size and multiplying again would round.
            self.model.add_new_points_or_box(
                self.state,
                act.step,
                act.object_id,
                points=None if act.points is None else torch.from_numpy(act.points),
                labels=None if act.labels is None else torch.from_numpy(act.labels),
                box=None if act.box is None else torch.from_numpy(act.box),
                clear_old_points=act.box is not None,
                normalize_coords=False,
            )

    def _kept(self, object_id: int, step: int) -> Tensors:
        held = self.state["output_dict_per_obj"][self.state["obj_id_to_idx"][object_id]]
        out = held["cond_frame_outputs"].get(step) or held["non_cond_frame_outputs"][step]
        return {name: out[key][0] for key, name in OUTPUTS.items()}


def _state(images: torch.Tensor, size: tuple[int, ...], device: torch.device) -> dict:
    """What ``init_state`` makes for a folder of pictures, for pictures in memory."""
    per_object = ("point_inputs_per_obj", "mask_inputs_per_obj", "output_dict_per_obj")
    more = ("temp_output_dict_per_obj", "frames_tracked_per_obj", "cached_features", "constants")
    return {
        "images": images,
        # The true number would shorten the reach of pointers in videos of fewer than sixteen pictures.
        "num_frames": 10**9,
        "offload_video_to_cpu": False,
        "offload_state_to_cpu": False,
        "video_height": size[0],
        "video_width": size[1],
        "device": device,
        "storage_device": device,
        "obj_id_to_idx": OrderedDict(),
        "obj_idx_to_id": OrderedDict(),
        "obj_ids": [],
        **{name: {} for name in (*per_object, *more)},
    }
