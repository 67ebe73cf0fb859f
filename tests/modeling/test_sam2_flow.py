"""Sessions that ask optical flow: windows move with the pixels, masks are carried, and a restore goes on the same."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from modeling.sam2.carry import CarrySettings
from modeling.sam2.segmenter import opener
from modeling.sam2.session import Sam2Session
from modeling.sam2.settle import CARRIED_PRESENCE
from modeling.sam2.window import WindowSettings
from operators.masks import box_of, box_overlap
from operators.types import Prompt
from tests.modeling.sam2_models import tiny_network
from tests.modeling.test_sam2_carry import HEIGHT, WIDTH, with_thing

GRID = (90, 160)
FLOW = WindowSettings(carrying=CarrySettings())
SIZE = 48


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def passing(count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A thing that moves to the right by 5 pixels a picture: pictures RGB, and its masks."""
    drawn = [with_thing(60 + 5 * at, 60, SIZE) for at in range(count)]
    return [np.repeat(grey[..., None], 3, 2) for grey, _ in drawn], [mask for _, mask in drawn]


def blind_network():
    """A network that never sees what it is not shown."""
    network = tiny_network()
    head = network.model.sam_mask_decoder.pred_obj_score_head
    with torch.no_grad():
        last = head.layers[-1]
        last.weight.zero_()
        last.bias.fill_(-8.0)
    return network


def begun(
    settings: WindowSettings, pictures: list[np.ndarray], mask: np.ndarray, network=None
) -> tuple[Sam2Session, int]:
    session = opener(network or blind_network(), settings)(GRID)
    session.begin_clip(pictures)
    session.step()
    return session, session.add_object(Prompt(mask=mask))[0]


def test_what_the_network_loses_is_carried_for_a_while() -> None:
    pictures, masks = passing(12)
    patience = 6
    session, key = begun(replace(FLOW, carrying=CarrySettings(patience=patience)), pictures, masks[0])
    for at in range(1, 12):
        step = session.step()[key]
        if at <= patience:
            assert step.presence == CARRIED_PRESENCE
            assert box_overlap(box_of(step.mask), box_of(masks[at])) > 0.7, at
        else:
            assert step.presence <= 0, "patience has an end: what nobody sees is gone"


def test_without_flow_it_is_lost_at_once() -> None:
    pictures, masks = passing(3)
    session, key = begun(WindowSettings(), pictures, masks[0])
    assert session.step()[key].presence <= 0


def test_the_window_moves_with_the_pixels_before_the_network_looks() -> None:
    pictures, masks = passing(4)
    session, key = begun(FLOW, pictures, masks[0])
    held = session._objects[key]
    before = held.focus
    session.step()
    assert (held.view.x0 + held.view.x1) / 2 / WIDTH - before.x == pytest.approx(5 / WIDTH, abs=0.01)
    assert held.view.height == HEIGHT


@pytest.mark.parametrize("at", [1, 3, 7])
def test_another_session_goes_on_bit_for_bit(at: int) -> None:
    pictures, masks = passing(10)
    network = blind_network()
    whole, key = begun(FLOW, pictures, masks[0], network)
    told = [whole.step()[key] for _ in range(9)]
    first, _ = begun(FLOW, pictures[: at + 1], masks[0], network)
    for _ in range(at):
        first.step()
    second = opener(network, FLOW)(GRID)
    second.import_state(first.export_state())
    second.begin_clip(pictures[at + 1 :])
    for known in told[at:]:
        step = second.step()[key]
        assert (step.mask == known.mask).all() and step.presence == known.presence
    assert second.num_bytes == whole.num_bytes


def test_a_patch_of_another_shape_is_refused() -> None:
    pictures, masks = passing(2)
    session, _ = begun(FLOW, pictures, masks[0])
    state = session.export_state()
    header = state["session"]
    size = int.from_bytes(header[:8], "little")
    metadata = json.loads(header[8 : 8 + size])["__metadata__"]
    tensors = load(header)
    tensors["1.patch.0"] = torch.zeros(2, 4, 4, dtype=torch.uint8)
    odd = {**state, "session": save(tensors, metadata)}
    with pytest.raises(ValueError, match="a patch is uint8"):
        opener(blind_network(), FLOW)(GRID).import_state(odd)
