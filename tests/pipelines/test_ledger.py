"""The ledger: balanced books stay quiet, and each kind of error is found and named."""

from __future__ import annotations

from contracts.clips import ClipRecord, SourceRange
from contracts.events import Gap, TrackEvent
from contracts.narrations import Narration
from contracts.segments import SegmentHeader
from pipelines.ledger import Account, accounts


def segment(start_s: float, end_s: float, seq: int = 0) -> SegmentHeader:
    return SegmentHeader(
        camera_id="yard", epoch=1, seq=seq, epoch_start_s=100, start_s=start_s, end_s=end_s, ingested_at=end_s
    )


def clip(index: int, start_s: float, end_s: float, tracks: tuple[str, ...] = ()) -> ClipRecord:
    return ClipRecord(
        clip_id=f"yard-1-c{index:06d}", camera_id="yard", epoch=1, index=index, start_s=start_s, end_s=end_s,
        frames=[], width_px=4, height_px=3, closed_by="full", evidence_ref="e", track_ids=list(tracks), model="m",
        source=SourceRange(partition=0, first_offset=0, last_offset=0), captured_at=end_s, committed_at=end_s,
    )  # fmt: skip


def gap(start_s: float, end_s: float) -> Gap:
    return Gap(
        gap_id=f"g{start_s}", camera_id="yard", epoch=1, start_s=start_s, end_s=end_s, reason="camera_lost"
    )


def event(kind: str, track: str = "t1", number: int = 0) -> TrackEvent:
    return TrackEvent(
        event_id=f"{track}-{kind}-{number}", kind=kind, track_id=track, camera_id="yard", epoch=1, clip_id="c",  # type: ignore[arg-type]
        time_s=101,
    )  # fmt: skip


def narration(clip_id: str, name: str = "n1") -> Narration:
    return Narration(
        narration_id=name, kind="new", camera_id="yard", epoch=1, track_ids=["t1"], clip_id=clip_id, text="a car",
        start_s=100, end_s=104, published_at=105,
    )  # fmt: skip


def book(segments=(), clips=(), gaps=(), events=(), narrations=()) -> Account:
    (account,) = accounts(segments, clips, gaps, events, narrations)
    return account


SEGMENTS = [segment(100, 104), segment(104, 108, 1)]


def test_clips_and_gaps_that_tile_balance() -> None:
    account = book(
        SEGMENTS, [clip(0, 100, 104, ("t1",)), clip(2, 106, 108)], [gap(104, 106)], [event("opened")]
    )
    assert account.balanced and account.clip_s == 6 and account.gap_s == 2 and account.pending_s == 0


def test_video_not_yet_tracked_is_pending_not_missing() -> None:
    account = book(SEGMENTS, [clip(0, 100, 104)])
    assert account.balanced and account.pending_s == 4


def test_a_hole_is_named_with_its_neighbours() -> None:
    account = book(SEGMENTS, [clip(0, 100, 103), clip(1, 104, 108)])
    assert account.discrepancies == ["1.000 s missing between clip yard-1-c000000 and clip yard-1-c000001"]


def test_video_lost_before_the_first_clip_is_found() -> None:
    assert "missing between the first segment" in book(SEGMENTS, [clip(0, 102, 108)]).discrepancies[0]


def test_overlapping_time_is_found() -> None:
    assert "twice" in book(SEGMENTS, [clip(0, 100, 105), clip(1, 104, 108)]).discrepancies[0]


def test_doubled_records_are_found() -> None:
    twice = book(SEGMENTS, [clip(0, 100, 108), clip(0, 100, 108)]).discrepancies
    assert "clip yard-1-c000000 was written twice" in twice


def test_a_gap_told_again_counts_once() -> None:
    assert book(SEGMENTS, [clip(0, 100, 104)], [gap(104, 107), gap(104, 108)]).balanced


def test_lives_of_tracks_are_checked() -> None:
    clips = [clip(0, 100, 108, ("t1", "t2"))]
    events = [event("opened"), event("opened", number=1), event("closed", "t3")]
    assert set(book(SEGMENTS, clips, events=events).discrepancies) == {
        "track t1 was opened 2 times",
        "track t3 was closed but never opened",
        "track t2 is in a clip but was never opened",
    }


def test_a_narration_about_no_clip_is_found() -> None:
    account = book(SEGMENTS, [clip(0, 100, 108)], narrations=[narration("yard-1-c000009")])
    assert "does not exist" in account.discrepancies[0]


def test_books_that_begin_later_may_speak_of_what_was_before() -> None:
    segments = [segment(104, 108, 1), segment(108, 112, 2)]
    clips = [clip(1, 104, 108, ("t1",)), clip(2, 108, 112, ("t1",))]
    told = [event("closed"), event("closed", "t0")]
    earlier = narration("yard-1-c000000")
    (part,) = accounts(segments, clips, (), told, [earlier], whole=False)
    assert part.balanced
    (account,) = accounts(segments, clips, (), told, [earlier])
    assert len(account.discrepancies) == 4


def test_books_that_begin_later_still_miss_what_is_missing() -> None:
    clips = [clip(1, 104, 108), clip(2, 108, 112, ("t2",))]
    late = narration("yard-1-c000009").model_copy(update={"start_s": 108.0, "end_s": 112.0})
    (account,) = accounts(SEGMENTS, clips, (), [event("closed", "t2")], [late], whole=False)
    assert any("t2 was closed but never opened" in line for line in account.discrepancies)
    assert any("t2 is in a clip but was never opened" in line for line in account.discrepancies)
    assert any("which does not exist" in line for line in account.discrepancies)
