"""The rules of the model repository: small models over ``modeling``, and one list of tensor names."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from services.adapters import triton, triton_detector, triton_tensors

MODELS = Path(__file__).parents[1] / "model_repo"
ALLOWED = {"modeling", "numpy", "triton_python_backend_utils"} | set(sys.stdlib_module_names)


def imported(source: str) -> set[str]:
    """Top-level names of everything a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." if node.level else (node.module or "").split(".")[0])
    return names


def tensors(config: str, block: str) -> dict[str, str]:
    """Name to type of the tensors in a config's ``input`` or ``output`` list."""
    body = re.search(rf"^{block} \[(.*?)^\]", config, re.S | re.M)
    assert body, block
    return dict(re.findall(r'name: "(\w+)" data_type: TYPE_(\w+)', body[1]))


@pytest.mark.parametrize("model", sorted(MODELS.glob("*/*/model.py")), ids=lambda path: path.parts[-3])
def test_models_import_modeling_and_the_standard_library_only(model: Path) -> None:
    assert imported(model.read_text()) <= ALLOWED
    assert len(model.read_text().splitlines()) < 200, "a model is a page: the network belongs to modeling"


def test_the_rule_sees_imports_inside_functions() -> None:
    assert imported("def f():\n    from services.adapters import triton\n    import torch.nn\n") == {
        "services",
        "torch",
    }


def test_tensor_names_agree() -> None:
    config = (MODELS / triton.MODEL / "config.pbtxt").read_text()
    as_sent = {name: {"BYTES": "STRING"}.get(kind, kind) for name, kind in triton_tensors.INPUTS.items()}
    assert tensors(config, "input") == as_sent
    assert tuple(tensors(config, "output")) == triton_tensors.OUTPUTS
    model = (MODELS / triton.MODEL / "1" / "model.py").read_text()
    assert set(re.findall(r'tensor\("(\w+)"\)', model)) == set(triton_tensors.INPUTS)
    assert tuple(re.findall(r'^        "([A-Z]+)": np\.array', model, re.M)) == triton_tensors.OUTPUTS


def test_tensor_names_of_the_detector_agree() -> None:
    config = (MODELS / triton_detector.MODEL / "config.pbtxt").read_text()
    assert tensors(config, "input") == {"PICTURE": "UINT8", "WORDS": "STRING"}
    assert tuple(tensors(config, "output")) == (*triton_detector.OUTPUTS, triton_detector.ABOUT)
    model = (MODELS / triton_detector.MODEL / "1" / "model.py").read_text()
    assert set(re.findall(r'get_input_tensor_by_name\(request, "(\w+)"\)', model)) == {"PICTURE", "WORDS"}
    assert set(re.findall(r'"([A-Z]+)": (?:found|labels|np)', model)) == set(tensors(config, "output"))
