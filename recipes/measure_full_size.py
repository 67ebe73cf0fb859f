"""What a captioner of the published size costs on this machine: memory and seconds, measured in a fresh process.

    python -m recipes.measure_full_size --framework pixelrefer|pixelreferlite --size 2b|7b

Writes a checkpoint in the official layout with random bfloat16 weights to a temporary folder, loads it, answers about
one object in a short clip, deletes it, and prints the figures as JSON. Exits 1 above the limit of memory, 2 where disk
or memory do not allow the run.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recipes.arguments import existing_folder, positive_int, recipe_parser
from recipes.full_size.layout import stored_bytes, write_checkpoint
from recipes.full_size.sizes import BASE_TOKENS, published_config, published_sizes

LIMITS_GB = {
    ("pixelrefer", "2b"): 20.0,
    ("pixelreferlite", "2b"): 6.0,
    ("pixelrefer", "7b"): 40.0,
    ("pixelreferlite", "7b"): 20.0,
}
"""Peak memory that a run may take."""
SPARE_DISK_GB, WORKING_GB = 1.0, 2.0
LONGEST_RUN_S = 3600.0


class NotHere(RuntimeError):
    """The machine cannot take the run; the text says why."""


def main(arguments: list[str] | None = None) -> int:
    """Command line entry; returns the exit code."""
    parser = recipe_parser("measure_full_size", __doc__)
    parser.add_argument("--framework", choices=("pixelrefer", "pixelreferlite"), required=True)
    parser.add_argument("--size", choices=("2b", "7b"), default="2b")
    parser.add_argument("--frames", type=positive_int, default=4)
    parser.add_argument("--tokens", type=positive_int, default=8, help="new tokens")
    parser.add_argument("--work", type=existing_folder, default=tempfile.gettempdir(), help="where to write")
    given = parser.parse_args(arguments)
    try:
        facts = measure(given.framework, given.size, given.frames, given.tokens, given.work)
    except NotHere as cause:
        print(f"measure_full_size: {cause}", file=sys.stderr)
        return 2
    print(json.dumps(facts, indent=1))
    return 0 if facts["inside_limit"] else 1


def measure(framework, size, frames: int, tokens: int, work: Path) -> dict:
    """Write, run in another process, delete. Raises NotHere."""
    config = published_sizes(framework, size)
    weights_gb = stored_bytes(config) / 1e9
    check_room(weights_gb, work)
    with tempfile.TemporaryDirectory(prefix="full-size-", dir=work) as folder:
        begun = time.perf_counter()
        shards = write_checkpoint(Path(folder), published_config(framework, size), config, BASE_TOKENS)
        written_s = time.perf_counter() - begun
        forget_pages(Path(folder))
        facts = run_apart(Path(folder), frames, tokens)
    limit = LIMITS_GB[framework, size]
    head = {"framework": framework, "size": size, "weights_gb": round(weights_gb, 3), "shards": shards}
    facts["seconds"]["write"] = round(written_s, 1)
    inside = facts["memory_gb"]["peak_rss"] <= limit
    return head | {"frames": frames} | facts | {"limit_gb": limit, "inside_limit": inside}


def check_room(weights_gb: float, work: Path) -> None:
    """Raise NotHere where the disk or the free memory is too small."""
    free_gb = shutil.disk_usage(work).free / 1e9
    if free_gb < weights_gb + SPARE_DISK_GB:
        raise NotHere(
            f"{work} has {free_gb:.1f} GB free, {weights_gb + SPARE_DISK_GB:.1f} GB are needed (--work)"
        )
    found = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())
    available_gb = int(found.group(1)) * 1024 / 1e9 if found else 0.0
    if available_gb < weights_gb + WORKING_GB:
        needed = weights_gb + WORKING_GB
        raise NotHere(f"{available_gb:.1f} GB of memory are available, {needed:.1f} GB are needed")


def forget_pages(folder: Path) -> None:
    """Put what was written on the disk and out of the page cache, so that loading reads it as from a cold start."""
    for file in folder.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def run_apart(folder: Path, frames: int, tokens: int) -> dict:
    """The figures of `recipes.full_size.clip` in a process of its own. Raises NotHere when it fails."""
    command = [sys.executable, "-m", "recipes.full_size.clip", str(folder)]
    command += ["--frames", str(frames), "--tokens", str(tokens)]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=LONGEST_RUN_S)
    if done.returncode:
        raise NotHere(f"the run ended with code {done.returncode} (-9: the kernel stopped it for memory)")
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
