"""Following subjects on real clips with hand-made boxes, and the classical ways to do it for comparison."""
