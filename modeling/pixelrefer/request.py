"""What a captioner is asked and what it answers; requests are checked at birth.

The bounds below are also bounds on memory: the arrays of one request take at most 201 MB of frames, 134 MB of masks
as sent and 134 MB of masks at the size of the frames, 470 MB in all.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modeling.pixelrefer.compression import SceneOptions
from modeling.pixelrefer.prompt import clean_instruction
from modeling.pixelrefer.resize import resize_linear

MOST_MASKS = 64
MOST_FRAMES = 256
MOST_NEW_TOKENS = 2048
LARGEST_SIDE_PX = 8192
LARGEST_PIXELS = 1 << 24
"""One frame, and one mask: 4096 x 4096. Resizing takes several numbers a pixel."""
MOST_FRAME_PIXELS = 1 << 26
"""All frames together: 32 of 1920 x 1080."""
MOST_MASK_PIXELS = 1 << 27
"""All masks together, as given and at the size of the frames: 64 at 1920 x 1080."""
LONGEST_INSTRUCTION = 4000
"""Characters."""


@dataclass(frozen=True)
class Request:
    """A question about objects in a clip.

    `frames` uint8 RGB [T,H,W,3]; `times_s` [T] seconds, or None for a still image (T = 1); `masks` uint8 or
    bool [M,h,w], non-zero inside the object, on a grid that may be coarser than the frames; `mask_frames`
    int [M], the frame of each mask; `objects` int [M], the `<region>` of the instruction that each mask
    belongs to (0 is the first). Masks may come in any order; `scene` says which clip the frames are of and how
    much of them is shown (PixelRefer). Raises ValueError naming the first thing that is wrong.
    """

    frames: NDArray[np.uint8]
    times_s: NDArray[np.floating] | None
    masks: NDArray[np.uint8] | NDArray[np.bool_]
    mask_frames: NDArray[np.integer]
    objects: NDArray[np.integer]
    instruction: str
    max_new_tokens: int = 128
    scene: SceneOptions = SceneOptions()

    def __post_init__(self) -> None:
        _check_frames(self.frames)
        if self.times_s is None:
            _require(self.frames.shape[0] == 1, "times_s is needed when there is more than one frame")
        else:
            object.__setattr__(self, "times_s", _times(self.times_s, self.frames.shape[0]))
        _check_masks(self.masks, self.frames.shape[1] * self.frames.shape[2])
        count, frames = self.masks.shape[0], self.frames.shape[0]
        object.__setattr__(self, "mask_frames", _indices(self.mask_frames, "mask_frames", count, frames))
        object.__setattr__(self, "objects", _indices(self.objects, "objects", count, count))
        present = np.unique(self.objects)
        _require(
            present.size == present[-1] + 1,
            f"objects must number 0..n-1 without gaps, object {_first_gap(present)} has no mask",
        )
        object.__setattr__(self, "instruction", _instruction(self.instruction))
        whole = isinstance(self.max_new_tokens, int) and not isinstance(self.max_new_tokens, bool)
        _require(
            whole and 1 <= self.max_new_tokens <= MOST_NEW_TOKENS,
            f"max_new_tokens must be 1..{MOST_NEW_TOKENS}, not {self.max_new_tokens!r}",
        )

    def owned(self) -> "Request":
        """The same request over arrays of its own, where those given belong to somebody else."""
        return replace(self, frames=self.frames.copy(), masks=self.masks.copy())

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays as they were given."""
        return self.frames.nbytes + self.masks.nbytes

    @property
    def object_count(self) -> int:
        """How many objects are asked about."""
        return int(self.objects.max()) + 1

    def order(self) -> list[int]:
        """Mask numbers grouped by object, in time order within each."""
        return np.lexsort((self.mask_frames, self.objects)).tolist()

    def full_masks(self) -> NDArray[np.uint8]:
        """The masks as 0/1 on the grid of the frames, [M,H,W]."""
        size = self.frames.shape[1:3]
        return np.stack([_to_size((mask != 0).astype(np.uint8), *size) for mask in self.masks])


@dataclass(frozen=True)
class Answer:
    """What the captioner said, and what it cost. `timings_s` maps a stage to its seconds.

    `budget` parts the prompt's tokens into scene tokens by role (`anchor`, `body`), `object` and `text`, and says
    how many unchanged scene tokens were `dropped`; `carried` and `reused` are 1 where the anchor is the frame
    before the clip, and where the scene was known from an earlier question.
    """

    text: str
    token_ids: list[int]
    token_probabilities: list[float]
    prompt_tokens: int
    object_tokens: int
    finish: Literal["stop", "length", "cancelled"]
    timings_s: dict[str, float] = field(default_factory=dict)
    budget: dict[str, int] = field(default_factory=dict)


