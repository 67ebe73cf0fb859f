"""What a failure shows of a log."""

from __future__ import annotations

from pathlib import Path

from services.engines.errors import failure


def test_the_cause_is_shown_even_when_much_was_logged_after_it(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    log.write_text(
        "fine\n" * 50 + "FileNotFoundError: weights are missing\n" + "".join(f"| {n} |\n" for n in range(40))
    )
    text = str(failure("triton", "ended with exit code 1", log))
    assert text.startswith(
        "triton: ended with exit code 1\n    FileNotFoundError: weights are missing\n    | 32 |\n"
    )
    assert text.endswith(f"    | 39 |\n  whole log: {log}")


def test_a_log_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert "(no log was written)" in str(failure("ray", "died", tmp_path / "ray.log"))


def test_errors_of_an_earlier_run_are_not_shown(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("--- start 1 java\nfatal: disk full\n--- start 2 java\nport in use\n")
    text = str(failure("kafka", "ended", log))
    assert "disk full" not in text and "port in use" in text
