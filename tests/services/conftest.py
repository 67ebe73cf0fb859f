"""A captioner that services can call: real Triton, tiny random weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.engines.stack import Stack, running_stack
from tests.fakes.tiny_captioner import make_tiny_captioner

CAPTIONER_QUEUE = 3


@pytest.fixture(scope="session")
def captioner_server(folder) -> Iterator[Stack]:
    """Triton with a captioner of random weights and a short queue; its address is in ``settings.triton_url``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STREAMREFER_CAPTIONER", str(make_tiny_captioner(folder("captioner"))))
        patch.setenv("STREAMREFER_CAPTIONER_QUEUE", str(CAPTIONER_QUEUE))
        with running_stack(folder("triton"), {"triton"}) as stack:
            yield stack
