"""The models commands on trackers, against a small hub on loopback that publishes checkpoints as they are published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from modeling.sam2.segmenter import load_segmenter
from services.adapters.hub import Hub, HubError, RemoteFile
from services.cli.main import app
from services.cli.pull_tracker import checkpoint_files
from services.engines.plan import weight_folders
from services.settings import DEFAULT_WEIGHTS, SettingsError, load_settings
from services.tiers import TierUnusable
from services.tracker.settings import load_tracker_settings
from services.tracker_tiers import TRACKERS, find_tracker, tracker_folder
from tests.fakes.hub import FakeHub, running_hub
from tests.modeling.official_sam2 import CHECKPOINT, CONFIG, write_checkpoint
from tests.services.cli.test_models import complaint, row, run

REPOSITORY = "facebook/sam2.1-hiera-tiny"
VARIABLE = "STREAMREFER_TRACKER_WEIGHTS"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A repository as the official ones are: torch file and yaml, and the same weights for another library."""
    folder = tmp_path_factory.mktemp("published")
    write_checkpoint(folder)
    other = {"config.json": b"{}", "model.safetensors": b"x" * 99, "processor_config.json": b"{}"}
    return {file.name: file.read_bytes() for file in folder.iterdir()} | other | {"README.md": b"# card"}


