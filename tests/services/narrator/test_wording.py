"""How a camera's settings become the narrator's questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.cameras import CameraSettings
from modeling.pixelrefer.instructions import INSTRUCTIONS_VERSION, STYLES
from modeling.pixelrefer.profile import EMBEDDED, PUBLISHED, Profile
from modeling.pixelrefer.questions import PROMPT_VERSION, question
from services.captioner import assumed_profile
from services.narrator.settings import NarratorSettings
from services.narrator.wording import asking_by_camera, asking_for
from services.settings import Settings

OWN = NarratorSettings(name="n")
BASE = OWN.asking(EMBEDDED)
LITE, SCENE = PUBLISHED["pixelreferlite"], PUBLISHED["pixelrefer"]
BYTES = Path(__file__).parents[2] / "data" / "parity" / "pixelrefer" / "tokenizer"


def camera(**wording) -> CameraSettings:
    return CameraSettings(camera_id="yard", source="a", created_at=1.0, **wording)


def test_styles_choose_among_the_embedded_captioners_questions() -> None:
    for settings, kind in ((None, "detail"), (camera(), "detail"), (camera(style="short"), "brief")):
        asking = asking_for(settings, BASE, EMBEDDED)
        assert asking.question(3.84, 0) == question(kind, 3.84)  # type: ignore[arg-type]
        assert (asking.prompt_id, asking.prompt_version) == (kind, PROMPT_VERSION)
        assert asking.style == (settings.style if settings else "detailed")
        assert asking.max_new_tokens == BASE.max_new_tokens


def test_an_instruction_never_reaches_a_captioner_that_cannot_follow_it() -> None:
    asking = asking_for(camera(instruction="look for helmets", language="de"), BASE, EMBEDDED)
    assert asking.question(4.0, 0) == question("detail", 4.0)


def test_an_instruction_and_its_language_are_asked_and_named() -> None:
    plain, own, other = (
        asking_for(camera(**wording), BASE, LITE)
        for wording in (
            {"style": "short"},
            {"style": "short", "instruction": "Sag, ob <region> einen Helm trägt.", "language": "de-AT"},
            {"style": "short", "instruction": "Sag die Farbe.", "language": "de-AT"},
        )
    )
    assert plain.question(4.0, 0) == STYLES["pixelreferlite"]["short"] and plain.prompt_id == "short"
    assert (
        own.question(4.0, 0)
        == f"{STYLES['pixelreferlite']['short']} Sag, ob einen Helm trägt. Answer in German."
    )
    assert own.question(4.0, 2).count("<region>") == 3, "neighbours have their place"
    assert own.prompt_id.startswith("instruction-") and own.prompt_id != other.prompt_id
    assert own.prompt_version == INSTRUCTIONS_VERSION and own.style == "short"


def test_each_framework_is_asked_as_it_was_trained() -> None:
    lite, scene = (asking_for(None, OWN.asking(each), each).question(4.0, 0) for each in (LITE, SCENE))
    assert lite.startswith("There is one object in the video: <region>.")
    assert "the marked object <region> in the video" in scene and lite.count("<region>") == 1


def test_each_camera_is_asked_by_its_settings_of_the_moment() -> None:
    cameras = {"yard": camera(style="short")}
    asking_of = asking_by_camera(cameras.get, lambda: EMBEDDED, OWN.asking)
    assert asking_of("yard").prompt_id == "brief" and asking_of("gate").prompt_id == "detail"
    cameras["yard"] = camera()
    assert asking_of("yard").prompt_id == "detail"


def test_each_camera_is_asked_as_the_captioner_of_the_moment_wants(
    caplog: pytest.LogCaptureFixture,
) -> None:
    serving = [EMBEDDED]
    asking_of = asking_by_camera({}.get, lambda: serving[-1], OWN.asking)
    own = asking_of("yard")
    assert own.question(4.0, 0) == question("detail", 4.0) and own.long_side_px == EMBEDDED.long_side_px
    serving.append(SCENE)
    asked = asking_of("yard")
    assert asked.question(4.0, 0) == STYLES["pixelrefer"]["detailed"] and asked.questions == "any"
    assert (asked.frames, asked.scene_frames, asked.long_side_px) == (1, 4, 1280)
    assert "goes with version" not in caplog.text
    serving.append(Profile.from_json(EMBEDDED.to_json() | {"prompt_version": "0"}))
    assert asking_of("yard").prompt_version == PROMPT_VERSION, "what was asked is what is recorded"
    assert "goes with version 0 of its questions' wording" in caplog.text


def test_weights_tell_how_to_ask_until_the_captioner_does(tmp_path: Path) -> None:
    known = Settings()
    assert assumed_profile(known, {}) == EMBEDDED
    assert assumed_profile(known, {"STREAMREFER_CAPTIONER": str(official(tmp_path))}) == SCENE
    assert assumed_profile(known, {"STREAMREFER_CAPTIONER": str(tmp_path / "none")}) == EMBEDDED


def official(folder: Path) -> Path:
    """A folder with an official checkpoint's configuration and tokenizer, and no weights."""
    (folder / "config.json").write_text('{"model_type": "pixelrefer_qwen2"}')
    for file in BYTES.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder
