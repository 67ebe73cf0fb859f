"""Cameras side by side on one network: each as if it were alone, in fewer calls of the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from modeling.sam2.batcher import Batcher
from modeling.sam2.network import Network
from modeling.sam2.segmenter import opener
from modeling.sam2.session import Sam2Session
from modeling.sam2.values import Step
from modeling.sam2.window import WindowSettings
from operators.types import Prompt
from tests.modeling.sam2_models import noise, recorded_network, recorded_pictures, tiny_network

SIZES = ((45, 60), (32, 32))
WINDOW = WindowSettings(scale=2.0, least=0.5)


@pytest.fixture(autouse=True)
def one_thread() -> Iterable[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def box(*corners: float) -> Prompt:
    return Prompt(box=np.array(corners, np.float32))


@dataclass
class Camera:
    """A session, its pictures, and what is done on them: by step a function of the session and its ids."""

    session: Sam2Session
    pictures: Sequence[np.ndarray]
    acts: dict[int, Callable[[Sam2Session], object]]
    told: list[tuple[dict[int, Step], dict[int, torch.Tensor]]] = field(default_factory=list)

    def note(self, answers: dict[int, Step]) -> None:
        logits = {key: self.session.logits(key).clone() for key in answers}
        self.told.append((answers, logits))
        self.acts.get(len(self.told) - 1, lambda session: None)(self.session)


def cameras(
    network: Network,
    window: WindowSettings | None = None,
    policies: tuple[str, str] = ("official", "official"),
) -> list[Camera]:
    """Two cameras that differ in what they see, in the size of masks, and in what is done when."""
    recorded = recorded_pictures(32)
    opened = opener(network, window)
    first = {
        0: lambda session: session.add_object(box(0.2, 0.3, 0.6, 0.7)),
        4: lambda session: session.add_object(box(0.5, 0.5, 0.9, 0.8)),
        9: lambda session: session.remove_object(1),
    }
    second = {
        0: lambda session: [
            session.add_object(box(0.1, 0.1, 0.5, 0.5)),
            session.add_object(box(0.4, 0.4, 0.8, 0.9)),
        ],
        6: lambda session: session.correct(2, box(0.45, 0.4, 0.8, 0.8)),
    }
    shifted = [picture[:, ::-1] for picture in recorded[16:]]
    return [
        Camera(opened(SIZES[0], policies[0]), recorded[:16], first),
        Camera(opened(SIZES[1], policies[1]), shifted, second),
    ]


def alone(camera: Camera, clip: int = 4) -> Camera:
    for start in range(0, len(camera.pictures), clip):
        part = camera.pictures[start : start + clip]
        camera.session.begin_clip(part)
        for _ in part:
            camera.note(camera.session.step())
    return camera


def together(network: Network, several: list[Camera], clip: int = 4) -> list[Camera]:
    batcher = Batcher(network)
    for start in range(0, len(several[0].pictures), clip):
        batcher.begin_clips([(each.session, each.pictures[start : start + clip]) for each in several])
        for _ in range(clip):
            answers = batcher.step([each.session for each in several])
            for each, own in zip(several, answers, strict=True):
                each.note(own)
    return several


def assert_as_alone(ours: Camera, theirs: Camera, limit: float = 1e-4) -> None:
    """``limit`` is a share of the largest logit: memories are rounded to bfloat16, so that last bits are passed on."""
    assert len(ours.told) == len(theirs.told)
    for (found, logits), (wanted, expected) in zip(ours.told, theirs.told, strict=True):
        assert list(found) == list(wanted)
        for key in wanted:
            bound = limit * max(1.0, float(expected[key].abs().max()))
            torch.testing.assert_close(logits[key], expected[key], atol=bound, rtol=0)
            assert found[key].presence == pytest.approx(wanted[key].presence, abs=bound)
            assert found[key].mask.shape == wanted[key].mask.shape
            assert (found[key].mask != wanted[key].mask).mean() < 1e-3


@pytest.mark.parametrize("window", [None, WINDOW], ids=["whole pictures", "windows"])
def test_each_camera_answers_as_if_it_were_alone(window: WindowSettings | None) -> None:
    network = recorded_network(object_batch=16)
    ours = together(network, cameras(network, window))
    for camera, expected in zip(ours, cameras(network, window), strict=True):
        assert_as_alone(camera, alone(expected))
    assert ours[0].session.object_ids == (2,) and ours[1].session.object_ids == (1, 2)


def test_cameras_may_remember_by_different_policies() -> None:
    network = recorded_network(object_batch=16)
    policies = ("motion", "official")
    ours = together(network, cameras(network, policies=policies))
    for camera, expected in zip(ours, cameras(network, policies=policies), strict=True):
        assert_as_alone(camera, alone(expected))


def test_a_removal_in_one_camera_leaves_the_other_as_it_is() -> None:
    network = recorded_network(object_batch=16)
    with_removal, without = cameras(network), cameras(network)
    del without[0].acts[9]
    ours, theirs = together(network, with_removal)[1], together(network, without)[1]
    assert_as_alone(ours, theirs)


def test_one_camera_in_a_batcher_is_the_session_itself() -> None:
    network = recorded_network(object_batch=16)
    camera, expected = together(network, cameras(network)[:1])[0], alone(cameras(network)[0])
    assert_as_alone(camera, expected, limit=0.0)


def test_pictures_of_all_cameras_are_one_batch_and_equal_objects_too(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_network()
    encoded, stepped = _counted(network, monkeypatch)
    sessions = [opener(network)(size) for size in SIZES]
    batcher = Batcher(network)
    batcher.begin_clips([(session, noise(3, seed)) for seed, session in enumerate(sessions)])
    assert encoded == [6]
    batcher.step(sessions)
    for session in sessions:
        session.add_object(box(0.2, 0.2, 0.6, 0.6))
        session.add_object(box(0.4, 0.4, 0.8, 0.8))
    stepped.clear()
    batcher.step(sessions)
    assert stepped == [4] and encoded == [6]


def test_windows_of_all_objects_and_cameras_are_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_network()
    sessions = [opener(network, WINDOW)(size) for size in SIZES]
    batcher = Batcher(network)
    batcher.begin_clips([(session, noise(2, seed)) for seed, session in enumerate(sessions)])
    batcher.step(sessions)
    for session in sessions:
        session.add_object(box(0.2, 0.2, 0.35, 0.35))
        session.add_object(box(0.6, 0.6, 0.75, 0.75))
    encoded, stepped = _counted(network, monkeypatch)
    batcher.step(sessions)
    assert encoded == [4] and stepped == [4]


def _counted(network: Network, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[int]]:
    """Sizes of the batches of pictures and of objects from now on."""
    encoded: list[int] = []
    stepped: list[int] = []
    forward_image, attend = network.model.forward_image, network.model.memory_attention.forward

    def encode(pixels: torch.Tensor) -> dict:
        encoded.append(len(pixels))
        return forward_image(pixels)

    def look_back(**given: object) -> torch.Tensor:
        stepped.append(given["memory"].shape[1])
        return attend(**given)

    monkeypatch.setattr(network.model, "forward_image", encode)
    monkeypatch.setattr(network.model.memory_attention, "forward", look_back)
    return encoded, stepped


def test_cameras_with_a_picture_left_go_on_without_the_others() -> None:
    network = tiny_network()
    short, long = (opener(network)(size) for size in SIZES)
    batcher = Batcher(network)
    batcher.begin_clips([(short, noise(1)), (long, noise(3))])
    batcher.step([short, long])
    with pytest.raises(RuntimeError, match="no picture left"):
        batcher.step([long, short])
    for _ in range(2):  # nothing was lost by the refusal
        batcher.step([long])
    with pytest.raises(RuntimeError, match="no picture left"):
        long.step()


def test_what_cannot_be_batched_is_refused_before_anything_moves() -> None:
    network = tiny_network()
    session, stranger = opener(network)(SIZES[0]), opener(tiny_network())(SIZES[0])
    batcher = Batcher(network)
    with pytest.raises(ValueError, match="another network"):
        batcher.begin_clips([(session, noise(1)), (stranger, noise(1))])
    with pytest.raises(RuntimeError, match="no picture left"):
        session.step()
    batcher.begin_clips([(session, noise(1))])
    with pytest.raises(RuntimeError, match="were not stepped"):
        batcher.begin_clips([(opener(network)(SIZES[0]), noise(1)), (session, noise(1))])
    with pytest.raises(ValueError, match="named twice"):
        batcher.step([session, session])
    assert batcher.step([session]) == [{}]