@pytest.fixture
def hub(published: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    older = {name: published[name] for name in (CHECKPOINT, CONFIG)} | {"README.md": b"# older"}
    with running_hub(FakeHub({REPOSITORY: {"main": dict(published), "v1": older}})) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        for name in ("HF_HUB_CACHE", "HF_TOKEN", VARIABLE):
            monkeypatch.delenv(name, raising=False)
        yield running


def test_trackers_are_listed(hub: FakeHub) -> None:
    assert row("tracker-embedded")["state"] == "complete" and row("tracker-embedded")["role"] == "tracker"
    tiny = row("sam2.1-tiny")
    assert (tiny["state"], tiny["folder"], tiny["size_gb"], tiny["repository"]) == (
        "absent", None, 0.156, REPOSITORY,
    )  # fmt: skip
    shown = run("list").stdout
    assert all(tier.name in shown for tier in TRACKERS)


def test_a_pulled_tracker_is_made_once_right_and_served(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(json.loads(run("pull", "sam2.1-tiny", "--json").stdout)["folder"])
    assert sorted(hub.fetched) == sorted([CHECKPOINT, CONFIG, "README.md"])
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "weights.safetensors"]
    assert row("sam2.1-tiny") | {"state": "complete", "folder": str(folder)} == row("sam2.1-tiny")
    made = (folder / "weights.safetensors").stat().st_mtime_ns
    again = run("pull", "tiny")
    assert f"use it:   {VARIABLE}=sam2.1-tiny streamrefer up" in again.stdout and len(hub.fetched) == 3
    assert (folder / "weights.safetensors").stat().st_mtime_ns == made
    verified = run("verify", "sam2.1-tiny", "--values", "--json")
    report = json.loads(verified.stdout)
    assert verified.exit_code == 0 and report["ok"] and report["framework"] == "SAM 2.1 tracker", report
    monkeypatch.setenv(VARIABLE, "sam2.1-tiny")
    assert weight_folders(load_settings())[VARIABLE] == folder
    own = load_tracker_settings()
    assert own.weights == folder and own.model().startswith("sam2.1-tiny@")
    session = load_segmenter(own.weights)((24, 32))
    session.begin_clip([np.zeros((48, 64, 3), np.uint8)])
    assert session.step() == {}


def test_a_revision_is_pinned_and_a_library_beside_us_is_not_disturbed(hub: FakeHub) -> None:
    folder = json.loads(run("pull", "tiny", "--revision", "v1", "--json").stdout)["folder"]
    assert tracker_folder("sam2.1-tiny@v1", Path("weights")) == Path(folder)
    assert row("sam2.1-tiny")["state"] == "absent"
    assert run("verify", "tiny@v1").exit_code == 0
    assert "sam2.1-tiny@v9 is not here" in complaint("verify", "tiny@v9")
    assert Hub.from_environment().locate(REPOSITORY, "v1") is None, (
        "no config.json of ours among the hub's files"
    )
    run("pull", "tiny", "--json")
    assert row("sam2.1-tiny")["folder"] not in (None, folder)


def test_a_fetch_that_broke_off_goes_on(hub: FakeHub) -> None:
    hub.broken = {CHECKPOINT: 1000}
    run("pull", "tiny", "--json")  # the client may try again by itself
    if row("sam2.1-tiny")["state"] != "complete":
        with pytest.raises(TierUnusable, match="run `streamrefer models pull sam2.1-tiny`"):
            tracker_folder("tiny", Path("weights"))
        assert run("pull", "tiny", "--json").exit_code == 0
    assert hub.fetched.count(CHECKPOINT) == 2
    assert run("verify", "tiny").exit_code == 0


def test_a_making_that_broke_off_is_no_tracker_and_is_made_again(hub: FakeHub) -> None:
    folder = Path(json.loads(run("pull", "tiny", "--json").stdout)["folder"])
    (folder / "config.json").unlink()
    assert row("sam2.1-tiny")["missing"] == ["config.json"]
    with pytest.raises(TierUnusable, match=r"lacks config.json in .*models pull sam2.1-tiny` again"):
        tracker_folder("tiny", Path("weights"))
    shutil.rmtree(folder)
    assert row("sam2.1-tiny")["state"] == "incomplete"
    assert "sam2.1-tiny is not here" in complaint("verify", "tiny")
    assert run("pull", "tiny", "--json").exit_code == 0 and hub.fetched.count(CHECKPOINT) == 1
    assert row("sam2.1-tiny")["state"] == "complete"


def test_a_folder_of_its_own_and_a_file_at_hand(hub: FakeHub, tmp_path: Path) -> None:
    place = tmp_path / "models" / "tiny"
    pulled = run("pull", "tiny", "--to", str(place))
    assert pulled.exit_code == 0 and f"{VARIABLE}={place} streamrefer up" in pulled.stdout
    assert run("verify", str(place)).exit_code == 0
    file = write_checkpoint(tmp_path)
    fetched = len(hub.fetched)
    made = run("pull", "tiny", "--file", str(file), "--to", str(tmp_path / "made"))
    assert made.exit_code == 0 and len(hub.fetched) == fetched
    assert run("verify", str(tmp_path / "made")).exit_code == 0
    assert "name such a tier, and the folder with --to" in complaint(
        "pull", "tiny", "--file", str(file), code=2
    )
    assert "lost.pt is not there" in complaint(
        "pull", "tiny", "--file", "lost.pt", "--to", str(tmp_path / "new")
    )


def test_a_wrong_checkpoint_is_named_in_one_line(hub: FakeHub, tmp_path: Path) -> None:
    files = hub.repositories[REPOSITORY]["main"]
    del files[CHECKPOINT]
    assert f"{REPOSITORY} holds no {CHECKPOINT}" in complaint("pull", "tiny")
    files[CHECKPOINT] = write_checkpoint(tmp_path, no_obj_ptr=None, renamed=torch.zeros(1)).read_bytes()
    assert "1 missing: no_obj_ptr; 1 unknown: renamed" in complaint("pull", "tiny")
    assert row("sam2.1-tiny")["state"] == "incomplete"


def test_room_is_asked_for_the_file_and_what_is_made_of_it(
    hub: FakeHub, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(published[CHECKPOINT])
    monkeypatch.setattr("services.adapters.hub.SPARE_BYTES", 0)
    usage = shutil.disk_usage("/")._replace(free=int(1.5 * size))
    monkeypatch.setattr("services.adapters.hub.shutil.disk_usage", lambda _: usage)
    assert "are to be fetched and" in complaint("pull", "tiny")
    assert hub.fetched == []


def test_verify_names_a_trackers_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(run("verify", "tracker-embedded", "--values", "--json").stdout)["ok"]
    folder = tmp_path / "tracker"
    shutil.copytree(DEFAULT_WEIGHTS / "tracker-embedded", folder)
    tensors = load_file(folder / "weights.safetensors")
    tensors["renamed"] = tensors.pop("no_obj_ptr")
    save_file(tensors, folder / "weights.safetensors")
    answer = run("verify", str(folder))
    assert answer.exit_code == 1 and "1 missing: no_obj_ptr" in answer.stdout and "not right" in answer.stdout
    (folder / "weights.safetensors").unlink()
    assert "weights.safetensors is not there" in run("verify", str(folder)).stdout


def test_names_of_trackers() -> None:
    for name in ("sam2.1-base-plus", "base-plus", "sam2.1-hiera-base-plus", "sam2.1_hiera_base_plus"):
        assert str(find_tracker(name)) == "sam2.1-base-plus", name
    assert str(find_tracker("large@abc")) == "sam2.1-large@abc"
    assert find_tracker("./sam2.1-tiny") is None and find_tracker("embedded") is None
    assert tracker_folder("embedded", Path("/w")) == Path("/w/tracker-embedded")
    assert tracker_folder("some/folder", Path("/w")) == Path("some/folder").absolute()


def test_what_is_fetched_of_a_repository() -> None:
    tier = find_tracker("tiny").tier
    offered = [
        CHECKPOINT,
        CONFIG,
        "README.md",
        "model.safetensors",
        "config.json",
        "sub/sam2.1_hiera_tiny.pt",
    ]
    found = checkpoint_files([RemoteFile(name, 1, 1) for name in offered], tier)
    assert [file.name for file in found] == offered[:3]
    with pytest.raises(HubError, match="holds no sam2.1_hiera_tiny.pt"):
        checkpoint_files([RemoteFile("model.safetensors", 1, 1)], tier)


def test_a_stack_names_the_tracker_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "sam2.1-large")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    says = "the tracker sam2.1-large is not here: run `streamrefer models pull sam2.1-large`"
    answer = CliRunner().invoke(app, ["up", "--data", str(tmp_path / "data")])
    assert answer.exit_code == 1 and answer.stderr.count("\n") == 1 and says in answer.stderr
    with pytest.raises(SettingsError, match=f"{VARIABLE}: .*sam2.1-large is not here"):
        load_tracker_settings()
