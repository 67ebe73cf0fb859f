"""Search windows: where they lie, how places move in and out of them, and sessions that use them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from modeling.sam2.build import build_tracker
from modeling.sam2.segmenter import load_segmenter, opener
from modeling.sam2.session import Sam2Session
from modeling.sam2.window import View, WindowSettings, cut_mask, extent, focus_on, spread
from operators.types import Prompt
from recipes.tracker.checkpoints import export_weights
from tests.modeling.sam2_models import TINY, tiny_network

MASKS = (45, 80)
WIDE = (90, 160, 3)
USUAL = WindowSettings()


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def scenes(count: int, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 255, (count, *WIDE), dtype=np.uint8))


def box(*corners: float) -> np.ndarray:
    return np.array(corners, np.float32)


def test_a_window_is_square_inside_the_picture_and_not_too_small() -> None:
    small = focus_on(box(0.9, 0.1, 0.95, 0.15), WIDE, USUAL).view(WIDE)
    assert small.x1 - small.x0 == small.y1 - small.y0 == round(0.22 * 160)
    assert small.x1 == 160 and small.y0 == 0
    middle = focus_on(box(0.4, 0.4, 0.525, 0.5), WIDE, USUAL).view(WIDE)
    assert (middle.x1 - middle.x0, middle.y1 - middle.y0) == (60, 60)
    assert focus_on(box(0, 0, 0.5, 0.5), WIDE, USUAL).view(WIDE).is_whole


def test_a_window_changes_size_slowly_and_grows_until_it_is_the_whole_picture() -> None:
    before = focus_on(box(0.4, 0.4, 0.5, 0.5), WIDE, USUAL)
    after = focus_on(box(0.4, 0.4, 0.6, 0.5), WIDE, USUAL, before)
    assert before.side == pytest.approx(0.3) and after.side == pytest.approx(0.7 * 0.3 + 0.3 * 0.6)
    for _ in range(8):
        before = before.lost(USUAL)
    assert before.side == 1.0 and before.view(WIDE).is_whole


def test_places_go_in_and_out_again() -> None:
    view = View(40, 10, 100, 70, 90, 160)
    corners = np.array([[0.3, 0.2], [0.5, 0.6]])
    inward = view.inward(corners)
    assert ((inward > 0) & (inward < 1)).all()
    assert view.outward(inward.reshape(4)) == pytest.approx(corners.reshape(4), abs=1e-6)


def test_a_mask_goes_in_and_out_again() -> None:
    mask = np.zeros(MASKS, bool)
    mask[15:25, 30:44] = True
    view = View(40, 10, 100, 70, 90, 160)
    inside = cut_mask(mask, view, 64)
    assert extent(inside) == pytest.approx(
        view.inward(box(30 / 80, 15 / 45, 44 / 80, 25 / 45).reshape(2, 2)).ravel(), abs=0.03
    )
    logits = torch.from_numpy(np.where(inside, 5.0, -5.0).astype(np.float32))[None]
    back = (spread(logits, view, MASKS) > 0).numpy()
    assert (back ^ mask).sum() <= 12 and not back[:, 52:].any()


def test_a_few_strays_do_not_widen_a_box() -> None:
    mask = np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    mask[39, 39] = True
    assert extent(mask) == pytest.approx([0.25, 0.25, 0.5, 0.5])
    assert extent(np.zeros((4, 4), bool)) is None


def follow(session: Sam2Session, pictures: list[np.ndarray], clip: int, restart: bool) -> list[np.ndarray]:
    """Two prompted objects: masks of every step, with a new session after every clip if asked."""
    told, network = [], session._network
    for first in range(0, len(pictures), clip):
        session.begin_clip(pictures[first : first + clip])
        for at in range(first, min(first + clip, len(pictures))):
            steps = session.step()
            told += [step.mask for step in steps.values()]
            if at == 0:
                told.append(session.add_object(Prompt(box=box(0.3, 0.3, 0.45, 0.6)))[1].mask)
            if at == 2:
                point = Prompt(points=box(0.8, 0.2)[None], labels=np.ones(1, np.int32))
                key, step = session.add_object(point)
                told += [step.mask, session.correct(key, point).mask]
        if restart:
            state = session.export_state()
            session = opener(network, USUAL)(MASKS)
            session.import_state(state)
    return told


def test_clip_lengths_and_restarts_change_nothing() -> None:
    network, pictures = tiny_network(), scenes(9)
    whole = follow(opener(network, USUAL)(MASKS), pictures, 9, restart=False)
    parted = follow(opener(network, USUAL)(MASKS), pictures, 2, restart=True)
    assert len(whole) == len(parted) and all((a == b).all() for a, b in zip(whole, parted, strict=True))


def test_the_object_is_seen_through_its_window_only() -> None:
    network, told = tiny_network(), []
    for beside in (0, 255):
        first, second = scenes(2)
        second = second.copy()
        second[:, 100:] = beside
        session = opener(network, USUAL)(MASKS)
        session.begin_clip([first, second])
        session.step()
        key, _ = session.add_object(Prompt(box=box(0.1, 0.4, 0.16, 0.5)))
        session.step()
        told.append(session.logits(key))
    assert torch.equal(*told)


def test_states_with_and_without_windows_are_not_mixed() -> None:
    network = tiny_network()
    with_windows = opener(network, USUAL)(MASKS)
    follow(with_windows, scenes(3), 3, restart=False)
    with pytest.raises(ValueError, match="search windows"):
        opener(network)(MASKS).import_state(with_windows.export_state())


def test_prompts_are_decoded_where_they_point() -> None:
    session = opener(tiny_network(), USUAL)(MASKS)
    session.begin_clip(scenes(1))
    session.step()
    mask = np.zeros(MASKS, bool)
    mask[5:9, 60:66] = True
    key, step = session.add_object(Prompt(mask=mask))
    assert (step.mask ^ mask).sum() <= 8
    found = session.correct(key, Prompt(mask=np.roll(mask, 20, axis=0)))
    assert (found.mask ^ np.roll(mask, 20, axis=0)).sum() <= 8
    assert not session.decode(Prompt(box=box(0.7, 0.1, 0.8, 0.2))).mask[:, :30].any()
    far = Prompt(points=box(0.05, 0.9)[None], labels=np.zeros(1, np.int32))
    assert session.correct(key, far).mask.shape == MASKS


@pytest.mark.parametrize(
    "given", [{"scale": 0.5}, {"size": 3}, [3], {"least": 0}, {"pace": None}, {"most": True}, {"scale": "3"}]
)
def test_bad_settings_are_named(given: object) -> None:
    with pytest.raises(ValueError, match="search_window"):
        WindowSettings.read(given)


def test_bad_prompts_are_refused_as_without_windows() -> None:
    session = opener(tiny_network(), USUAL)(MASKS)
    session.begin_clip(scenes(1))
    session.step()
    for prompt in (
        Prompt(box=box(0, 0, 2, 1)),
        Prompt(box=box(np.nan, 0, 1, 1)),
        Prompt(mask=np.zeros(MASKS, bool)),
    ):
        with pytest.raises(ValueError, match="prompt"):
            session.add_object(prompt)


def test_a_folder_asks_for_windows(tmp_path: Path) -> None:
    model = build_tracker(TINY)
    export_weights(tmp_path, model.state_dict(), TINY)
    assert load_segmenter(tmp_path)(MASKS)._window is None
    (tmp_path / "config.json").write_text(json.dumps({"model": TINY, "search_window": {"scale": 2.5}}))
    assert load_segmenter(tmp_path)(MASKS)._window == WindowSettings(scale=2.5)
    (tmp_path / "config.json").write_text(json.dumps({"model": TINY, "search_window": {"scale": None}}))
    with pytest.raises(ValueError, match="config.json: search_window: scale must be a number, not None"):
        load_segmenter(tmp_path)


def test_large_things_are_looked_for_on_the_whole_picture() -> None:
    focus = focus_on(box(0.4, 0.4, 0.6, 0.5), WIDE, USUAL)
    assert not focus.view(WIDE).is_whole and not focus.view(WIDE, most=0.61).is_whole
    assert focus.view(WIDE, most=0.5).is_whole
