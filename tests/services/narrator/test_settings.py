"""What the narrator's variables mean."""

from typing import get_args

import pytest

from modeling.pixelrefer.compression import COMPRESSIONS
from modeling.pixelrefer.profile import EMBEDDED, PUBLISHED
from services.narrator.settings import Compression, load_narrator_settings
from services.settings import SettingsError

PREFIX = "STREAMREFER_NARRATOR_"


def test_the_captioner_is_told_nothing_of_the_past_unless_asked_for() -> None:
    assert load_narrator_settings({}).asking(EMBEDDED).history is None


def test_history_is_chosen_for_all_cameras_or_for_some() -> None:
    every = load_narrator_settings(
        {f"{PREFIX}HISTORY": "previous", f"{PREFIX}HISTORY_CAMERAS": '{"a": "none"}'}
    )
    some = load_narrator_settings({f"{PREFIX}HISTORY_CAMERAS": '{"a": "previous"}'})
    line = "Previous caption: a red car stops"
    assert every.asking(EMBEDDED).history_line("b", "a red car stops") == line
    assert every.asking(EMBEDDED).history_line("a", "a red car stops") == ""
    assert some.asking(EMBEDDED).history_line("a", "a red car stops") == line
    assert some.asking(EMBEDDED).history_line("b", "a red car stops") == ""


@pytest.mark.parametrize("value", ["nonsense", '{"a": "always"}', "[1]"])
def test_a_wrong_choice_is_named(value: str) -> None:
    with pytest.raises(SettingsError, match=f"{PREFIX}HISTORY_CAMERAS"):
        load_narrator_settings({f"{PREFIX}HISTORY_CAMERAS": value})


def test_compression_is_chosen_for_all_cameras_or_for_some() -> None:
    asking = load_narrator_settings(
        {
            f"{PREFIX}SCENE_FRAMES": "16",
            f"{PREFIX}COMPRESSION": "4x4+carry",
            f"{PREFIX}COMPRESSION_CAMERAS": '{"a": "4x4"}',
        }
    ).asking(EMBEDDED)
    assert (asking.scene_frames, asking.compression_of("a"), asking.compression_of("b")) == (
        16,
        "4x4",
        "4x4+carry",
    )
    plain = load_narrator_settings({}).asking(EMBEDDED)
    assert (plain.scene_frames, plain.compression_of("a")) == (0, "published")
    with pytest.raises(SettingsError, match=f"{PREFIX}COMPRESSION"):
        load_narrator_settings({f"{PREFIX}COMPRESSION": "8x8"})


def test_the_choices_are_those_of_the_captioner() -> None:
    assert get_args(Compression) == tuple(COMPRESSIONS)


def test_pictures_are_as_the_captioner_wants_them_unless_settings_say_otherwise() -> None:
    plain, chosen = (
        load_narrator_settings({f"{PREFIX}{name}": value for name, value in given.items()})
        for given in ({}, {"SCENE_FRAMES": "0", "MAX_NEW_TOKENS": "20"})
    )
    for profile in (EMBEDDED, *PUBLISHED.values()):
        asking = plain.asking(profile)
        shown = (asking.frames, asking.neighbours, asking.long_side_px, asking.scene_frames)
        wanted = (profile.frames, profile.neighbours, profile.long_side_px, profile.scene_frames)
        assert shown == wanted and asking.max_new_tokens == profile.max_new_tokens
        assert (asking.questions, asking.prompt_version) == (profile.questions, profile.prompt_version)
        less = chosen.asking(profile)
        assert (less.scene_frames, less.max_new_tokens, less.frames) == (0, 20, profile.frames)
