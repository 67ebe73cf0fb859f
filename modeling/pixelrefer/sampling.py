"""Which frames of a video the published PixelRefer code looks at."""

import numpy as np


def sample_frames(count: int, video_fps: float, fps: float | None, max_frames: int) -> list[int]:
    """Frame numbers chosen from `count` frames at `video_fps`; a frame's time is its number / video_fps.

    With `fps` and a video of fewer seconds than `max_frames`, one frame from the middle of each 1/fps; otherwise
    at most `max_frames` spread evenly from first to last.
    """
    if count < 1 or video_fps <= 0:
        raise ValueError(f"cannot sample {count} frames at {video_fps} frames per second")
    if fps is not None and count / video_fps < max_frames:
        step = min(max(1, int(video_fps // fps)), count)
        return list(range(step // 2, count, step))
    if count <= max_frames:
        return list(range(count))
    return np.linspace(0, count - 1, max_frames, dtype=int).tolist()
