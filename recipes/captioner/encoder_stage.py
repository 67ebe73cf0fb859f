"""Stage 1: the vision encoder learns class and colour of every patch (exact masks are free here).

Two things keep class apart from colour and from the world: every second crop of a named thing has its colour channels
permuted (its colour is then not judged), and nameless things are learned as such, in scenes of their own and pasted
among the named.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.images import ImagePacker
from modeling.pixelrefer.model import PixelReferLite
from recipes.captioner.clips import STRANGERS, StoredClip, read_clip, stored
from recipes.captioner.evidence import MIN_MASK_PX, Roughness
from recipes.captioner.network import PATCHES
from recipes.captioner.progress import Parts, Stage, make_optimizer
from recipes.captioner.views import UNTOLD, MaskView, Picture, owner_labels, pack, view_frame, view_mask
from synthetic.grammar import NAMES, STRANGER
from synthetic.palette import ALL_COLOURS

CROPS, LOCALS, GLOBALS = 36, 10, 5
CLIPS_A_STEP = 6
STRANGE_CLIPS = 2
"""Of them; a named clip also gets a nameless thing pasted into it with a chance of :data:`PASTE_SHARE`."""
PASTE_SHARE, PERMUTED_SHARE = 0.35, 0.5
BACKGROUND_WEIGHT = 0.25
PEAK_RATE = 2e-3
DECAY = 0.05


@dataclass(frozen=True)
class DenseBatch:
    """Pictures of one step: crops, local views, global views; labels int64 [patches, 2] (class, colour;
    UNTOLD where not judged).

    ``owner`` int64 [patches of crops]: number of the crop a chosen patch belongs to, -1 elsewhere;
    ``names`` int64 [crops, 2]: class and colour of each crop's object.
    """

    pictures: list[Picture]
    labels: Tensor
    owner: Tensor
    names: Tensor


class DenseModel(nn.Module):
    """The network's encoder under two linear heads that are thrown away afterwards."""

    def __init__(self, network: PixelReferLite) -> None:
        super().__init__()
        width = network.config.vision.width
        self.tower = network.model.vision_encoder
        self.class_head = nn.Linear(width, len(NAMES) + 1)
        self.colour_head = nn.Linear(width, len(ALL_COLOURS) + 1)

    def forward(self, patches: Tensor, grids: Tensor, batch: DenseBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, and accuracy of class and colour per object from the mean of its chosen patches."""
        features = self.tower(patches, grids)
        loss = self._patch_loss(features, batch.labels)
        means = self._object_means(features, batch.owner, len(batch.names))
        hits = []
        for head, truth in zip((self.class_head, self.colour_head), batch.names.T, strict=True):
            logits = head(means.to(head.weight.dtype)).float()
            # A batch may hold nothing to judge, as when all its colours are permuted.
            told = int((truth != UNTOLD).sum())
            wrong = nn.functional.cross_entropy(logits, truth, ignore_index=UNTOLD, reduction="sum")
            loss = loss + wrong / max(1, told)
            hits.append((logits.argmax(-1) == truth).float().sum() / max(1, told))
        return loss, hits[0], hits[1]

    def _patch_loss(self, features: Tensor, labels: Tensor) -> Tensor:
        total = features.new_zeros(())
        for head, truth in zip((self.class_head, self.colour_head), labels.T, strict=True):
            weight = torch.ones(head.out_features, device=features.device)
            weight[0] = BACKGROUND_WEIGHT
            total = total + nn.functional.cross_entropy(head(features).float(), truth, weight)
        return total

    @staticmethod
    def _object_means(features: Tensor, owner: Tensor, count: int) -> Tensor:
        chosen = owner >= 0
        sums = features.new_zeros(count, features.shape[1]).index_add(
            0, owner[chosen], features[: len(owner)][chosen]
        )
        sizes = torch.bincount(owner[chosen], minlength=count).clamp(min=1)
        return sums / sizes[:, None]


@dataclass(frozen=True)
class Shot:
    """One frame uint8 [H,W,3], the owner of each pixel uint8 [H,W], and the labels of owners (see `owner_labels`)."""

    frame: np.ndarray
    ids: np.ndarray
    labels: np.ndarray

    def permuted(self, rng: np.random.Generator) -> Shot:
        """The same in other colours, which are then not judged."""
        labels = self.labels.copy()
        labels[1:, 1] = UNTOLD
        return Shot(np.ascontiguousarray(self.frame[..., rng.permutation(3)]), self.ids, labels)

    def with_thing(self, other: Shot, key: int, rng: np.random.Generator) -> Shot:
        """With the thing ``key`` of another shot pasted anywhere; it becomes the last owner."""
        rows, columns = np.nonzero(other.ids == key)
        down = int(rng.integers(-rows.min(), self.ids.shape[0] - rows.max() + 20))
        across = int(rng.integers(-columns.min(), self.ids.shape[1] - columns.max() + 20))
        y, x = rows + down, columns + across
        inside = (y >= 0) & (x >= 0) & (y < self.ids.shape[0]) & (x < self.ids.shape[1])
        frame, ids = self.frame.copy(), self.ids.copy()
        frame[y[inside], x[inside]] = other.frame[rows[inside], columns[inside]]
        ids[y[inside], x[inside]] = len(self.labels)
        return Shot(frame, ids, np.concatenate([self.labels, other.labels[key : key + 1]]))


def _shot(clip: StoredClip, t: int) -> Shot:
    return Shot(clip.frames[t], clip.ids[t], owner_labels(clip.objects))


class DenseSampler:
    """Draws batches from stored clips; clips that are added while it runs are found."""

    def __init__(self, folder: Path, split: str, config: CaptionerConfig) -> None:
        self.folder, self.split, self.config = folder, split, config
        self.drawn = 0
        self._look_for_clips()

    def _look_for_clips(self) -> None:
        self.named, self.strange = stored(self.folder, self.split), stored(self.folder, STRANGERS)

    def sample(self, rng: np.random.Generator) -> DenseBatch:
        """One batch."""
        self.drawn += 1
        if self.drawn % 100 == 0:
            self._look_for_clips()
        strange = [read_clip(path) for path in _some(self.strange, STRANGE_CLIPS, rng)]
        named = [read_clip(path) for path in _some(self.named, CLIPS_A_STEP - len(strange), rng)]
        views: list[tuple[MaskView, np.ndarray, int]] = []
        frames: list[tuple[Picture, np.ndarray]] = []
        for clip in [*named, *strange]:
            views += self._masks(clip, strange, rng)
            shot = self._varied(clip, int(rng.integers(len(clip.frames))), strange, rng)
            frames.append((view_frame(shot.frame, shot.ids, self.config), shot.labels))
        return _assemble(views, frames[-GLOBALS:])

    def _varied(self, clip: StoredClip, t: int, strange: list[StoredClip], rng: np.random.Generator) -> Shot:
        """A frame as it is, or with a nameless thing in it, or in other colours."""
        shot = _shot(clip, t)
        if clip.objects[0].class_name == STRANGER:
            return shot
        if strange and rng.random() < PASTE_SHARE:
            other = strange[int(rng.integers(len(strange)))]
            at = int(rng.integers(len(other.frames)))
            seen = [k for k, it in enumerate(other.objects) if it.visible_px[at] >= 4 * MIN_MASK_PX]
            if seen:
                shot = shot.with_thing(_shot(other, at), int(rng.choice(seen)) + 1, rng)
        return shot.permuted(rng) if rng.random() < PERMUTED_SHARE else shot

    def _masks(
        self, clip: StoredClip, strange: list[StoredClip], rng: np.random.Generator
    ) -> list[tuple[MaskView, np.ndarray, int]]:
        """Views of some masks of a clip, with the labels of its owners and the owner each shows."""
        found: list[tuple[MaskView, np.ndarray, int]] = []
        seen = np.argwhere(np.stack([it.visible_px for it in clip.objects]) >= MIN_MASK_PX)
        for k, t in rng.permutation(seen)[: CROPS // CLIPS_A_STEP]:
            shot = self._varied(clip, int(t), strange, rng)
            pasted = len(shot.labels) - len(clip.objects) - 1
            key = len(shot.labels) - 1 if pasted and rng.random() < 0.5 else int(k) + 1
            mask = shot.ids == key
            if rng.random() < 0.6:
                mask = Roughness.sample(rng)(mask, rng)
            if mask.sum() >= MIN_MASK_PX:
                view = view_mask(shot.frame, shot.ids, mask.astype(np.uint8), self.config)
                found.append((view, shot.labels, key))
        return found


def _some(paths: list[Path], count: int, rng: np.random.Generator) -> list[Path]:
    chosen = rng.choice(len(paths), min(count, len(paths)), replace=False) if paths else []
    return [paths[number] for number in chosen]


def _assemble(
    views: list[tuple[MaskView, np.ndarray, int]], frames: list[tuple[Picture, np.ndarray]]
) -> DenseBatch:
    crops = [(view.crop, labels) for view, labels, _ in views]
    every = crops + [(view.local, labels) for view, labels, _ in views[::3][:LOCALS]] + frames
    owner = [np.where(view.chosen, number, -1) for number, (view, _, _) in enumerate(views)]
    return DenseBatch(
        pictures=[picture for picture, _ in every],
        labels=torch.from_numpy(np.concatenate([labels[picture.owners] for picture, labels in every])),
        owner=torch.from_numpy(np.concatenate(owner)),
        names=torch.from_numpy(np.stack([labels[key] for _, labels, key in views])),
    )


def run(model: DenseModel, batch: DenseBatch, packer: ImagePacker, device: torch.device):
    """Loss and accuracies of one batch in bfloat16 where it pays."""
    images = pack(batch.pictures, packer)
    moved = DenseBatch(
        batch.pictures, batch.labels.to(device), batch.owner.to(device), batch.names.to(device)
    )
    with torch.autocast(device.type, torch.bfloat16):
        return model(images.patches.to(device), images.grids, moved)


def train_encoder(
    network: PixelReferLite,
    clips: Path,
    state: Path,
    steps: int,
    seed: int,
    device: torch.device,
    minutes: float | None = None,
    log_every: int = 50,
) -> None:
    """Train until ``steps`` or ``minutes`` are over; goes on from ``state`` if that file exists."""
    torch.manual_seed(seed)  # for the start values of the heads
    model = DenseModel(network).to(device).train()
    packer = ImagePacker(network.config, PATCHES)
    stage = Stage(state, model, make_optimizer(model, DECAY), PEAK_RATE, steps, minutes)
    sampler = DenseSampler(clips, "train", network.config)

    def learn(step: int) -> tuple[Tensor, Parts]:
        batch = sampler.sample(np.random.default_rng([seed, 1, step]))
        loss, class_hits, colour_hits = run(model, batch, packer, device)
        return loss, {"loss": loss.item(), "class": class_hits.item(), "colour": colour_hits.item()}

    stage.run(learn, "encoder", log_every)


@torch.no_grad()
def probe_encoder(
    model: DenseModel, config: CaptionerConfig, clips: Path, split: str, batches: int, device: torch.device
) -> list[float]:
    """Mean loss, class and colour accuracy of single frames on stored clips."""
    packer, sampler = ImagePacker(config, PATCHES), DenseSampler(clips, split, config)
    results = [
        [value.item() for value in run(model, sampler.sample(np.random.default_rng([7, n])), packer, device)]
        for n in range(batches)
    ]
    return np.mean(results, axis=0).tolist()
