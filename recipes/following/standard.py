"""The field's own scores of what was recorded, computed by TrackEval: HOTA, IDF1, MOTA and identity switches.

HOTA: Luiten et al., IJCV 2021; IDF1: Ristani et al., 2016; MOTA: Bernardin and Stiefelhagen, 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from trackeval.metrics import CLEAR, HOTA, Identity

from recipes.following.record import Seen


def standard_scores(streams: Sequence[Sequence[Seen]]) -> dict[str, float]:
    """``hota``, ``deta``, ``assa`` (means over the thresholds), ``idf1``, ``mota`` (at 0.5) and ``switches``.

    All 0..1 but the last, which counts, and ``mota``, which may be negative.
    """
    data = {str(number): _data(frames) for number, frames in enumerate(streams)}
    hota, identity, clear = (_combined(metric, data) for metric in _metrics())
    return {
        "hota": float(np.mean(hota["HOTA"])),
        "deta": float(np.mean(hota["DetA"])),
        "assa": float(np.mean(hota["AssA"])),
        "idf1": float(identity["IDF1"]),
        "mota": float(clear["MOTA"]),
        "switches": int(clear["IDSW"]),
    }


def _metrics() -> tuple[Any, ...]:
    quiet = {"PRINT_CONFIG": False}
    return HOTA(), Identity(quiet), CLEAR(quiet)


def _combined(metric: Any, data: dict[str, dict]) -> dict[str, Any]:
    return metric.combine_sequences({name: metric.eval_sequence(one) for name, one in data.items()})


def _data(frames: Sequence[Seen]) -> dict[str, Any]:
    """One stream as TrackEval takes it: numbers from zero for all objects and tracks, similarities frame by frame."""
    objects = {key: at for at, key in enumerate(sorted({key for it in frames for key in it.objects}))}
    tracks = {key: at for at, key in enumerate(sorted({key for it in frames for key in it.tracks}))}
    return {
        "num_timesteps": len(frames),
        "num_gt_ids": len(objects),
        "num_tracker_ids": len(tracks),
        "num_gt_dets": sum(len(it.objects) for it in frames),
        "num_tracker_dets": sum(len(it.tracks) for it in frames),
        "gt_ids": [np.array([objects[key] for key in it.objects], int) for it in frames],
        "tracker_ids": [np.array([tracks[key] for key in it.tracks], int) for it in frames],
        "similarity_scores": [it.overlap for it in frames],
    }
