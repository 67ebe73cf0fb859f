"""Checkpoints of the published sizes with random weights, to measure what loading and running them costs."""