def _require(right: bool, complaint: str) -> None:
    if not right:
        raise ValueError(complaint)


def _check_frames(frames: object) -> None:
    _require(isinstance(frames, np.ndarray), f"frames must be an array, not {type(frames).__name__}")
    assert isinstance(frames, np.ndarray)
    _require(frames.dtype == np.uint8, f"frames must be uint8, not {frames.dtype}")
    right = frames.ndim == 4 and frames.shape[3] == 3
    _require(right, f"frames must be [T,H,W,3], not {list(frames.shape)}")
    _require(frames.size > 0, f"frames are empty: {list(frames.shape)}")
    _require(frames.shape[0] <= MOST_FRAMES, f"{frames.shape[0]} frames are too many, at most {MOST_FRAMES}")
    side = max(frames.shape[1:3])
    _require(side <= LARGEST_SIDE_PX, f"a frame side of {side} px is too large, at most {LARGEST_SIDE_PX}")
    pixels = frames.size // 3
    _require(
        pixels // frames.shape[0] <= LARGEST_PIXELS,
        f"frames of {frames.shape[2]} x {frames.shape[1]} are too large, at most {LARGEST_PIXELS} pixels",
    )
    _require(
        pixels <= MOST_FRAME_PIXELS,
        f"the frames have {pixels} pixels together, at most {MOST_FRAME_PIXELS}: send fewer or smaller ones",
    )


def _times(times_s: object, frames: int) -> NDArray[np.float64]:
    times = np.asarray(times_s)
    _require(np.issubdtype(times.dtype, np.number), f"times_s must be numbers, not {times.dtype}")
    _require(times.shape == (frames,), f"times_s must have one time for each of {frames} frames")
    _require(bool(np.isfinite(times).all()), "times_s holds NaN or infinity")
    return times.astype(np.float64)


def _check_masks(masks: object, frame_pixels: int) -> None:
    _require(isinstance(masks, np.ndarray), f"masks must be an array, not {type(masks).__name__}")
    assert isinstance(masks, np.ndarray)
    _require(masks.dtype in (np.uint8, np.bool_), f"masks must be uint8 or bool, not {masks.dtype}")
    _require(masks.ndim == 3, f"masks must be [M,h,w], not {list(masks.shape)}")
    _require(masks.size > 0, f"masks are empty: {list(masks.shape)}")
    _require(masks.shape[0] <= MOST_MASKS, f"{masks.shape[0]} masks are too many, at most {MOST_MASKS}")
    side = max(masks.shape[1:])
    _require(side <= LARGEST_SIDE_PX, f"a mask side of {side} px is too large, at most {LARGEST_SIDE_PX}")
    height, width = masks.shape[1:]
    _require(
        height * width <= LARGEST_PIXELS,
        f"masks of {width} x {height} are too large, at most {LARGEST_PIXELS} pixels",
    )
    pixels = max(masks.size, masks.shape[0] * frame_pixels)
    _require(
        pixels <= MOST_MASK_PIXELS,
        f"the masks have {pixels} pixels together, at most {MOST_MASK_PIXELS} as given and on the grid of the "
        "frames: send fewer masks or smaller frames",
    )


def _indices(values: object, name: str, count: int, limit: int) -> NDArray[np.int64]:
    numbers = np.asarray(values)
    _require(np.issubdtype(numbers.dtype, np.integer), f"{name} must be whole numbers, not {numbers.dtype}")
    _require(numbers.shape == (count,), f"{name} must have one entry for each of {count} masks")
    right = bool(((numbers >= 0) & (numbers < limit)).all())
    _require(right, f"{name} must lie in 0..{limit - 1}, got {numbers.min()}..{numbers.max()}")
    return numbers.astype(np.int64)


def _first_gap(present: NDArray[np.integer]) -> int:
    return int(np.flatnonzero(present != np.arange(present.size)).min(initial=present.size))


def _instruction(text: object) -> str:
    _require(isinstance(text, str), f"the instruction must be text, not {type(text).__name__}")
    assert isinstance(text, str)
    length = len(text)
    _require(
        length <= LONGEST_INSTRUCTION,
        f"the instruction has {length} characters, at most {LONGEST_INSTRUCTION}",
    )
    cleaned = clean_instruction(text)
    _require(bool(cleaned), "the instruction is empty")
    return cleaned


def _to_size(mask: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A 0/1 mask on another grid: bilinear, cut at one half."""
    if mask.shape == (height, width):
        return mask
    return (resize_linear(mask.astype(np.float32), height, width) >= 0.5).astype(np.uint8)
