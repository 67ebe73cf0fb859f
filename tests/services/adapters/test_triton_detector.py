"""A detector on a real Triton: boxes by name, words, and a tracker that goes on whatever becomes of it."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient

from modeling.sam2.segmenter import load_segmenter
from operators.masks import box_of, box_overlap
from operators.track import Tracker, TrackSettings
from operators.types import Clip, Frame, TrackedClip
from services.adapters.triton_detector import (
    FIRST_PAUSE_S,
    DetectorUnavailable,
    NoDetector,
    TritonDetector,
    ask_about,
)
from services.detectors import DETECTOR
from services.engines.stack import running_stack
from services.gateway.finding import checked_words
from services.gateway.problems import Problem
from services.tracker.settings import EMBEDDED
from tests.fakes.blob_detector import NAMES, make_blob_detector
from tests.fakes.segmenter import ColourSegmenter
from tests.fakes.tiny_captioner import make_tiny_captioner

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0  # of tests on a busy machine; the tracker's own is a second
RED, GREEN = (220, 20, 20), (20, 200, 30)
Open = Callable[..., TritonDetector]


def picture(red_x: int = 30, ground: int = 0) -> np.ndarray:
    """A red square and a green one on black or grey, 160x96."""
    pixels = np.full((96, 160, 3), ground, np.uint8)
    pixels[20:50, red_x : red_x + 30] = RED
    pixels[50:80, 110:140] = GREEN
    return pixels


@pytest.fixture(scope="module")
def url(folder) -> Iterator[str]:
    """Triton as `streamrefer up` starts it, with a captioner and a detector that was chosen by its folder."""
    with ExitStack() as stay:
        with pytest.MonkeyPatch.context() as patch:  # not for other engines of the session
            patch.setenv("STREAMREFER_CAPTIONER", str(make_tiny_captioner(folder("captioner"))))
            patch.setenv(DETECTOR, str(make_blob_detector(folder("detectors") / "blobs")))
            stack = stay.enter_context(running_stack(folder("triton"), {"triton"}))
        yield stack.settings.triton_url


@pytest.fixture
def opened() -> Iterator[Open]:
    made: list[TritonDetector] = []

    def open_detector(url: str, name: str = "", deadline_s: float = PATIENCE_S, **more) -> TritonDetector:
        made.append(TritonDetector(url, name, deadline_s, **more))
        return made[-1]

    yield open_detector
    for detector in made:
        detector.close()


def clips(count: int, ground: int = 0) -> list[Clip]:
    """The red square moves to the right."""
    made = []
    for index in range(count):
        frames = tuple(
            Frame(
                picture(20 + 2 * (index * 8 + at), ground), at / 4, 1000 + index * 2 + at / 4, index * 8 + at
            )
            for at in range(8)
        )
        made.append(Clip("yard", 1, index, frames, 1000 + 2 * index, 1002 + 2 * index, "full"))
    return made


def assert_red_only(done: list[TrackedClip]) -> None:
    """One track, and its masks lie on the red square."""
    assert sum(len(clip.opened) for clip in done) == 1
    for frame, mask in zip(done[-1].clip.frames, done[-1].masklets[0].masks, strict=True):
        red = (frame.pixels == RED).all(axis=2)
        assert box_overlap(box_of(mask), box_of(red)) > 0.6


@pytest.mark.connected
def test_it_finds_things_by_their_names(url: str, opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    detector = opened(url, "blobs")
    found = detector.propose(picture())
    assert found is not None and {item.label for item in found} == set(NAMES)
    red = next(item for item in found if item.label == "red thing")
    np.testing.assert_allclose(red.box * (160, 96, 160, 96), [30, 20, 60, 50], atol=4)
    assert [item.label for item in detector.propose(picture(), ["Green things", "dragon"]) or ()] == [
        "green thing"
    ]
    assert detector.propose(np.zeros_like(picture())) == []
    for _ in range(3):
        assert detector.propose(picture(), ["dragon"]) is None
    told = [r.getMessage() for r in caplog.records if "dragon" in r.getMessage()]
    assert len(told) == 2, "once for each wish"
    assert told[-1].startswith("detector blobs knows no dragon: it knows red thing, green thing")
    again = detector.propose(picture()) or ()
    assert len(again) == len(found), "words that mean nothing are no outage"


@pytest.mark.connected
def test_search_with_the_shipped_tracker_follows_what_was_asked_for(url: str, opened: Open) -> None:
    """End to end: real Triton, real detector, real segmentation network, real rules."""
    tracker = Tracker("yard", load_segmenter(EMBEDDED, "cpu", bfloat16=False)((96, 160)), TrackSettings())
    tracker.search_by(opened(url), ["red thing"])
    assert_red_only([tracker.push(clip) for clip in clips(2, ground=110)])


@pytest.mark.connected
def test_another_detector_than_the_wanted_one_is_warned_of(
    url: str, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    assert opened(url, "yolo").propose(picture())
    assert f"detector at {url} is blobs, not yolo" in caplog.text


@pytest.mark.connected
def test_words_are_checked_before_anybody_relies_on_them(url: str) -> None:
    assert checked_words(["red things", "red things"], url) == ("red things",)
    assert checked_words([], url) is None and checked_words(None, url) is None
    with pytest.raises(
        Problem, match="detector blobs knows no dragon: it knows red thing, green thing"
    ) as caught:
        checked_words(["red thing", "dragon"], url)
    assert (caught.value.status, caught.value.code) == (422, "words_unknown")


@pytest.mark.connected
def test_without_a_detector_none_is_loaded_and_words_are_refused(captioner_server, opened: Open) -> None:
    url = captioner_server.settings.triton_url
    assert opened(url).propose(picture()) is None
    with InferenceServerClient(url) as client, pytest.raises(NoDetector, match="unknown model"):
        ask_about(client, PATIENCE_S)
    with pytest.raises(Problem, match="nothing can be found by words") as caught:
        checked_words(["person"], url)
    assert caught.value.status == 422 and DETECTOR in caught.value.hint


HOSTILE = '''
import json, time
import numpy as np
import triton_python_backend_utils as pb

GOOD = [0.1, 0.1, 0.3, 0.3]

class TritonPythonModel:
    """Answers by the width of the picture."""

    def execute(self, requests):
        return [self._respond(request) for request in requests]

    def _respond(self, request):
        if set(request.requested_output_names()) == {"ABOUT"}:
            about = json.dumps({"name": "odd", "classes": ["x"], "fault": ""})
            return self._pack(ABOUT=np.array([about.encode()], object))
        width = pb.get_input_tensor_by_name(request, "PICTURE").as_numpy().shape[1]
        count, boxes = 3, np.array([[np.nan, 0, 1, 1], [0.9, 0.9, 0.1, 0.1], GOOD], np.float32)
        if width == 2:
            count, boxes = 100_000, np.tile(np.array(GOOD, np.float32), (100_000, 1))
        if width == 3:
            boxes = boxes[:2]
        if width == 4:
            raise RuntimeError("on purpose")
        if width == 5:
            time.sleep(8)
        labels = np.array([b"x", b"\\xff", b"x"] if count == 3 else [b"x"] * count, object)
        return self._pack(BOXES=boxes, SCORES=np.linspace(0.1, 1, count).astype(np.float32), LABELS=labels)

    def _pack(self, **values):
        return pb.InferenceResponse([pb.Tensor(name, value) for name, value in values.items()])
'''


@pytest.fixture(scope="module")
def hostile(folder) -> Iterator[str]:
    """A Triton of somebody's own whose detector answers nonsense."""
    models = folder("models")
    (models / "detector" / "1").mkdir(parents=True)
    config = (ROOT / "model_repo" / "detector" / "config.pbtxt").read_text()
    (models / "detector" / "config.pbtxt").write_text(config[: config.index("# The embedded Triton")])
    (models / "detector" / "1" / "model.py").write_text(HOSTILE)
    with running_stack(folder("hostile"), {"triton"}, models=models) as stack:
        yield stack.settings.triton_url


