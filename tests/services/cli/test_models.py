"""The models commands, against a small hub on loopback and real model folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from services.adapters.hub import HubError, RemoteFile
from services.cli.main import app
from services.cli.models import wanted_files
from services.engines.plan import weight_folders
from services.settings import load_settings
from services.tiers import TIERS, TierUnusable, captioner_folder, find_tier, missing_files
from services.tracker_tiers import TRACKERS
from tests.fakes.hub import FakeHub, running_hub
from tests.modeling.official_layout import write_official

REPOSITORY = "Alibaba-DAMO-Academy/PixelRefer-Lite-2B"
SHARD = "model-00002-of-00003.safetensors"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    write_official(folder, "pixelrefer-lite-2b")
    return folder


@pytest.fixture
def hub(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that has one tier in two revisions; the client's variables point to it and to a fresh cache."""
    files = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    extra = {"README.md": b"# card", "onnx/model.safetensors": b"x" * 99, "pytorch_model.bin": b"y" * 99}
    pinned = files | {"README.md": b"# older"}
    with running_hub(FakeHub({REPOSITORY: {"main": files | extra, "v1": pinned}})) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.delenv("HF_HUB_CACHE", raising=False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield running


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments])


def row(tier: str) -> dict:
    return next(row for row in json.loads(run("list", "--json").stdout)["tiers"] if row["tier"] == tier)


def complaint(*arguments: str, code: int = 1) -> str:
    """The one line that a command ends with."""
    answer = run(*arguments)
    assert answer.exit_code == code, answer.output
    assert answer.stderr.count("\n") == 1 and answer.stderr.startswith("streamrefer: "), answer.stderr
    return answer.stderr


def test_the_list_tells_what_is_here(hub: FakeHub) -> None:
    assert row("embedded")["state"] == "complete" and row("embedded")["size_gb"] > 0
    assert row("pixelrefer-lite-2b") | {"about": ""} == {
        "tier": "pixelrefer-lite-2b",
        "role": "captioner",
        "framework": "PixelRefer-Lite",
        "about": "",
        "repository": REPOSITORY,
        "state": "absent",
        "missing": [],
        "folder": None,
        "size_gb": 3.9,
        "memory_gb": 6,
    }
    shown = run("list").stdout
    assert all(tier.name in shown for tier in TIERS)


