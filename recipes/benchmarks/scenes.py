"""From an item of a benchmark to a request: which pictures are shown, and the masks on them.

As published: PixelRefer sees the video at a frame rate (one a second), and the masks' own pictures in full size;
PixelRefer-Lite sees the masked pictures only. One difference: for PixelRefer the masked pictures also stand among the
scene's, since a request has one list of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modeling.pixelrefer.questions import question
from modeling.pixelrefer.request import MOST_FRAME_PIXELS, MOST_FRAMES, MOST_MASKS, Request
from operators.observe import choose_frames
from recipes.benchmarks.film import Film, FilmError, film_facts, picture_size, read_film, read_pictures
from recipes.benchmarks.items import FormatError, Framework, Item, Seen
from recipes.benchmarks.masks import mask_of
from recipes.benchmarks.windows import STEP_S

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
FOLDER_FPS = 3.0
"""Pictures a second of a folder of pictures, as the published loader takes it."""


@dataclass(frozen=True)
class Showing:
    """How items are shown: to which framework, how many pictures, how large, and in whose words.

    ``fps`` and ``most_frames`` rule the scene, ``most_masks`` the masks of one object. ``own_words`` asks descriptions
    by the question of service, for a captioner that knows no other.
    """

    framework: Framework
    fps: float = 1.0
    most_frames: int = 64
    most_masks: int = 32
    long_side_px: int = 8192
    own_words: bool = False
    max_new_tokens: int = 256


@dataclass(frozen=True)
class _Source:
    """Where pictures come from: their number, rate and size (width, height), and the files if they are single ones."""

    path: Path
    count: int
    fps: float
    size_px: tuple[int, int]
    files: tuple[Path, ...] = ()
    still: bool = False

    def shown_pixels(self, long_side_px: int) -> int:
        """Pixels of a picture as it will be shown."""
        width, height = self.size_px
        scale = min(1.0, long_side_px / max(width, height))
        return max(1, int(width * scale) * int(height * scale))

    def read(self, wanted: Sequence[int], long_side_px: int) -> Film:
        if self.files:
            return read_pictures(self.files, wanted, 1 / self.fps, long_side_px)
        return read_film(self.path, wanted, long_side_px)


def request_of(item: Item, showing: Showing, instruction: str | None = None) -> Request:
    """The request for an item; ``instruction`` replaces its question. Raises FormatError, FilmError, ValueError."""
    source = _open(item)
    usable = source.count - item.hidden_end
    room = max(1, min(MOST_FRAMES, MOST_FRAME_PIXELS // source.shown_pixels(showing.long_side_px)))
    seen = _thinned([_placed(one, usable, item.source) for one in item.seen], showing.most_masks, room)
    masked = sorted({one.picture for one in seen})
    limit = min(showing.most_frames, room - len(masked))
    shown = (
        masked
        if showing.framework == "pixelreferlite"
        else _scene(item, source, usable, masked, limit, showing)
    )
    film = source.read(shown, showing.long_side_px)
    if missing := [number for number in shown if number not in film.stills]:
        raise FilmError(f"{item.source}: has no pictures {missing}")
    kept, masks = _masks(seen, film, item.source)
    times = np.array([film.stills[number].time_s for number in shown])
    own = question("detail", float(times[-1] - times[0]) + STEP_S) if showing.own_words else item.question
    return Request(
        frames=np.stack([film.stills[number].pixels for number in shown]),
        times_s=None if source.still else times - (times[0] if showing.own_words else 0.0),
        masks=masks,
        mask_frames=np.array([shown.index(one.picture) for one in kept]),
        objects=np.array([one.object for one in kept]),
        instruction=instruction or own,
        max_new_tokens=showing.max_new_tokens,
    )


def _open(item: Item) -> _Source:
    path = item.source
    if path.is_dir():
        files = tuple(sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES))
        if not files:
            raise FilmError(f"{path}: no pictures in it")
        fps = 1 / item.step_s if item.step_s else FOLDER_FPS
        return _Source(path, len(files), fps, picture_size(files[0]), files)
    if not path.is_file():
        raise FilmError(f"{path}: no such file")
    if path.suffix.lower() in PICTURES:
        return _Source(path, 1, FOLDER_FPS, picture_size(path), (path,), still=True)
    count, fps, size_px = film_facts(path)
    return _Source(path, count, fps, size_px)


def _placed(one: Seen, usable: int, source: Path) -> Seen:
    """The same with its picture counted from the front."""
    picture = one.picture if one.picture >= 0 else usable + one.picture
    if not 0 <= picture < usable:
        raise FormatError(f"{source}: a mask is on picture {one.picture}, the video has {usable}")
    return Seen(picture, one.object, one.shape)


def _thinned(seen: Sequence[Seen], most: int, room: int) -> list[Seen]:
    """At most ``most`` masks of each object, spread evenly over time, on at most ``room`` pictures in all."""
    objects = sorted({one.object for one in seen})
    for count in range(max(1, min(most, MOST_MASKS // max(1, len(objects)))), 0, -1):
        kept: list[Seen] = []
        for wanted in objects:
            mine = sorted((one for one in seen if one.object == wanted), key=lambda one: one.picture)
            kept += [mine[at] for at in choose_frames(range(len(mine)), count)]
        if len({one.picture for one in kept}) <= room:
            break
    return kept


def _scene(
    item: Item, source: _Source, usable: int, masked: Sequence[int], limit: int, showing: Showing
) -> list[int]:
    """Numbers of at most ``limit`` pictures of the scene and of the masked ones, in order."""
    if limit < 1:
        return list(masked)
    if item.scene is not None:
        chosen: Sequence[int] = choose_frames(item.scene, limit)
    else:
        step = max(1, int(source.fps / showing.fps))
        grid = range(min(step // 2, usable - 1), usable, step)
        chosen = grid if len(grid) <= limit else np.linspace(0, usable - 1, limit, dtype=int).tolist()
    return sorted({*chosen, *masked})


def _masks(seen: Sequence[Seen], film: Film, source: Path) -> tuple[list[Seen], np.ndarray]:
    """The masks that show anything, uint8 [M,h,w]. Raises FormatError if an object is left without one."""
    pairs = [(one, mask_of(one.shape, film.height_px, film.width_px)) for one in seen]
    kept = [(one, mask) for one, mask in pairs if mask.any()]
    lost = {one.object for one in seen} - {one.object for one, _ in kept}
    if lost or not kept:
        raise FormatError(f"{source}: all masks of object {min(lost, default=0)} are empty")
    if len({mask.shape for _, mask in kept}) > 1:
        raise FormatError(f"{source}: the masks differ in size")
    return [one for one, _ in kept], np.stack([mask for _, mask in kept])
