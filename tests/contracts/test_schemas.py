"""The exported schemas are those of the messages."""

from __future__ import annotations

from pathlib import Path

from contracts.schemas import write_schemas

EXPORTED = Path(__file__).parents[2] / "contracts" / "schema"


def test_exported_schemas_are_up_to_date(tmp_path: Path) -> None:
    fresh = {path.name: path.read_text() for path in write_schemas(tmp_path)}
    assert fresh == {path.name: path.read_text() for path in EXPORTED.glob("*.json")}