def test_the_list_breaks_no_folder(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "a folder with a long name" / ("deep" * 30)
    shutil.copytree(load_settings().weights / "captioner-embedded", deep / "captioner-embedded")
    monkeypatch.setenv("STREAMREFER_WEIGHTS", str(deep))
    for columns in ("40", "80", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        lines = run("list").stdout.splitlines()
        assert len(lines) == 1 + len(TIERS) + len(TRACKERS)
        (embedded,) = (line for line in lines if line.startswith("embedded "))
        assert embedded.endswith(f"  {deep / 'captioner-embedded'}") and "complete" in embedded


def test_verify_names_a_calibration_that_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "captioner"
    shutil.copytree(load_settings().weights / "captioner-embedded", folder)
    assert run("verify", str(folder)).exit_code == 0
    content = json.loads((folder / "calibration.json").read_text())
    content["caution"]["unsure_below"] = 7
    (folder / "calibration.json").write_text(json.dumps(content))
    answer = run("verify", str(folder))
    (fault,) = (line for line in answer.stdout.splitlines() if line.startswith("wrong"))
    assert answer.exit_code == 1 and "unsure_below must be a number from 0 to 1, not 7" in fault
    assert str(folder / "calibration.json") in fault and "recipes.calibrate_captioner" in fault


def test_a_pulled_tier_is_here_right_and_as_good_as_a_folder(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled = json.loads(run("pull", "pixelrefer-lite-2b", "--json").stdout)
    folder = Path(pulled["folder"])
    assert not {"pytorch_model.bin", "onnx/model.safetensors"} & set(hub.fetched)
    assert (folder / "README.md").read_text() == "# card"
    assert row("pixelrefer-lite-2b")["state"] == "complete" and row("pixelrefer-lite-2b")["folder"] == str(
        folder
    )
    before = len(hub.fetched)
    assert "use it:   STREAMREFER_CAPTIONER=pixelrefer-lite-2b" in run("pull", "lite-2b").stdout
    assert len(hub.fetched) == before
    verified = run("verify", "pixelrefer-lite-2b", "--values", "--json")
    report = json.loads(verified.stdout)
    assert verified.exit_code == 0 and report["ok"] and report["framework"] == "pixelreferlite", report
    monkeypatch.setenv("STREAMREFER_CAPTIONER", "pixelrefer-lite-2b")
    assert weight_folders(load_settings())["STREAMREFER_CAPTIONER"] == folder


def test_a_revision_is_pinned(hub: FakeHub) -> None:
    folder = json.loads(run("pull", "lite-2b", "--revision", "v1", "--json").stdout)["folder"]
    assert (Path(folder) / "README.md").read_text() == "# older"
    assert captioner_folder("lite-2b@v1", Path("weights")) == Path(folder)
    assert row("pixelrefer-lite-2b")["state"] == "absent"
    assert run("verify", "pixelrefer-lite-2b@v1").exit_code == 0
    assert "has no revision 'v9'" in complaint("pull", "lite-2b", "--revision", "v9")
    assert "pixelrefer-lite-2b@v9 is not here" in complaint("verify", "lite-2b@v9")


def test_a_fetch_that_broke_off_goes_on(hub: FakeHub) -> None:
    hub.broken = {SHARD: 1000}
    run("pull", "lite-2b", "--json")  # the client may try again by itself
    if row("pixelrefer-lite-2b")["state"] != "complete":
        assert row("pixelrefer-lite-2b")["missing"] == [SHARD]
        assert run("pull", "lite-2b", "--json").exit_code == 0
    assert hub.fetched.count(SHARD) == 2 and hub.fetched.count("config.json") == 1
    assert row("pixelrefer-lite-2b")["state"] == "complete"
    assert run("verify", "lite-2b").exit_code == 0


def test_an_incomplete_tier_is_not_used(hub: FakeHub) -> None:
    folder = Path(json.loads(run("pull", "lite-2b", "--json").stdout)["folder"])
    (folder / SHARD).unlink()
    assert row("pixelrefer-lite-2b")["missing"] == [SHARD]
    with pytest.raises(TierUnusable, match=rf"lacks {SHARD} in .*models pull pixelrefer-lite-2b` again"):
        captioner_folder("lite-2b", Path("weights"))


def test_a_folder_of_its_own(hub: FakeHub, tmp_path: Path) -> None:
    place = tmp_path / "models" / "lite"
    pulled = run("pull", "lite-2b", "--to", str(place))
    assert pulled.exit_code == 0 and f"STREAMREFER_CAPTIONER={place}" in pulled.stdout
    assert missing_files(place) == [] and run("verify", str(place)).exit_code == 0


def test_refusals_are_one_line(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no tier 'pixelrefer-3b': there are embedded, pixelrefer-lite-2b" in complaint(
        "pull", "pixelrefer-3b", code=2
    )
    assert "neither a tier" in complaint("verify", "nowhere", code=2)
    assert "pixelrefer-7b is not here: run `streamrefer models pull pixelrefer-7b`" in complaint(
        "verify", "7b"
    )
    assert "has no Alibaba-DAMO-Academy/PixelRefer-7B" in complaint("pull", "7b")
    hub.gated.add(REPOSITORY)
    assert "is gated: accept its terms" in complaint("pull", "lite-2b")
    hub.gated.clear()
    hub.private[REPOSITORY] = "hf_secret"
    assert "set HF_TOKEN" in complaint("pull", "lite-2b")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert run("pull", "lite-2b", "--json").exit_code == 0


def test_no_network_and_no_room_are_one_line(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr("services.adapters.hub.shutil.disk_usage", lambda _: usage)
    assert "are to be fetched and" in complaint("pull", "lite-2b")
    assert hub.fetched == []
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached" in complaint("pull", "lite-2b")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids" in complaint("pull", "lite-2b")


def test_what_is_fetched_of_a_repository() -> None:
    def names(*offered: str) -> list[str]:
        return [file.name for file in wanted_files([RemoteFile(name, 1, 1) for name in offered])]

    small = ["config.json", "merges.txt"]
    assert names(*small, "model-1-of-1.safetensors", "pytorch_model.bin", "training_args.bin") == [
        *small,
        "model-1-of-1.safetensors",
    ]
    assert names(*small, "pytorch_model-1.bin", "optimizer.bin") == [*small, "pytorch_model-1.bin"]
    with pytest.raises(HubError, match="holds no weights"):
        names(*small)


def test_names_of_tiers() -> None:
    assert str(find_tier("pixelrefer-2b")) == str(find_tier("2b")) == "pixelrefer-2b"
    assert str(find_tier("2b@abc")) == "pixelrefer-2b@abc"
    assert find_tier("./pixelrefer-2b") is None and find_tier("weights/captioner-embedded") is None
    assert captioner_folder("embedded", Path("/w")) == Path("/w/captioner-embedded")
    assert captioner_folder("some/folder", Path("/w")) == Path("some/folder").absolute()


def test_a_stack_names_the_tier_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREFER_CAPTIONER", "pixelrefer-7b")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    answer = CliRunner().invoke(app, ["up", "--data", str(tmp_path / "data")])
    assert answer.exit_code == 1 and answer.stderr.count("\n") == 1
    assert "the captioner pixelrefer-7b is not here: run `streamrefer models pull" in answer.stderr
    doctor = CliRunner().invoke(app, ["doctor", "--json", "--data", str(tmp_path / "data")])
    found = {finding["what"]: finding for finding in json.loads(doctor.stdout)["findings"]}
    assert found["weights"]["state"] == "fail" and "pixelrefer-7b is not here" in found["weights"]["words"]


def test_verify_prints_what_is_wrong(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wrong"
    shutil.copytree(checkpoint, folder)
    tensors = load_file(folder / SHARD)
    name = sorted(tensors)[0]
    save_file({key: tensor for key, tensor in tensors.items() if key != name}, folder / SHARD)
    answer = run("verify", str(folder))
    assert answer.exit_code == 1
    assert f"the index names tensors that their shards lack: {name}" in answer.stdout
    assert "not right" in answer.stdout
    shutil.rmtree(folder)
    folder.mkdir()
    assert json.loads(run("verify", str(folder), "--json").stdout)["ok"] is False
    assert torch.equal(load_file(checkpoint / SHARD)[name], tensors[name])
