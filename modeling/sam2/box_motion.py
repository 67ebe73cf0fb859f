"""Where a box will be on the next picture: a Kalman filter of constant velocity, as in SORT (Bewley et al., 2016)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_PLACE, _SPEED = 1 / 20, 1 / 160
"""Standard deviations of place and speed, as shares of the box's sides: those of ByteTrack and SAMURAI."""
_STEP = np.eye(8) + np.eye(8, k=4)


@dataclass(frozen=True, slots=True)
class BoxMotion:
    """Middle, width, height and their speeds a step: ``mean`` float64 [8], ``spread`` (covariance) [8, 8]."""

    mean: np.ndarray
    spread: np.ndarray

    @staticmethod
    def begun(box: np.ndarray) -> BoxMotion:
        """At rest where a box (x0, y0, x1, y1) is."""
        mean = np.concatenate([_middle(box), np.zeros(4)])
        size = mean[[2, 3, 2, 3]]
        return BoxMotion(mean, np.diag(np.concatenate([2 * _PLACE * size, 10 * _SPEED * size]) ** 2))

    @property
    def box(self) -> np.ndarray:
        """(x0, y0, x1, y1) now."""
        x, y, width, height = self.mean[:4]
        return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])

    def ahead(self) -> BoxMotion:
        """One step later, nothing seen yet."""
        mean = _STEP @ self.mean
        mean[2:4] = np.maximum(mean[2:4], 1e-3)
        size = self.mean[[2, 3, 2, 3]]
        noise = np.concatenate([_PLACE * size, _SPEED * size]) ** 2
        return BoxMotion(mean, _STEP @ self.spread @ _STEP.T + np.diag(noise))

    def seen(self, box: np.ndarray) -> BoxMotion:
        """The same step after a box was seen."""
        noise = np.diag((_PLACE * self.mean[[2, 3, 2, 3]]) ** 2)
        gain = np.linalg.solve(self.spread[:4, :4] + noise, self.spread[:4]).T
        mean = self.mean + gain @ (_middle(box) - self.mean[:4])
        return BoxMotion(mean, self.spread - gain @ self.spread[:4])


def box_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(float(width), 0.0) * max(float(height), 0.0)
    return shared / max(_area(a) + _area(b) - shared, 1e-12)


def _middle(box: np.ndarray) -> np.ndarray:
    return np.concatenate([(box[:2] + box[2:]) / 2, np.maximum(box[2:] - box[:2], 1e-3)])


def _area(box: np.ndarray) -> float:
    return float(box[2] - box[0]) * float(box[3] - box[1])
