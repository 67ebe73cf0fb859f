"""Clips of cut-out pictures: same seed same bytes, truth that agrees with the pixels, a folder read as it stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from synthetic.cutouts import bending, sample_cutout_clip
from synthetic.pictures import Pictures, read_pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cut-outs, a drawn one, two photographs, something that is no cut-out, and a text."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, colour in (
        ("red.png", (200, 30, 30, 255)),
        ("blue.png", (30, 30, 200, 255)),
        ("emoji-1.png", (9, 200, 9, 255)),
    ):
        thing = Image.new("RGBA", (80, 60))
        ImageDraw.Draw(thing).ellipse([20, 5, 70, 55], fill=colour)
        thing.save(folder / name)
    rng = np.random.default_rng(0)
    for name in ("field.png", "street.jpg"):
        Image.fromarray(rng.integers(0, 255, (90, 160, 3), dtype=np.uint8)).save(folder / name)
    Image.new("RGBA", (40, 40)).save(folder / "nothing.png")
    (folder / "LICENCE.txt").write_text("whoever drew them")
    return folder


@pytest.fixture(scope="module")
def pictures(folder: Path) -> Pictures:
    return read_pictures(folder)


def test_a_folder_is_parted_into_what_it_shows(pictures: Pictures) -> None:
    assert [len(pictures.cutouts), len(pictures.drawn), len(pictures.photographs)] == [2, 1, 2]
    assert all(thing.size == (51, 51) for thing in pictures.cutouts)  # trimmed to what shows


def test_a_folder_without_cutouts_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (60, 60)).save(tmp_path / "wall.png")
    with pytest.raises(ValueError, match="0 cut-outs .* 1 photographs"):
        read_pictures(tmp_path)


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="odd.png cannot be read"):
        read_pictures(tmp_path)


def test_same_seed_gives_the_same_bytes(pictures: Pictures) -> None:
    first, again = (sample_cutout_clip(3, pictures, 64, 4) for _ in range(2))
    assert first.frames.tobytes() == again.frames.tobytes() and first.ids.tobytes() == again.ids.tobytes()
    assert first.frames.tobytes() != sample_cutout_clip(4, pictures, 64, 4).frames.tobytes()


def test_areas_are_those_of_the_ids(pictures: Pictures) -> None:
    for seed in range(6):
        clip = sample_cutout_clip(seed, pictures, 96, 5)
        assert clip.frames.shape == (5, 96, 96, 3) and clip.ids.max() <= len(clip.objects)
        for index, thing in enumerate(clip.objects):
            np.testing.assert_array_equal(thing.visible_px, (clip.ids == index + 1).sum((1, 2)))


def test_a_cutout_bends_but_stays_one_thing(pictures: Pictures) -> None:
    parts = [bending(np.random.default_rng(seed), pictures.cutouts[0], 48.0) for seed in range(12)]
    bent = [part for part in parts if part.poses]
    assert 0 < len(bent) < len(parts)
    for part in bent:
        shown = [np.asarray(part.picture_at(time_s).getchannel(3)) > 127 for time_s in np.linspace(0, 2, 9)]
        areas = [mask.sum() for mask in shown]
        assert all(0.6 * areas[0] < area < 1.6 * areas[0] for area in areas)
        assert any((mask != shown[0]).any() for mask in shown[1:])


def test_a_wrong_request_is_named(pictures: Pictures) -> None:
    with pytest.raises(ValueError, match="48 pixels"):
        sample_cutout_clip(0, pictures, 20)
