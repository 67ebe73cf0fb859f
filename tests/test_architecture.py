"""Rules that the import checker cannot see: names, sizes, and the model repository, whose folders are no packages."""

from __future__ import annotations

import ast
import subprocess
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "contracts",
    "modeling",
    "operators",
    "pipelines",
    "recipes",
    "services",
    "synthetic",
    "model_repo",
)
LINES = 400
TREE_MB = 60


def _tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return _unpacked()  # an archive of the tree has to hold what the tree holds
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def _unpacked() -> list[Path]:
    """Files of a tree without git: all but what is made in it, whose names begin with a dot or are caches."""
    parts = ((path, path.relative_to(ROOT).parts) for path in ROOT.rglob("*"))
    made = ("__pycache__", "node_modules")
    return [p for p, names in parts if p.is_file() and not any(n[0] == "." or n in made for n in names)]


def _imported(path: Path) -> set[str]:
    """First parts of the names of all modules a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_no_other_distribution_owns_one_of_our_names() -> None:
    owners = metadata.packages_distributions()
    strangers = {name: set(owners.get(name, ())) - {"streamrefer"} for name in PACKAGES}
    assert not {name: who for name, who in strangers.items() if who}


def test_models_of_the_repository_see_modeling_only() -> None:
    for path in (ROOT / "model_repo").rglob("*.py"):
        assert _imported(path) & {*PACKAGES, "tests"} <= {"modeling"}, path


def test_the_world_and_the_recipes_need_little(tmp_path: Path) -> None:
    heavy = {"kafka", "ray", "minio", "tritonclient", "fastapi", "pydantic", "cv2", "scipy", "skimage"}
    for folder in ("synthetic", "modeling"):
        for path in (ROOT / folder).rglob("*.py"):
            # OpenCV follows the points of an object (Lucas and Kanade); nothing else in the networks needs it.
            allowed = {"cv2"} if path == ROOT / "modeling" / "sam2" / "carry.py" else set()
            assert not _imported(path) & (heavy - allowed), path


def test_no_file_is_too_long_to_read() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in _tracked()
        if path.suffix == ".py" and (count := len(path.read_text().splitlines())) > LINES
    }
    assert not long


def test_the_tracked_tree_stays_small() -> None:
    assert sum(path.stat().st_size for path in _tracked()) < TREE_MB * 1_000_000


def test_the_lock_pins_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pins = [line for line in lock.splitlines() if "==" in line and not line.startswith(("#", " "))]
    assert pins and all(line.endswith("\\") for line in pins)  # a hash follows
    assert "://" not in lock and "--index" not in lock
