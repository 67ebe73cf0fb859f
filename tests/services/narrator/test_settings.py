"""What the narrator's variables mean."""

import pytest

from services.narrator.settings import load_narrator_settings
from services.settings import SettingsError

PREFIX = "STREAMREFER_NARRATOR_"


def test_the_captioner_is_told_nothing_of_the_past_unless_asked_for() -> None:
    assert load_narrator_settings({}).asking().history is None


def test_history_is_chosen_for_all_cameras_or_for_some() -> None:
    every = load_narrator_settings(
        {f"{PREFIX}HISTORY": "previous", f"{PREFIX}HISTORY_CAMERAS": '{"a": "none"}'}
    )
    some = load_narrator_settings({f"{PREFIX}HISTORY_CAMERAS": '{"a": "previous"}'})
    line = "Previous caption: a red car stops"
    assert every.asking().history_line("b", "a red car stops") == line
    assert every.asking().history_line("a", "a red car stops") == ""
    assert some.asking().history_line("a", "a red car stops") == line
    assert some.asking().history_line("b", "a red car stops") == ""


@pytest.mark.parametrize("value", ["nonsense", '{"a": "always"}', "[1]"])
def test_a_wrong_choice_is_named(value: str) -> None:
    with pytest.raises(SettingsError, match=f"{PREFIX}HISTORY_CAMERAS"):
        load_narrator_settings({f"{PREFIX}HISTORY_CAMERAS": value})
