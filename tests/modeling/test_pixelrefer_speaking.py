"""Greedy speech, calibrated probabilities, and names taken back where they are unsure."""

import json

import pytest
import torch

from modeling.pixelrefer.calibration import Calibration, interpolate, knots_of
from modeling.pixelrefer.checkpoint import GenerationSettings
from modeling.pixelrefer.speaking import Speaker
from modeling.pixelrefer.stopwatch import Stopwatch
from modeling.pixelrefer.tokenizer import WordTokenizer
from modeling.weights import WeightsError

WORDS = ["a", "the", "red", "duck", "box", "something", "moves", "waddles", "hits", "it", "and"]
TOKENIZER = WordTokenizer.build(WORDS)
SURE = 0.9


class Cache:
    """What a scripted network remembers: the tokens it has read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    @property
    def length(self) -> int:
        return len(self.read)

    @length.setter
    def length(self, value: int) -> None:
        del self.read[value:]


class Scripted:
    """A network that goes on as written for the words read so far: next word and its probability."""

    device = torch.device("cpu")

    def __init__(self, script: dict[str, tuple[str, float]]) -> None:
        self.script = script

    def new_cache(self, capacity: int) -> Cache:
        return Cache()

    def embed_tokens(self, ids: torch.Tensor) -> torch.Tensor:
        return ids[..., None].float()

    def decode(self, embeds: torch.Tensor, cache: Cache) -> torch.Tensor:
        cache.read += [int(value) for value in embeds[0, :, 0]]
        self.cache = cache
        return embeds

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        words = [word for word in (TOKENIZER._words[token] for token in self.cache.read[1:])]
        word, probability = self.script.get(" ".join(words), (END, SURE))
        scores = torch.full((len(TOKENIZER),), (1 - probability) / (len(TOKENIZER) - 1))
        scores[TOKENIZER.id_of(word)] = probability
        return scores.log()


def speaker_of(script: dict[str, tuple[str, float]], unsure_below: float) -> Speaker:
    names = frozenset(TOKENIZER.id_of(word) for word in ("duck", "box"))
    articles = frozenset(TOKENIZER.id_of(word) for word in ("a", "the"))
    calibration = Calibration(
        curves={TOKENIZER.id_of("duck"): ((0.0, 0.0), (1.0, 0.5))},
        names=names,
        articles=articles,
        qualifiers=frozenset({TOKENIZER.id_of("red")}),
        verbs={TOKENIZER.id_of("waddles"): TOKENIZER.id_of("moves")},
        unsure_below=unsure_below,
        instead=TOKENIZER.id_of("something"),
    )
    return Speaker(Scripted(script), TOKENIZER, GenerationSettings(), calibration)


PROMPT = torch.tensor([[float(TOKENIZER.id_of("a"))]])


def say(script, unsure_below: float, limit: int = 10, heard=None, is_nameless=lambda: False):
    speaker = speaker_of(script, unsure_below)
    pieces: list[str] = []

    def listen(piece: str, probability: float) -> bool:
        pieces.append(piece)
        return heard is None or len(pieces) < heard

    spoken = speaker.speak(PROMPT, limit, listen, Stopwatch(), is_nameless)
    return TOKENIZER.decode(spoken.ids), spoken, pieces


END = "<|im_end|>"
SCRIPT = {
    "": ("a", SURE),
    "a": ("red", SURE),
    "a red": ("duck", 0.8),
    "a red duck": ("waddles", SURE),
    "a red duck waddles": (END, SURE),
}


def test_a_sure_name_is_spoken_with_its_calibrated_probability() -> None:
    text, spoken, pieces = say(SCRIPT, unsure_below=0.3)
    assert text == "a red duck waddles" and spoken.finish == "stop"
    assert spoken.probabilities == pytest.approx([0.9, 0.9, 0.4, 0.9], abs=1e-5)
    assert "".join(pieces) == text


def test_an_unsure_name_is_taken_back_before_anybody_heard_it() -> None:
    text, spoken, pieces = say(SCRIPT, unsure_below=0.5)
    assert text == "something red moves", "what a duck does would give its name away"
    assert spoken.probabilities == pytest.approx([1.0, 0.9, 0.9], abs=1e-5)
    assert "".join(pieces) == text


def test_an_unsure_partner_is_taken_back_too() -> None:
    script = SCRIPT | {
        "a red": ("box", SURE),
        "a red box": ("hits", SURE),
        "a red box hits": ("the", SURE),
        "a red box hits the": ("duck", 0.8),
        "a red box hits the duck": ("waddles", SURE),
    }
    text, _, pieces = say(script, unsure_below=0.5)
    assert text == "a red box hits something waddles", "only the first thing's verb is changed"
    assert "".join(pieces) == text


@pytest.mark.parametrize("after", ["moves", END])
def test_a_name_that_is_left_out_becomes_something(after: str) -> None:
    text, spoken, pieces = say(SCRIPT | {"a red": (after, SURE)}, unsure_below=0.0)
    assert text == ("something red moves" if after == "moves" else "something red")
    assert spoken.finish == "stop"
    assert "".join(pieces) == text


def test_something_is_given_no_name() -> None:
    script = {
        "": ("something", SURE),
        "something": ("red", SURE),
        "something red": ("duck", SURE),
    }
    text, _, _ = say(
        script | {"something red a": (END, SURE), "something red the": (END, SURE)}, unsure_below=0.0
    )
    assert text.startswith("something red") and "duck" not in text


@pytest.mark.parametrize(("nameless", "told"), [(True, "it moves and hits"), (False, "it waddles and hits")])
def test_what_is_only_called_it_moves_plainly_if_it_has_no_name(nameless: bool, told: str) -> None:
    script = {
        "": ("it", SURE),
        "it": ("waddles", SURE),
        "it waddles": ("and", SURE),
        "it waddles and": ("hits", SURE),
    }
    asked: list[bool] = []

    def is_nameless() -> bool:
        asked.append(True)
        return nameless

    assert say(script, unsure_below=0.3, is_nameless=is_nameless)[0] == told
    assert len(asked) == 1, "the name is looked for only where the verb tells it"
    asked.clear()
    assert say(SCRIPT, unsure_below=0.3, is_nameless=is_nameless)[0] == "a red duck waddles"
    assert say(SCRIPT, unsure_below=0.5, is_nameless=is_nameless)[0] == "something red moves"
    assert not asked, "an answer with a name of its own need not look for one"


@pytest.mark.parametrize(("unsure_below", "nameless"), [(0.3, False), (0.5, True)])
def test_what_begins_with_something_has_no_name(unsure_below: float, nameless: bool) -> None:
    assert speaker_of(SCRIPT, unsure_below).begins_with_something(PROMPT) is nameless


def test_something_is_said_once() -> None:
    script = {"": ("something", SURE), "something": ("something", SURE), "something something": ("red", SURE)}
    assert say(script, unsure_below=0.0)[0] == "something red"


def test_an_article_that_begins_no_name_stays() -> None:
    script = SCRIPT | {"a red duck waddles": ("the", SURE), "a red duck waddles the": ("hits", SURE)}
    text, _, _ = say(script | {"a red duck waddles the hits": (END, SURE)}, unsure_below=0.3)
    assert text == "a red duck waddles the hits"


def test_what_is_still_held_back_is_told_at_the_end_of_the_room() -> None:
    text, spoken, pieces = say(SCRIPT, unsure_below=0.5, limit=2)
    assert text == "a red" and spoken.finish == "length"
    assert "".join(pieces) == text


def test_a_listener_may_stop_at_the_end_of_a_name() -> None:
    _, spoken, pieces = say(SCRIPT, unsure_below=0.3, heard=2)
    assert spoken.finish == "cancelled" and len(pieces) == 2


def test_curves_are_straight_between_knots_and_level_outside() -> None:
    knots = knots_of([[0.2, 0.1], [0.6, 0.5], [0.9, 0.95]])
    found = [interpolate(knots, raw) for raw in (0.0, 0.2, 0.4, 0.6, 1.0)]
    assert found == pytest.approx([0.1, 0.1, 0.3, 0.5, 0.95])


@pytest.mark.parametrize("knots", [[], [[0.5, 0.5], [0.4, 0.6]], [[0.1, 0.9], [0.4, 0.6]], [[0.1, 1.2]]])
def test_curves_that_do_not_rise_are_refused(knots: list) -> None:
    with pytest.raises(ValueError, match="rise"):
        knots_of(knots)


def test_a_calibration_is_read_from_its_folder(tmp_path) -> None:
    content = {
        "curves": [{"words": ["duck", "box"], "knots": [[0.0, 0.1], [1.0, 0.9]]}],
        "caution": {
            "names": ["duck"],
            "articles": ["a", "the"],
            "unsure_below": 0.5,
            "instead": "something",
        },
    }
    (tmp_path / "calibration.json").write_text(json.dumps(content))
    calibration = Calibration.load(tmp_path, TOKENIZER)
    duck, box, red = (TOKENIZER.id_of(word) for word in ("duck", "box", "red"))
    assert calibration.probability(duck, 0.5) == pytest.approx(0.5)
    assert calibration.probability(red, 0.3) == 0.3
    assert calibration.unsure(duck, 0.4) and not calibration.unsure(duck, 0.6)
    assert not calibration.unsure(box, 0.1)


def test_a_bad_calibration_file_is_named(tmp_path) -> None:
    (tmp_path / "calibration.json").write_text('{"curves": [{"words": ["duck"]}]}')
    with pytest.raises(WeightsError, match="calibration.json is no calibration"):
        Calibration.load(tmp_path, TOKENIZER)


def test_a_folder_without_the_file_changes_nothing(tmp_path) -> None:
    calibration = Calibration.load(tmp_path, TOKENIZER)
    assert calibration.probability(3, 0.25) == 0.25 and not calibration.unsure(3, 0.0)
