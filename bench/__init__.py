"""Benchmarks: each file asks one question and answers it by ratios against a baseline measured in the same run."""
