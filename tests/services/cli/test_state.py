"""``streamrefer state`` on a real checkpoint of the embedded tracker, from a file and from the object store."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from modeling.sam2.segmenter import load_segmenter
from operators.track import Request, Tracker, TrackSettings
from operators.types import Clip, Frame, Prompt
from pipelines.checkpoint import part_name
from pipelines.snapshot import Packed, pack
from services.adapters.objects import ObjectsConnection, S3Objects
from services.cli.main import app
from services.settings import Settings
from services.tracker.settings import EMBEDDED

FRAMES = 3


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["state", *arguments])


@pytest.fixture(scope="module")
def checkpoint() -> Packed:
    """After one clip of noise in which a person pointed at one object."""
    tracker = Tracker(
        "yard", load_segmenter(EMBEDDED, "cpu")((30, 40)), TrackSettings(grid_every=0, motion_every=0)
    )
    pixels = np.random.default_rng(1).integers(0, 255, (60, 80, 3), np.uint8)
    frames = tuple(Frame(pixels, at / 4, at / 4, at) for at in range(FRAMES))
    mask = np.zeros((30, 40), bool)
    mask[6:21, 8:24] = True
    tracker.push(Clip("yard", 2, 0, frames, 0.0, FRAMES / 4, "full"), [Request(Prompt(mask=mask))])
    return pack(tracker.snapshot())


@pytest.fixture
def file(checkpoint: Packed, tmp_path: Path) -> Path:
    """The main object with its parts beside it, as copied from a store."""
    (tmp_path / "parts").mkdir()
    for name, data in checkpoint.parts.items():
        (tmp_path / "parts" / name).write_bytes(data)
    (tmp_path / "checkpoint").write_bytes(checkpoint.main)
    return tmp_path / "checkpoint"


def test_a_file_is_told_to_people_and_to_programs(checkpoint: Packed, file: Path) -> None:
    facts = json.loads(run("inspect", str(file), "--json").output)
    assert facts["camera_id"] == "yard" and facts["epoch"] == 2 and facts["next_step"] == FRAMES
    (track,) = facts["tracks"]
    assert track["track_id"] == "yard-2-0001" and track["born_step"] == 0
    assert track["memory"]["anchors"] > 1000 and track["memory_bytes"] < facts["bytes"]
    assert facts["parts"] == {name: len(data) for name, data in checkpoint.parts.items()}
    assert facts["parts"][track["picture"]] > 1000 and facts["main_bytes"] == len(checkpoint.main)
    told = run("inspect", str(file))
    assert told.exit_code == 0 and "yard-2-0001" in told.output and "1 tracks" in told.output
    assert all(name[:30] in told.output for name in checkpoint.parts)


def test_a_part_that_is_missing_is_said_to_be(checkpoint: Packed, file: Path) -> None:
    for part in (file.parent / "parts").iterdir():
        part.unlink()
    facts = json.loads(run("inspect", str(file), "--json").output)
    assert set(facts["parts"].values()) == {None} and facts["model"] is None
    assert facts["tracks"][0]["track_id"] == "yard-2-0001"
    assert "missing" in run("inspect", str(file)).output


@pytest.mark.parametrize("damage", [lambda it: b"", lambda it: it[: len(it) // 2], lambda it: b"no" + it])
def test_what_is_no_checkpoint_is_refused_in_one_line(file: Path, damage) -> None:
    file.write_bytes(damage(file.read_bytes()))
    result = run("inspect", str(file))
    assert result.exit_code == 2 and len(result.output.strip().splitlines()) == 1
    assert "tracker state" in result.output


@pytest.mark.connected
def test_stored_checkpoints_are_listed_and_read(
    checkpoint: Packed, s3: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("s3_endpoint", "s3_access_key", "s3_secret_key", "s3_bucket"):
        value = getattr(s3, name)
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        monkeypatch.setenv(f"STREAMREFER_{name.upper()}", plain)
    store = S3Objects(ObjectsConnection.of(s3))
    store.ensure_bucket()
    store.put("checkpoints/state-test/2-000000-750.safetensors", checkpoint.main)
    for name, data in checkpoint.parts.items():
        store.put(part_name("state-test", name), data)
    listed = run("list", "--camera", "state-test")
    assert listed.output.split() == ["checkpoints/state-test/2-000000-750.safetensors"]
    facts = json.loads(run("inspect", listed.output.strip(), "--json").output)
    assert (
        facts["camera_id"] == "yard" and facts["next_step"] == FRAMES and None not in facts["parts"].values()
    )
    nobody = run("list", "--camera", "nobody")
    assert nobody.exit_code == 1 and "no checkpoint of camera nobody" in nobody.output
    missing = run("inspect", "checkpoints/nobody/1")
    assert missing.exit_code == 2 and "neither a file nor a stored object" in missing.output