def of_width(width: int) -> np.ndarray:
    return np.zeros((8, width, 3), np.uint8)


@pytest.mark.connected
def test_hostile_answers_are_filtered_or_refused(
    hostile: str, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    good = pytest.approx([0.1, 0.1, 0.3, 0.3])
    assert [item.box.tolist() for item in opened(hostile).propose(of_width(1)) or ()] == [good]
    many = opened(hostile).propose(of_width(2))
    assert many is not None and len(many) == 64 and many[0].score == 1.0
    for width, cause in ((3, "do not belong together"), (4, "on purpose")):
        caplog.clear()
        assert opened(hostile).propose(of_width(width)) is None
        warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert len(warnings) == 1 and cause in warnings[0] and "\n" not in warnings[0]


@pytest.mark.connected
def test_a_slow_detector_is_waited_for_once_and_then_left_alone(hostile: str, opened: Open) -> None:
    clock = [0.0]
    detector = opened(hostile, deadline_s=1.5, now=lambda: clock[0])
    detector.propose(of_width(1))  # connected
    began = time.monotonic()
    assert detector.propose(of_width(5)) is None
    assert time.monotonic() - began < 7, "it gave up before the answer's eight seconds"
    again = time.monotonic()
    assert [detector.propose(of_width(5)) for _ in range(1000)] == [None] * 1000
    assert time.monotonic() - again < 1.5, "nobody waited"


class Dead:
    """A server that takes connections and never says a word."""

    def __enter__(self) -> str:
        self._server = socket.create_server(("127.0.0.1", 0))
        return f"127.0.0.1:{self._server.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.close()


def test_a_dead_triton_stops_no_tracking(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    clock = [0.0]
    with Dead() as silent:
        for url in (silent, "127.0.0.1:9"):
            caplog.clear()
            detector = opened(url, deadline_s=0.3, now=lambda: clock[0])
            tracker = Tracker("yard", ColourSegmenter(), TrackSettings())
            tracker.search_by(detector)
            done = [tracker.push(clip) for clip in clips(3)]
            assert sum(len(clip.opened) for clip in done) == 2, "by clicks and motion"
            warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
            assert len(warnings) == 1 and "searching without it, trying again in 15 s" in warnings[0]
        clock[0] += FIRST_PAUSE_S
        assert detector.propose(picture()) is None
        assert detector._ask_again_s == pytest.approx(3 * FIRST_PAUSE_S), "twice as long as before"


def test_nobody_to_tell_is_no_refusal() -> None:
    with InferenceServerClient("127.0.0.1:9") as client, pytest.raises(DetectorUnavailable):
        ask_about(client, 0.5)
    assert checked_words(["person"], "127.0.0.1:9") == ("person",)
    assert checked_words(["person"], "") == ("person",)
