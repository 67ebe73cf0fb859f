"""Every benchmark from files in its published format to scores, with a real network of random weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recipes import evaluate_videorefer
from recipes.benchmarks import scenes
from recipes.benchmarks.answers import AnswersError, answer_all
from recipes.benchmarks.eoc_bench import eoc_scores, letters_of, time_score
from recipes.benchmarks.items import FormatError, Item, Reading, Seen
from recipes.benchmarks.masks import BoxShape
from recipes.benchmarks.scenes import Showing, request_of
from recipes.benchmarks.videorefer_bench import choice_scores, letter_of
from recipes.evaluate_videorefer import TASKS, folder_of, run_task
from services.tiers import TierUnusable
from tests.modeling.tiny_captioner import write_tiny
from tests.recipes import benchmark_files

LITE = Showing("pixelreferlite", long_side_px=128)
SCENE = Showing("pixelrefer", fps=2.0, long_side_px=128)


@pytest.fixture(scope="module", params=["pixelreferlite", "pixelrefer"])
def weights(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    return write_tiny(tmp_path_factory.mktemp("weights"), request.param)


def run(task: str, data: Path, weights: Path, *more: str) -> dict:
    given = ["--task", task, "--data", str(data), "--weights", str(weights), "--out", str(data / "out")]
    return run_task(evaluate_videorefer._parser().parse_args([*given, "--max-new-tokens", "4", *more]))


def items(task: str, data: Path, framework: str = "pixelrefer", masks: str = "single") -> list[Item]:
    return list(TASKS[task].read(data, Reading(framework, masks)))


def test_bench_d_writes_answers_and_goes_on(tmp_path: Path, weights: Path) -> None:
    benchmark_files.bench_d(tmp_path)
    result = run("bench-d", tmp_path, weights)
    assert (result["answered"], result["failed"], result["judged"], result["scores"]) == (1, 1, 0, {})
    assert "two.mkv" in result["faults"][0]
    before = (tmp_path / "out" / "bench-d.jsonl").read_text()
    benchmark_files.film(tmp_path / "Panda-70M-part" / "two.mkv")
    with (tmp_path / "out" / "bench-d.jsonl").open("a") as file:
        file.write('{"key": "cut')
    assert run("bench-d", tmp_path, weights)["answered"] == 2
    after = (tmp_path / "out" / "bench-d.jsonl").read_text()
    assert after.startswith(before) and len(after.splitlines()) == 2
    assert run("bench-d", tmp_path, weights, "--limit", "1")["answered"] == 1
    with pytest.raises(AnswersError, match="another run"):
        run("bench-d", tmp_path, weights, "--max-frames", "5")


def test_bench_d_shows_one_mask_or_all(tmp_path: Path) -> None:
    benchmark_files.bench_d(tmp_path)
    single, every = (items("bench-d", tmp_path, masks=masks)[0] for masks in ("single", "all"))
    assert [one.picture for one in single.seen] == [9] and [one.picture for one in every.seen] == [3, 9]
    lite = request_of(every, LITE)
    assert lite.frames.shape == (2, 96, 128, 3) and lite.times_s is not None
    assert lite.times_s.tolist() == [0.375, 1.125] and lite.masks[1].sum() == 30 * 28
    scene = request_of(single, SCENE)
    assert scene.times_s is not None and scene.times_s.tolist() == [0.25, 0.75, 1.125, 1.25, 1.75, 2.25, 2.75]
    assert scene.mask_frames.tolist() == [2]
    assert len(request_of(single, Showing("pixelrefer", most_frames=3, fps=8)).frames) == 4


def test_large_pictures_are_shown_in_smaller_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "MOST_FRAME_PIXELS", 4 * 96 * 128)
    benchmark_files.film(tmp_path / "a.mkv")
    seen = [
        Seen(at, number, benchmark_files.runs(8, 12, 40, 40))
        for number in (0, 1)
        for at in range(number, 20, 3)
    ]
    item = Item("1", tmp_path / "a.mkv", "? <region> <region>", tuple(seen), "")
    lite, scene = request_of(item, LITE), request_of(item, SCENE)
    assert len(lite.frames) == 4 and lite.objects.tolist() == [0, 0, 1, 1]
    assert len(scene.frames) == 4
    single = request_of(replace(item, question="? <region>", seen=tuple(seen[:1])), SCENE)
    assert single.times_s is not None and single.times_s.tolist() == [0, 11 / 8, 23 / 8]


def test_bench_q_is_counted_by_type(tmp_path: Path, weights: Path) -> None:
    benchmark_files.bench_q(tmp_path)
    result = run("bench-q", tmp_path, weights)
    assert result["answered"] == 2 and result["failed"] == 0
    assert set(result["scores"]["per_type"]) == {"Basic Questions", "Relationship Questions"}
    about_two = items("bench-q", tmp_path)[1]
    assert request_of(about_two, LITE).object_count == 2 and "(B) Resting" in about_two.question
    assert request_of(about_two, LITE).times_s == pytest.approx([2 / 3])


def test_letters_of_answers() -> None:
    options = ["(A) A helmet", "(B) A hat", "(C) Sunglasses"]
    for text, letter in {
        "(B)": "B",
        "The answer is (C).": "C",
        "A": "A",
        "B. A hat": "B",
        "sunglasses.": "C",
        "A helmet": "A",
        "A dog": None,
        "": None,
    }.items():
        assert letter_of(text, options) == letter
    facts = {"type": "t", "options": options}
    records = [
        {"answer": text, "reference": "(B) A hat", "facts": facts} for text in ("B", "(A)", "dunno", "(B) x")
    ]
    assert choice_scores(records) == {"accuracy": 0.5, "per_type": {"t": 0.5}, "unparsed": 1}


@pytest.mark.parametrize("every", [False, True])
def test_hc_stvg_is_scored_by_caption_metrics(tmp_path: Path, weights: Path, every: bool) -> None:
    benchmark_files.hc_stvg(tmp_path, every)
    result = run("hc-stvg", tmp_path, weights)
    assert result["failed"] == 0 and set(result["scores"]) == {"cider", "meteor_exact_stem"}
    shown = request_of(items("hc-stvg", tmp_path, masks="all")[0], LITE)
    assert len(shown.masks) == (2 if every else 1)


def test_dlc_shows_a_still_picture(tmp_path: Path, weights: Path) -> None:
    benchmark_files.dlc(tmp_path)
    assert run("dlc", tmp_path, weights)["answered"] == 1
    (item,) = items("dlc", tmp_path)
    request = request_of(item, SCENE)
    assert request.times_s is None and request.masks.sum() == 32 * 28 and item.facts["class"] == "square"


def test_eoc_hides_the_marked_picture(tmp_path: Path, weights: Path) -> None:
    benchmark_files.eoc(tmp_path)
    result = run("eoc", tmp_path, weights)
    assert result["answered"] == 3 and set(result["scores"]["per_tense"]) == {"past", "present", "future"}
    single, several, timed = items("eoc", tmp_path)
    assert "letters of all" in several.question and "seconds" in timed.question
    request = request_of(single, SCENE)
    assert request.times_s is not None and request.times_s[-1] == pytest.approx(22 / 8)
    assert request.mask_frames.tolist() == [len(request.frames) - 1] and request.masks.sum() == 32 * 28


def test_eoc_answers_are_scored_by_kind() -> None:
    choices = {"A": "Move", "B": "Rest"}
    assert letters_of("<choice>A, B</choice>", choices) == {"A", "B"} == letters_of("a and b", choices)
    assert letters_of("B. Rest", choices) == {"B"} == letters_of("rest.", choices)
    assert letters_of("A red ball", choices) is None and letters_of("", choices) is None
    assert [time_score(text, "10 s") for text in ("10", "about 9.5 s", "8", "13", "20", "none")] == [
        1,
        0.75,
        0.5,
        0.25,
        0,
        0,
    ]
    assert time_score("<object 0> began 10 s ago", "10") == 1
    facts = {"kind": "Object Relationship", "timed": False, "choices": choices}
    timed = {"kind": "Absolute Time Perception", "timed": True, "choices": {}}
    records = [
        {"answer": "A", "reference": "A, B", "facts": facts},
        {"answer": "B, A", "reference": "A, B", "facts": facts},
        {"answer": "8 s", "reference": "10 s", "facts": timed},
    ]
    scores = eoc_scores(records)
    assert scores["score"] == 0.5 and scores["per_tense"] == {"past": 0.5, "present": 0.5}
    assert (scores["choices"], scores["times"], scores["unparsed"]) == (0.5, 0.5, 0)


def test_pam_events_follow_one_another(tmp_path: Path, weights: Path) -> None:
    benchmark_files.pam(tmp_path)
    result = run("pam-streaming", tmp_path, weights, "--history", "text", "--wording", "benchmark")
    assert result["answered"] == 2 and set(result["scores"]) == {"cider", "meteor_exact_stem"}
    first, second = items("pam-streaming", tmp_path)
    assert (first.key, second.key, second.reference) == ("v1/1", "v1/2", "It moves on.")
    request = request_of(second, SCENE)
    assert request.times_s is not None and request.times_s.tolist() == [4, 5]
    assert request.mask_frames.tolist() == [0] and request.masks[0, 12:36, 12:36].all()


def test_the_answer_before_is_told_within_a_video_only(tmp_path: Path) -> None:
    told: list[str] = []

    def speak(item: Item, last: str) -> str:
        told.append(last)
        return f"answer {item.key}"

    made = [
        Item(key, Path("x"), "?", (), "", {"video": video})
        for key, video in (("1", "v"), ("2", "v"), ("3", "w"))
    ]
    answers = answer_all(made, speak, tmp_path / "a.jsonl", {"weights": "w"})
    assert told == ["", "answer 1", ""] and len(answers.records) == 3
    answer_all(made, speak, tmp_path / "a.jsonl", {"weights": "w"})
    assert len(told) == 3
    with pytest.raises(AnswersError, match="two items"):
        answer_all([made[0], made[0]], speak, tmp_path / "b.jsonl", {})


def test_own_words_ask_the_question_of_service(tmp_path: Path) -> None:
    benchmark_files.bench_d(tmp_path)
    item = items("bench-d", tmp_path, "pixelreferlite", "all")[0]
    request = request_of(item, Showing("pixelreferlite", own_words=True))
    assert request.instruction.startswith("<region> until 1.0") and np.allclose(request.times_s, [0, 0.75])


@pytest.mark.parametrize(
    ("seen", "complaint"),
    [
        ((Seen(99, 0, BoxShape((0, 0, 9, 9))),), "the video has 24"),
        ((Seen(1, 0, BoxShape((500, 0, 900, 9))),), "object 0 are empty"),
        (
            (Seen(1, 0, benchmark_files.runs(0, 0, 9, 9)), Seen(2, 0, {"size": [1, 1], "counts": [0, 1]})),
            "differ",
        ),
    ],
)
def test_items_that_cannot_be_shown_say_why(tmp_path: Path, seen: tuple, complaint: str) -> None:
    benchmark_files.film(tmp_path / "a.mkv")
    with pytest.raises(FormatError, match=complaint):
        request_of(Item("1", tmp_path / "a.mkv", "?", seen, ""), LITE)


@pytest.mark.parametrize(
    ("task", "file", "content", "complaint"),
    [
        ("bench-d", "VideoRefer-Bench-D.json", {}, "list is expected"),
        ("bench-d", "VideoRefer-Bench-D.json", [{"video": "x"}], "entry 0"),
        (
            "bench-q",
            "VideoRefer-Bench-Q.json",
            [{"options": ["(A) x"], "Question": "?", "Answer": "(Z)"}],
            "'video'|frame",
        ),
        (
            "hc-stvg",
            "hc_stvg_val.json",
            [{"video": "x", "frame_idx": "a", "mask": {"size": []}}],
            "picture number",
        ),
        ("eoc", "meta_infos.json", [{"choices": {"a": "x"}}], "'answer'"),
        ("dlc", "annotations.json", {"images": []}, "qa.json"),
        ("pam-streaming", "a.jsonl", [], "image_root|list"),
    ],
)
def test_files_of_another_form_are_named(
    tmp_path: Path, task: str, file: str, content: object, complaint: str
) -> None:
    (tmp_path / file).write_text(json.dumps(content))
    with pytest.raises(FormatError, match=complaint):
        items(task, tmp_path)


def test_an_absent_data_set_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="VideoRefer-Bench-D.json"):
        items("bench-d", tmp_path)


def test_a_captioner_is_named_as_a_tier_or_as_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with pytest.raises(TierUnusable, match=r"run `streamrefer models pull pixelrefer-2b`"):
        folder_of("2b")
    stored = tmp_path / "home" / "hub" / "models--Alibaba-DAMO-Academy--PixelRefer-2B"
    snapshot = stored / "snapshots" / ("a" * 40)
    (stored / "refs").mkdir(parents=True)
    (stored / "refs" / "main").write_text("a" * 40)
    snapshot.mkdir(parents=True)
    write_tiny(snapshot, "pixelrefer")
    assert folder_of("pixelrefer-2b") == folder_of("2b") == snapshot
    benchmark_files.bench_q(tmp_path)
    assert run("bench-q", tmp_path, Path("2b"))["run"]["weights"].startswith("PixelRefer-2B@")
    assert folder_of(str(snapshot)) == snapshot and folder_of("embedded").name == "captioner-embedded"
    with pytest.raises(
        TierUnusable, match=r"'3b' is neither .* \(embedded, pixelrefer-lite-2b, pixelrefer-2b"
    ):
        folder_of("3b")
