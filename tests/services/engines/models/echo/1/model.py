"""Answers with what it was sent, and with one variable of its environment."""

import os

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Streams two answers for each request, as the captioner does."""

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            value = pb_utils.get_input_tensor_by_name(request, "value").as_numpy()
            setting = np.array([os.environ.get("STREAMREFER_S3_BUCKET", "").encode()], dtype=object)
            for factor in (1.0, 2.0):
                outputs = [pb_utils.Tensor("value", value * factor), pb_utils.Tensor("setting", setting)]
                sender.send(pb_utils.InferenceResponse(outputs))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
