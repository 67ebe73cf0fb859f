"""The main job on real engines: a known film in; clips, tracks, words and references out, all accounted for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import jsonschema
import pytest

from contracts import topics
from contracts.narrations import Narration
from pipelines.ledger import accounts
from services.adapters.objects import ObjectsConnection, S3Objects
from services.adapters.topic_reader import Results, read_results
from services.engines.plan import APP, ENGINES, SERVICES
from services.engines.stack import Stack, running_stack
from tests.e2e.film import Film, by_track, shoot

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(600)]

SECONDS = 30.0
SEED = 19
CAMERA = "yard"
NARRATED_TIMEOUT_S = 120.0


@dataclass
class Run:
    stack: Stack
    film: Film
    results: Results


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The whole stack, fed with one film played once in real time, until its last clip is narrated."""
    film = shoot(tmp_path_factory.mktemp("film") / "yard.mp4", SEED, SECONDS)
    with running_stack(tmp_path_factory.mktemp("e2e"), ENGINES, SERVICES, app=APP) as stack:
        body = {"camera_id": CAMERA, "source": str(film.path)}
        httpx.post(f"{stack.settings.gateway_url}/v1/cameras", json=body, timeout=20).raise_for_status()
        yield Run(stack, film, _finished(stack))


def _finished(stack: Stack) -> Results:
    deadline = time.monotonic() + SECONDS + NARRATED_TIMEOUT_S
    while time.monotonic() < deadline:
        time.sleep(3)
        results = read_results(stack.settings.kafka_bootstrap)
        with_tracks = {clip.clip_id for clip in results.clips if clip.track_ids}
        dealt_with = {narration.clip_id for narration in results.narrations}
        if any(clip.closed_by == "end" for clip in results.clips) and with_tracks <= dealt_with:
            return results
    raise AssertionError(f"not finished: {len(results.clips)} clips, {len(results.narrations)} narrations")


def test_every_second_is_a_clip(run: Run) -> None:
    (book,) = accounts(
        run.results.segments, run.results.clips, run.results.gaps, run.results.events, run.results.narrations
    )
    assert book.discrepancies == []
    assert book.clip_s == pytest.approx(SECONDS, abs=0.05) and book.pending_s < 0.01 and not book.gaps


def test_the_number_of_clips_is_exact(run: Run) -> None:
    """Clips of 4 s on the sample grid: 7 whole ones and the rest."""
    assert [clip.index for clip in run.results.clips] == list(range(8))
    assert [len(clip.frames) for clip in run.results.clips[:7]] == [16] * 7


def test_the_right_objects_are_tracked(run: Run) -> None:
    lives = by_track(run.results.tracks)
    found = {track: run.film.object_of(updates) for track, updates in lives.items()}
    missed = run.film.noticeable() - set(found.values())
    assert not missed, {n: run.film.names[n] for n in missed}
    nothing = [track for track, number in found.items() if number is None]
    assert not nothing, f"tracks on nothing: {nothing}"
    assert len(run.film.noticeable()) <= len(lives) <= len(run.film.present())


def test_narrations_name_the_right_things(run: Run) -> None:
    lives = by_track(run.results.tracks)
    spoken = _spoken(run.results.narrations)
    judged = [
        (run.film.names[number], spoken.get(track, []))
        for track, updates in lives.items()
        if (number := run.film.object_of(updates)) in run.film.noticeable()
    ]
    assert judged and all(texts for _, texts in judged), "a tracked object was never spoken of"
    colours = [_mostly(colour, texts) for (colour, _), texts in judged]
    classes = [_mostly(name, texts) for (_, name), texts in judged]
    assert sum(colours) / len(colours) >= 0.9, judged
    assert sum(classes) / len(classes) >= 0.8, judged


def _spoken(narrations: list[Narration]) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for narration in narrations:
        if narration.text:
            texts.setdefault(narration.track_ids[0], []).append(narration.text)
    return texts


def _mostly(word: str, texts: list[str]) -> bool:
    """Whether the subject (first words) names it in at least half of what was said of the track."""
    subjects = [" ".join(text.lower().split()[:4]) for text in texts]
    return 2 * sum(word in subject for subject in subjects) >= len(subjects)


def test_every_message_is_valid_against_its_schema(run: Run) -> None:
    shelves = {
        topics.SEGMENTS: run.results.segments,
        topics.CLIPS: run.results.clips,
        topics.TRACKS: run.results.tracks,
        topics.EVENTS: run.results.events,
        topics.NARRATIONS: run.results.narrations,
    }
    assert run.results.unreadable == 0
    for topic in topics.TOPICS:
        schema = topic.message.model_json_schema()
        for message in shelves.get(topic.name, []):
            jsonschema.validate(json.loads(message.to_bytes()), schema)


def test_every_reference_is_stored(run: Run) -> None:
    settings = run.stack.settings
    store = S3Objects(ObjectsConnection.of(settings))
    names = [name for found in run.results.references().values() for name in found]
    assert len(names) > len(run.results.clips)
    assert [name for name in names if not store.exists(name)] == []


def test_the_page_and_its_pictures_are_served(run: Run) -> None:
    address = run.stack.settings.gateway_url
    assert "streamrefer" in httpx.get(address).text
    crop = next(update.crop_ref for update in run.results.tracks if update.crop_ref)
    picture = httpx.get(f"{address}/v1/media/{crop}")
    assert picture.status_code == 200 and picture.content[:2] == b"\xff\xd8"


def test_a_click_becomes_a_track_that_is_narrated_under_its_name(run: Run) -> None:
    """On a second camera of the same stack: from a place on the picture to words about a named object."""
    address, camera = run.stack.settings.gateway_url, "gate"
    body = {"camera_id": camera, "source": str(run.film.path), "loop": True}
    httpx.post(f"{address}/v1/cameras", json=body, timeout=20).raise_for_status()
    try:
        number, track = _click(run, camera)
        spoken = _wait_for(
            run, lambda found: [n for n in found.narrations if n.track_ids == [track] and n.text and n.name]
        )
    finally:
        httpx.delete(f"{address}/v1/cameras/{camera}", timeout=20)
    assert {narration.name for narration in spoken} == {"Tom's"}
    updates = [u for u in read_results(run.stack.settings.kafka_bootstrap).tracks if u.track_id == track]
    assert run.film.object_of(updates) == number, run.film.names[number]


def _click(run: Run, camera: str) -> tuple[int, str]:
    """Click on the largest object of the newest picture; on a slow machine again, on a newer one."""
    address = f"{run.stack.settings.gateway_url}/v1/cameras/{camera}/prompts"
    for _ in range(4):
        clip = _wait_for(run, lambda found: [c for c in found.clips if c.camera_id == camera][-1:])[0]
        number, x, y = run.film.place(clip.frames[-1].pts_s)
        asked = {"kind": "follow", "mark": {"points": [{"x": x, "y": y}]}, "at_s": clip.frames[-1].time_s}
        answer = httpx.post(address, json={**asked, "name": "Tom's", "timeout_s": 60}, timeout=90).json()
        if "track_id" in answer:
            return number, answer["track_id"]
        assert answer["code"] in ("no_answer", "too_late", "too_old"), answer
    raise AssertionError("never in time")


def _wait_for(run: Run, wanted) -> list:
    deadline = time.monotonic() + NARRATED_TIMEOUT_S
    while time.monotonic() < deadline:
        if found := wanted(read_results(run.stack.settings.kafka_bootstrap)):
            return found
        time.sleep(1)
    raise AssertionError("waited too long")
