"""PixelRefer and PixelRefer-Lite against reference values, from raw pixels to generated ids."""

import json
from pathlib import Path
from typing import Any

import torch

from modeling.pixelrefer.checkpoint import load_config, load_model
from modeling.pixelrefer.generate import Captioner
from modeling.pixelrefer.images import PatchSettings
from modeling.pixelrefer.processor import Processor
from modeling.pixelrefer.tokenizer import load_tokenizer
from recipes.parity.pixelrefer_cases import load_cases
from recipes.parity.pixelrefer_chained import chained_rows
from recipes.parity.pixelrefer_stages import lite_stage_rows, scene_stage_rows
from recipes.parity.pixelrefer_tables import table_rows
from recipes.parity.table import Row, WrongFolder, need

FRAMEWORKS = ("pixelrefer", "pixelreferlite")


@torch.inference_mode()
def rows(folder: Path) -> list[Row]:
    """Comparisons for every framework in the folder, and for its tables of sizes.

    The folder holds `pixelrefer/` or `pixelreferlite/` or both beside `tokenizer/`; one of the two framework
    folders may also be given itself. Raises WrongFolder.
    """
    need(folder)
    if (folder / "manifest.json").exists():
        folders, root = [folder], folder.parent
    else:
        folders, root = [folder / name for name in FRAMEWORKS if (folder / name).is_dir()], folder
    if not folders:
        raise WrongFolder(f"{folder} holds none of {', '.join(FRAMEWORKS)}")
    found = _tables(root, folders) if root == folder else []
    for each in folders:
        found += framework_rows(each, root / "tokenizer")
    return found


def framework_rows(folder: Path, tokenizer_folder: Path) -> list[Row]:
    """All cases of one framework: each stage from stored inputs, then the whole chain from pixels."""
    need(folder, "config.json", "model.safetensors", "manifest.json")
    captioner = _captioner(folder, tokenizer_folder)
    found: list[Row] = []
    for case in load_cases(folder):
        lite = case.framework == "pixelreferlite"
        stages = lite_stage_rows if lite else scene_stage_rows
        found += stages(captioner.network, case)  # type: ignore[arg-type]
        found += chained_rows(captioner, case)
    return found


def _captioner(folder: Path, tokenizer_folder: Path) -> Captioner:
    own = (folder / "tokenizer.json").exists() or (folder / "vocab.json").exists()
    tokenizer = load_tokenizer(folder if own else tokenizer_folder)
    network = load_model(folder)
    return Captioner(network, Processor(network.config, PatchSettings.load(folder), tokenizer), tokenizer)


def _tables(root: Path, folders: list[Path]) -> list[Row]:
    path = root / "tables.json"
    if not path.exists():
        return []
    tables: dict[str, Any] = json.loads(path.read_text())
    return table_rows(tables, [load_config(folder) for folder in folders])
