"""How a camera's settings become the narrator's questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.cameras import CameraSettings
from modeling.pixelrefer.instructions import INSTRUCTIONS_VERSION, STYLES
from modeling.pixelrefer.questions import PROMPT_VERSION, question
from services.captioner import PROMPTS, takes_any_question
from services.narrator.settings import NarratorSettings
from services.narrator.wording import asking_by_camera, asking_for
from services.settings import Settings, SettingsError

BASE = NarratorSettings(name="n").asking()
BYTES = Path(__file__).parents[2] / "data" / "parity" / "pixelrefer" / "tokenizer"


def camera(**wording) -> CameraSettings:
    return CameraSettings(camera_id="yard", source="a", created_at=1.0, **wording)


def test_styles_choose_among_the_embedded_captioners_questions() -> None:
    for settings, kind in ((None, "detail"), (camera(), "detail"), (camera(style="short"), "brief")):
        asking = asking_for(settings, BASE, any_question=False)
        assert asking.question(3.84, 0) == question(kind, 3.84)  # type: ignore[arg-type]
        assert (asking.prompt_id, asking.prompt_version) == (kind, PROMPT_VERSION)
        assert asking.style == (settings.style if settings else "detailed")
        assert asking.max_new_tokens == BASE.max_new_tokens


def test_an_instruction_never_reaches_a_captioner_that_cannot_follow_it() -> None:
    asking = asking_for(camera(instruction="look for helmets", language="de"), BASE, any_question=False)
    assert asking.question(4.0, 0) == question("detail", 4.0)


def test_an_instruction_and_its_language_are_asked_and_named() -> None:
    plain, own, other = (
        asking_for(camera(**wording), BASE, any_question=True)
        for wording in (
            {"style": "short"},
            {"style": "short", "instruction": "Sag, ob <region> einen Helm trägt.", "language": "de-AT"},
            {"style": "short", "instruction": "Sag die Farbe.", "language": "de-AT"},
        )
    )
    assert plain.question(4.0, 0) == STYLES["short"] and plain.prompt_id == "short"
    assert own.question(4.0, 0) == f"{STYLES['short']} Sag, ob einen Helm trägt. Answer in German."
    assert own.question(4.0, 2).count("<region>") == 3, "neighbours have their place"
    assert own.prompt_id.startswith("instruction-") and own.prompt_id != other.prompt_id
    assert own.prompt_version == INSTRUCTIONS_VERSION and own.style == "short"


def test_each_camera_is_asked_by_its_settings_of_the_moment() -> None:
    cameras = {"yard": camera(style="short")}
    asking_of = asking_by_camera(cameras.get, BASE, any_question=False)
    assert asking_of("yard").prompt_id == "brief" and asking_of("gate").prompt_id == "detail"
    cameras["yard"] = camera()
    assert asking_of("yard").prompt_id == "detail"


def test_the_served_weights_tell_what_can_be_asked(tmp_path: Path) -> None:
    known = Settings()
    assert not takes_any_question(known, {})
    assert takes_any_question(known, {"STREAMREFER_CAPTIONER": str(BYTES)})
    assert not takes_any_question(known, {"STREAMREFER_CAPTIONER": str(tmp_path)}), "no promise about nothing"
    assert takes_any_question(known, {PROMPTS: "any"})
    assert not takes_any_question(known, {PROMPTS: "own", "STREAMREFER_CAPTIONER": str(BYTES)})
    with pytest.raises(SettingsError, match="'any' or 'own', not 'some'"):
        takes_any_question(known, {PROMPTS: "some"})
