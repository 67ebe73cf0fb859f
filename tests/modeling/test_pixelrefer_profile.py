"""How a captioner wants to be asked: told by its folder, kept with its weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from modeling.pixelrefer.profile import EMBEDDED, PUBLISHED, Profile, profile_of, write_profile
from modeling.pixelrefer.questions import LONG_SIDE_PX, MAX_FRAMES, MOST_NEIGHBOURS, PROMPT_VERSION
from tests.modeling.tiny_captioner import write_tiny

BYTES = Path(__file__).parents[1] / "data" / "parity" / "pixelrefer" / "tokenizer"


def test_the_embedded_profile_is_what_it_was_trained_with() -> None:
    trained = (MAX_FRAMES, MOST_NEIGHBOURS, LONG_SIDE_PX, PROMPT_VERSION)
    assert trained == (EMBEDDED.frames, EMBEDDED.neighbours, EMBEDDED.long_side_px, EMBEDDED.prompt_version)
    assert not EMBEDDED.any_question


@pytest.mark.parametrize("framework", ["pixelrefer", "pixelreferlite"])
def test_a_tokenizer_of_bytes_means_a_published_checkpoint(tmp_path: Path, framework: str) -> None:
    write_tiny(tmp_path, framework)  # type: ignore[arg-type]
    assert profile_of(tmp_path) == replace(EMBEDDED, framework=framework)
    (tmp_path / "tokenizer.json").unlink()
    for file in BYTES.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert profile_of(tmp_path) == PUBLISHED[framework]  # type: ignore[index]


def test_weights_keep_the_profile_they_were_trained_with(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    older = replace(EMBEDDED, frames=3, prompt_version="0")
    write_profile(tmp_path, older)
    assert profile_of(tmp_path) == older
    assert Profile.from_json(json.loads(json.dumps(older.to_json())) | {"of tomorrow": 1}) == older


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        ({"frames": 0}, "frames must be a whole number of at least 1"),
        ({"long_side_px": "320"}, "long_side_px must be"),
        ({"questions": "none"}, "unknown framework or questions"),
        ([], "profile must be an object"),
    ],
)
def test_a_profile_that_means_nothing_is_refused(tmp_path: Path, block: object, fault: str) -> None:
    write_tiny(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"profile": block}))
    with pytest.raises(ValueError, match=fault):
        profile_of(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    write_tiny(tmp_path)
    for name in ("tokenizer.json", "config.json"):
        (tmp_path / name).write_text(content, encoding="latin-1")
        with pytest.raises(ValueError, match=name):
            profile_of(tmp_path)
