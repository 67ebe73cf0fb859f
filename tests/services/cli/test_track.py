"""Marks and times as they are typed; wrong ones end in one line."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from contracts.tracks import Rle
from pipelines.translate import mask_of
from services.cli.main import app
from services.cli.marking import MASK_SIDE_PX, mark_of, time_of
from services.cli.track import line_of


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(
        app, ["track", *arguments], env={"STREAMREFER_GATEWAY_URL": "http://127.0.0.1:9"}
    )


def test_every_verb_explains_itself() -> None:
    for verb in ("add", "correct", "rename", "pin", "unpin", "drop"):
        assert _run(verb, "--help").exit_code == 0, verb


def test_marks_are_sent_as_they_were_typed() -> None:
    mark = mark_of(["0.25,0.5"], ["1,0"], "0,0.1,0.5,0.9", None, ["0.1,0.1 0.2,0.3"])
    assert mark == {
        "points": [{"x": 0.25, "y": 0.5, "inside": True}, {"x": 1.0, "y": 0.0, "inside": False}],
        "strokes": [{"points": [(0.1, 0.1), (0.2, 0.3)], "inside": True}],
        "box": (0.0, 0.1, 0.5, 0.9),
    }


def test_a_mask_file_is_shrunk_and_sent_as_runs(tmp_path: Path) -> None:
    levels = np.zeros((300, 600), np.uint8)
    levels[:, 300:] = 200
    Image.fromarray(levels).save(tmp_path / "mask.png")
    sent = mark_of([], [], None, tmp_path / "mask.png", [])["mask"]
    mask = mask_of(Rle.model_validate(sent))
    assert mask.shape == (MASK_SIDE_PX // 2, MASK_SIDE_PX)
    assert mask[:, 130:].all() and not mask[:, :126].any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "yard"), "mark something"),
        (("add", "yard", "--point", "1,2,3"), "--point wants x,y"),
        (("add", "yard", "--point", "320,200"), "outside the picture"),
        (("add", "yard", "--box", "a,b,c,d"), "--box wants x0,y0,x1,y1"),
        (("add", "yard", "--box", "0.5,0,0.1,1"), "x0 < x1"),
        (("add", "yard", "--mask", "/no/such/file.png"), "--mask /no/such/file.png"),
        (("add", "yard", "--point", "0,0", "--at", "soon"), "--at wants"),
        (("add", "yard", "--point", "0,0", "--at", "25:00:00"), "--at wants"),
        (("pin", "yard", "3", "--id", "a b"), "--id takes"),
    ],
)
def test_wrong_words_end_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    answer = _run(*arguments)
    assert answer.exit_code == 2 and words in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_a_dead_gateway_is_named() -> None:
    answer = _run("drop", "yard", "3")
    assert answer.exit_code == 1 and "does not answer" in answer.stderr


def test_times_are_of_today_or_just_before_midnight() -> None:
    noon_s = datetime(2026, 3, 4, 12, 0, 0).timestamp()
    assert time_of("-2.5", noon_s) == noon_s - 2.5
    assert time_of("11:59:58.250", noon_s) == pytest.approx(noon_s - 1.75)
    assert time_of("23:59:59", noon_s) == noon_s + 43_199 - 86_400
    assert time_of("1970-01-01T00:01:00Z", noon_s) == 60.0
    assert time_of(None) is None


def test_an_answer_is_one_line() -> None:
    answer = {"code": "already_followed", "track_id": "yard-17-0003", "name": "Tom"}
    assert line_of(answer) == "#3 'Tom' already followed (yard-17-0003)"
    assert re.fullmatch(r"#3 dropped \(\S+\)", line_of({**answer, "code": "dropped", "name": None}))
