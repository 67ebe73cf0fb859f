"""A shortened endless run: what a session holds does not grow."""

from __future__ import annotations

from recipes.measure_endless import measure, slope, tiny


def test_what_a_session_holds_stays_the_same() -> None:
    found = measure(tiny(), 300)
    assert found["steps"] == 300 and found["objects"] == 6 and found["state_bytes"]
    assert len(found["tensor_bytes"]) == 1, found["tensor_bytes"]
    assert len(found["most_tensor_bytes"]) == 1
    assert found["tensor_bytes"][0] <= found["most_tensor_bytes"][0] < 2 * found["tensor_bytes"][0]


def test_time_can_be_limited() -> None:
    assert 0 < measure(tiny(), 1_000_000, limit_s=0.2)["steps"] < 10_000


def test_a_slope_is_that_of_the_later_steps() -> None:
    assert slope([(0, 10.0), (100, 90.0), (500, 94.0), (1_000, 99.0)]) == 100.0
    assert slope([(0, 1.0)]) is None
