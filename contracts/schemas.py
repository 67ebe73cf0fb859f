"""JSON Schemas of every topic's message: ``python -m contracts.schemas DIR`` writes one file a topic."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from contracts.topics import TOPICS


def write_schemas(folder: Path) -> list[Path]:
    """One ``<topic>.schema.json`` for each topic; returns the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _write(folder / f"{topic.name}.schema.json", topic.message.model_json_schema()) for topic in TOPICS
    ]


def _write(path: Path, schema: dict) -> Path:
    path.write_text(json.dumps(schema, indent=2, sort_keys=True) + "\n")
    return path


if __name__ == "__main__":
    for written in write_schemas(Path(sys.argv[1])):
        print(written)
