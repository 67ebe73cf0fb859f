"""The comparison of compressions in small: prompts as in service, trees as prompts, a run from clips to the table."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from modeling.pixelrefer.calibration import Calibration
from modeling.pixelrefer.checkpoint import GenerationSettings
from modeling.pixelrefer.compression import ClipRef, SceneOptions
from modeling.pixelrefer.generate import Captioner
from modeling.pixelrefer.history import previous_caption
from modeling.pixelrefer.model import PixelRefer
from modeling.pixelrefer.processor import Processor
from modeling.pixelrefer.prompt import timed_region_tag
from modeling.pixelrefer.questions import question
from modeling.pixelrefer.request import Request
from modeling.pixelrefer.speaking import Speaker
from modeling.pixelrefer.stopwatch import Stopwatch
from modeling.pixelrefer.tokenizer import TURN_END
from recipes.captioner.clips import FPS
from recipes.captioner.network import PATCHES, lite_config
from recipes.captioner.samples import IGNORED
from recipes.compare_compression import Plan, compare, lines
from recipes.compression.decoding import speak_together
from recipes.compression.network import new_scene_network, scene_tokenizer
from recipes.compression.samples import QUESTIONS, Ask, PromptMaker
from recipes.compression.scores import misled, report
from recipes.compression.settings import CLIP_FRAMES, FRAME_PX, SETTINGS, Setting, named
from synthetic.grammar import Attributes
from synthetic.language import answer

TOKENIZER = scene_tokenizer()
SAID = Attributes("ball", "red", "moves", "left")


def request(setting: Setting, last: str, begin_s: float, previous: str = "") -> Request:
    """A clip of noise, in which everything changes, with one object masked twice."""
    rng = np.random.default_rng(int(begin_s))
    masks = np.zeros((2, *FRAME_PX), np.uint8)
    masks[0, 40:80, 60:100] = masks[1, 90:102, 10:30] = 1
    asked = question("detail", CLIP_FRAMES / FPS)
    return Request(
        frames=rng.integers(0, 256, (CLIP_FRAMES, *FRAME_PX, 3), np.uint8),
        times_s=np.arange(CLIP_FRAMES) / FPS,
        masks=masks,
        mask_frames=np.array([0, 5]),
        objects=np.zeros(2, np.int64),
        instruction=f"{asked} {previous_caption(last)}" if setting.history else asked,
        scene=SceneOptions(setting.compression, clip=ClipRef("yard", f"at {begin_s}", previous, begin_s)),
    )


@pytest.mark.parametrize("name", ["none", "4x4", "4x4+carry", "4x4+carry+history"])
def test_scene_and_question_of_a_prompt_are_those_of_service(name: str) -> None:
    setting, tokens = named(name), 8
    network = PixelRefer(replace(lite_config(len(TOKENIZER)), framework="pixelrefer"))
    captioner = Captioner(network, Processor(network.config, PATCHES, TOKENIZER), TOKENIZER)
    maker = PromptMaker(TOKENIZER, tokens, network.config.vision.patch_px)
    first, last = request(setting, "", 0.0), "a red ball rolls to the left"
    second = request(setting, last, CLIP_FRAMES / FPS, "at 0.0")
    tag = len(TOKENIZER.encode(timed_region_tag([0.0, 1.2], tokens)))
    for asked, told, past in ((first, "", False), (second, last, True)):
        scene = captioner.scene(asked)
        prepared = captioner.processor.prepare(asked, scene)
        tags = sum(2 + min(tokens, int(cells.grid.sum())) for cells in prepared.views.masks)
        mine = maker.prompt("detail", setting, past, Ask([0.0, 1.2], SAID, told))
        theirs, length = prepared.ids.tolist(), maker.scene_length(setting, past)
        assert mine[:length] == theirs[:length]
        assert mine[length + tag :] == theirs[length + tags :]
        assert scene.budget.total == sum(maker.scene_counts(setting, past))


def test_each_branch_of_a_tree_is_one_prompt_with_its_answer() -> None:
    setting = named("4x4+carry+history")
    maker = PromptMaker(TOKENIZER, 8, 14)
    asks = [
        Ask([0.0, 1.5], SAID, "a red ball stays still"),
        Ask([0.8], Attributes("box", "blue", "stays"), ""),
    ]
    trees = maker.trees(setting, [(True, asks), (True, asks[:1])])
    told = [(ask, kind) for ask in asks for kind in QUESTIONS]
    ends = [at for at in range(trees.ids.shape[1]) if trees.targets[0, at] == TOKENIZER.id_of(TURN_END)]
    assert len(ends) == len(told)
    for at, (ask, kind) in zip(ends, told, strict=True):
        seen = trees.mask[0, 0, at].nonzero()[:, 0]
        whole = maker.prompt(kind, setting, True, ask) + TOKENIZER.encode(answer(kind, ask.said))
        assert trees.ids[0, seen].tolist() == whole
        assert trees.positions[0, seen].tolist() == list(range(len(whole)))
        words = trees.targets[0, seen]
        assert TOKENIZER.decode(words[words != IGNORED].tolist()) == answer(kind, ask.said)
    shared = [len(maker.prompt("detail", setting, True, ask)) for ask in asks]
    assert trees.ends.shape == (3, 2) and all(
        trees.positions[row, at] < max(shared) for row, at in trees.ends
    )


def test_answers_given_together_are_those_given_one_by_one() -> None:
    network = new_scene_network(TOKENIZER, None)
    generator = torch.Generator().manual_seed(0)
    scene, *rest = (
        torch.randn(size, network.config.language.width, generator=generator) for size in (9, 4, 6, 2)
    )
    prompts = [torch.cat((scene, branch)) for branch in rest]
    speaker = Speaker(network, TOKENIZER, GenerationSettings(), Calibration())
    with torch.inference_mode():
        alone = [speaker.speak(prompt, 6, None, Stopwatch()).ids for prompt in prompts]
    assert speak_together(network, prompts, len(scene), speaker.ends, 6) == alone
    cut = alone[1][2]
    assert speak_together(network, prompts, len(scene), {cut}, 6)[1] == alone[1][: alone[1].index(cut)]


def record(clip: str, text: str, said: Attributes, last: str = "", **flags: bool) -> dict:
    return {"clip": clip, "object": 0, "text": text, "true": asdict(said), "last": last} | (
        {"past": False, "cut": False, "scene_tokens": 4, "prompt_tokens": 20} | flags
    )


def test_scores_count_what_is_right_and_compare_the_same_clips() -> None:
    right, wrong = "a red ball rolls to the left", "a red box slides to the right"
    base = [record(str(n), right if n % 2 else wrong, SAID, past=n < 8) for n in range(40)]
    better = [record(str(n), right, SAID, past=n < 8) for n in range(40)]
    found = report(better, base)
    assert found["class"]["share"] == 1 and found["class"]["change"] == 0.5
    assert "other" not in found  # nothing to judge
    low, high = found["direction"]["change_interval"]
    assert 0.3 < low < 0.5 < high < 0.7
    assert report(base, base)["class"]["change_interval"] == [0, 0]
    assert report(better, base, "past")["class"]["cases"] == 8
    assert report(base, base)["colour"]["share"] == 1


def test_a_wrong_name_told_before_counts_where_it_is_said_again() -> None:
    base = [
        record("a", "a red ball rolls to the left", SAID),
        record("b", "a red box slides to the left", SAID),
    ]
    told = "a red box slides to the left"
    again = [record("a", told, SAID, told), record("b", "a red ball rolls to the left", SAID, told)]
    assert misled(again, base) == {"told": 2, "repeated": 1, "without": 1}
    assert misled(base, base) is None


def test_the_recipe_goes_from_clips_to_the_table_and_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recipes.compression.batches.HALVES_A_STEP", 2)
    monkeypatch.setattr("recipes.compression.answers.LONGEST_ANSWER", 3)
    monkeypatch.setattr("recipes.compression.scores.RESAMPLES", 50)
    plan = Plan(train_clips=2, held_out_clips=1, steps=2, alone=True)
    found = compare(tmp_path, None, plan)
    assert set(found["rows"]) > {setting.name for setting in SETTINGS}
    assert found["steps"] == 2
    assert found["rows"]["none (none alone)"]["scene_tokens"] == 8 * 48
    assert found["rows"]["4x4"]["scene_tokens"] == 48 + 7 * 12
    assert found["rows"]["4x4+carry"]["scene_tokens"] == 48 + 8 * 12
    state = (tmp_path / "mixture.safetensors").read_bytes()
    (tmp_path / "answers" / "mixture 4x4.jsonl").unlink()
    assert compare(tmp_path, None, plan) == found
    assert (tmp_path / "mixture.safetensors").read_bytes() == state
    assert any("4x4+carry+history" in line for line in lines(found))
