"""Write frames as H.264 in a file: a key frame every second, so that any second can be cut out."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np


def write_h264(path: Path, frames: Iterable[np.ndarray], fps: float, b_frames: int = 0, crf: int = 20) -> int:
    """Encode RGB frames uint8 [H, W, 3] with libx264 and return how many were written.

    :param b_frames: consecutive B-frames allowed; 0 keeps the order of decoding and display the same.
    :raises ValueError: if there is no frame, or a frame has an odd side (4:2:0 needs even ones).
    """
    import av  # only here: everything else of the world runs without a codec

    rate = Fraction(fps).limit_denominator(1001)
    count = 0
    with av.open(str(path), "w") as container:
        stream = None
        for pixels in frames:
            if stream is None:
                stream = _open_stream(container, pixels, rate, b_frames, crf)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            picture.pts, picture.time_base = count, 1 / rate
            container.mux(stream.encode(picture))
            count += 1
        if stream is None:
            raise ValueError("frames: expected at least one frame to write, got none")
        container.mux(stream.encode(None))
    return count


def _open_stream(container, pixels: np.ndarray, rate: Fraction, b_frames: int, crf: int):
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"frames: expected even sides for H.264 4:2:0, got {width}x{height}")
    stream = container.add_stream("libx264", rate=rate)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    key_every = max(1, round(rate))
    stream.gop_size = key_every
    stream.max_b_frames = b_frames
    stream.codec_context.time_base = 1 / rate
    stream.options = {
        "preset": "veryfast",
        "crf": str(crf),
        "x264-params": f"keyint={key_every}:min-keyint={key_every}:scenecut=0:bframes={b_frames}",
    }
    return stream
