"""What a failure shows of a log."""

from __future__ import annotations

from pathlib import Path

from services.engines.errors import cause, failure

KAFKA = """--- start 2026-11-21T19:00:00Z java
2026-11-21 19:00:01,120 INFO  KafkaRaftServer$ registering log4j MBean
2026-11-21 19:00:01,900 ERROR KafkaRaftServer$ Exiting Kafka due to fatal exception
java.lang.RuntimeException: could not open the log directory
\tat kafka.server.KafkaRaftServer.<init>(KafkaRaftServer.scala:55)
\tat kafka.Kafka$.main(Kafka.scala:87)
Caused by: java.nio.file.AccessDeniedException: /data/kafka/logs
\tat java.base/sun.nio.fs.UnixException.translateToIOException(UnixException.java:90)
\t... 4 more
2026-11-21 19:00:02,010 INFO  AppInfoParser App info kafka.server for 1 unregistered
"""


def test_a_chain_of_exceptions_is_told_by_its_root(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text(KAFKA)
    first, *last, where = str(failure("kafka", "ended with exit code 1", log)).splitlines()
    assert first == "kafka: ended with exit code 1: java.nio.file.AccessDeniedException: /data/kafka/logs"
    assert len(last) <= 3 and not any(" at " in line or "more" in line for line in last)
    assert where == f"  whole log: {log}"


def test_the_cause_is_shown_even_when_much_was_logged_after_it(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    log.write_text(
        "fine\n" * 50 + "FileNotFoundError: weights are missing\n" + "".join(f"| {n} |\n" for n in range(40))
    )
    text = str(failure("triton", "ended with exit code 1", log))
    assert text.startswith("triton: ended with exit code 1: FileNotFoundError: weights are missing\n")
    assert text.endswith(f"    | 37 |\n    | 38 |\n    | 39 |\n  whole log: {log}")


def test_what_was_thrown_is_cut_out_of_its_line() -> None:
    assert cause("12:00 ERROR Net failed: java.net.BindException: Address already in use\n") == (
        "java.net.BindException: Address already in use"
    )
    assert cause('Traceback (most recent call last):\n  File "a.py", line 1\nValueError: no\nbye') == (
        "ValueError: no"
    )
    assert cause("fine\nfatal: disk full\nbye") == "fatal: disk full"
    assert cause("all is well\n") is None


def test_a_log_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert "(no log was written)" in str(failure("ray", "died", tmp_path / "ray.log"))


def test_errors_of_an_earlier_run_are_not_shown(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("--- start 1 java\nfatal: disk full\n--- start 2 java\nport in use\n")
    text = str(failure("kafka", "ended", log))
    assert "disk full" not in text and "port in use" in text
