"""What the tracker's variables mean."""

from __future__ import annotations

import pytest

from services.settings import SettingsError
from services.tracker.settings import PREFIX, load_tracker_settings


def test_video_hardware_is_used_only_where_it_is_named() -> None:
    assert load_tracker_settings({}).stream().hardware.kind == "off"
    chosen = load_tracker_settings({f"{PREFIX}DECODE_HARDWARE": "cuda", f"{PREFIX}DECODE_THREADS": "3"})
    assert (chosen.stream().hardware.kind, chosen.stream().decode_threads) == ("cuda", 3)


def test_hardware_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SettingsError, match=f"{PREFIX}DECODE_HARDWARE: .*'abacus' is none of off, auto"):
        load_tracker_settings({f"{PREFIX}DECODE_HARDWARE": "abacus"})
