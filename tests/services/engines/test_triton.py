"""The embedded Triton on a model of ours: streaming answers, the environment it is given, clear faults."""

from __future__ import annotations

import queue
from pathlib import Path

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput

from services.engines.errors import EngineError
from services.engines.stack import running_stack
from services.engines.triton import check_triton, model_names

MODELS = Path(__file__).parent / "models"


def _ask(url: str, value: np.ndarray) -> list[tuple[np.ndarray, str]]:
    answers: queue.Queue = queue.Queue()
    client = InferenceServerClient(url)
    client.start_stream(callback=lambda result, error: answers.put(error or result))
    tensor = InferInput("value", list(value.shape), "FP32")
    tensor.set_data_from_numpy(value)
    client.async_stream_infer("echo", [tensor])
    results = [answers.get(timeout=30) for _ in range(2)]
    client.stop_stream()
    client.close()
    return [(result.as_numpy("value"), result.as_numpy("setting")[0].decode()) for result in results]


@pytest.mark.connected
def test_a_model_streams_and_sees_our_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREFER_S3_BUCKET", "elsewhere")
    with running_stack(tmp_path, {"triton"}, models=MODELS) as stack:
        url = stack.settings.triton_url
        first, second = _ask(url, np.array([1.5, -2.0], np.float32))
        np.testing.assert_array_equal(first[0], np.array([1.5, -2.0], np.float32))
        np.testing.assert_array_equal(second[0], np.array([3.0, -4.0], np.float32))
        assert first[1] == "elsewhere"
        with pytest.raises(Exception, match="captioner"):
            check_triton(url, ("captioner",))


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no model .*config\.pbtxt"):
        model_names(tmp_path)


@pytest.mark.connected
def test_a_model_that_cannot_load_is_reported_with_its_reason(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "echo"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text((MODELS / "echo" / "config.pbtxt").read_text())
    (folder / "1" / "model.py").write_text("raise FileNotFoundError('weights.safetensors is missing')\n")
    with (
        pytest.raises(EngineError, match=r"(?s)triton: ended .*weights\.safetensors is missing.*whole log: "),
        running_stack(tmp_path / "data", {"triton"}, models=tmp_path / "models"),
    ):
        pass
