"""The Ray Serve application as its deployer sees it."""

from __future__ import annotations

import subprocess
import sys

from services.engines.child import REPOSITORY


def test_building_the_application_loads_no_network_library() -> None:
    code = "import services.app, sys; services.app.build({}); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=240
    )
    assert done.stdout.strip() == "False", done.stderr
