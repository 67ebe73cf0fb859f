"""Which clips show which tracks of late."""

from __future__ import annotations

import pytest

from contracts.clips import ClipFrame, ClipRecord, SourceRange
from contracts.tracks import Rle, TrackFrame, TrackUpdate
from pipelines.recent import CLIPS_KEPT, NoEvidence, RecentClips


def record(index: int, camera: str = "cam", epoch: int = 7, width_px: int = 64) -> ClipRecord:
    begin = 100.0 + 4 * index
    return ClipRecord(
        clip_id=f"{camera}-{epoch}-c{index}",
        camera_id=camera,
        epoch=epoch,
        index=index,
        start_s=begin,
        end_s=begin + 4,
        frames=[ClipFrame(index=i, pts_s=i / 4, time_s=begin + i / 4) for i in range(16)],
        width_px=width_px,
        height_px=48,
        closed_by="full",
        source=SourceRange(partition=0, first_offset=0, last_offset=0),
        evidence_ref=f"clips/{camera}/{epoch}/{index}/evidence.safetensors",
        track_ids=[],
        model="fake",
        captured_at=begin + 4,
        committed_at=begin + 5,
    )


def update(index: int, track_id: str, frames: int = 1, epoch: int = 7, state: str = "active") -> TrackUpdate:
    seen = TrackFrame(
        time_s=1, pts_s=0, box=(0, 0, 1, 1), area=0.1, score=1, mask=Rle(height=1, width=1, counts=[0, 1])
    )
    return TrackUpdate(
        track_id=track_id,
        camera_id="cam",
        epoch=epoch,
        clip_id=f"cam-{epoch}-c{index}",
        clip_index=index,
        state=state,  # type: ignore[arg-type]
        frames=[seen] * frames,
    )


def filled(*clips: list[str]) -> RecentClips:
    recent = RecentClips()
    for index, tracks in enumerate(clips):
        for track in tracks:
            recent.track(update(index, track))
        recent.clip(record(index))
    return recent


def chosen(recent: RecentClips, *tracks: str, most_clips: int = 4) -> list[int]:
    return [found.index for found in recent.choose("cam", tracks, most_clips)]


def test_the_newest_clip_that_shows_all_of_them_is_chosen() -> None:
    recent = filled(["a", "b"], ["a", "b"], ["a"], [])
    assert chosen(recent, "a") == [2]
    assert chosen(recent, "a", "b") == chosen(recent, "b", "a") == [1]


def test_objects_never_seen_together_need_a_clip_each() -> None:
    recent = filled(["b"], ["a"], ["a"])
    assert chosen(recent, "a", "b") == [0, 2]
    with pytest.raises(NoEvidence, match="shows a and b together") as refusal:
        chosen(recent, "a", "b", most_clips=1)
    assert refusal.value.code == "not_together"


def test_clips_of_other_epochs_or_sizes_are_not_mixed() -> None:
    recent = filled(["b"])
    recent.track(update(1, "a", epoch=8))
    recent.clip(record(1, epoch=8))
    with pytest.raises(NoEvidence, match="together"):
        chosen(recent, "a", "b")


def test_objects_without_a_picture_have_no_evidence() -> None:
    recent = filled(["a"])
    recent.track(update(0, "hidden", frames=0))
    recent.track(update(0, "unsure", state="tentative"))
    for track in ("hidden", "unsure"):
        with pytest.raises(NoEvidence, match=f"shows {track}") as refusal:
            chosen(recent, "a", track)
        assert refusal.value.code == "no_evidence"


def test_short_numbers_mean_the_newest_track_of_that_number() -> None:
    recent = filled(["cam-5-0003"], ["cam-7-0003", "cam-7-0012"])
    assert recent.resolve("cam", "3") == recent.resolve("cam", "#0003") == "cam-7-0003"
    assert recent.resolve("cam", "cam-5-0003") == "cam-5-0003"
    for name in ("4", "#", "", "cam-7-000", "-3"):
        with pytest.raises(NoEvidence, match="has no object") as refusal:
            recent.resolve("cam", name)
        assert refusal.value.code == "object_unknown"


def test_memory_is_bounded_and_removed_cameras_are_forgotten() -> None:
    recent = filled(*([f"t-{index}"] for index in range(CLIPS_KEPT + 5)))
    assert chosen(recent, f"t-{CLIPS_KEPT + 4}") == [CLIPS_KEPT + 4]
    with pytest.raises(NoEvidence):
        chosen(recent, "t-4")
    recent.forget("cam")
    with pytest.raises(NoEvidence):
        chosen(recent, f"t-{CLIPS_KEPT + 4}")
