"""Readers of benchmark files, what sentences say, and metrics; the runners are ``recipes.evaluate_*``."""
