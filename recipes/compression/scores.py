"""Scores of answers with confidence intervals: clips are drawn again and again (bootstrap), the same for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from recipes.captioner.cache import read_attributes
from synthetic.language import parse, score

RESAMPLES = 4000
INTERVAL = (2.5, 97.5)
JUDGED = ("class", "colour", "direction", "event", "other", "exact")
SUBSETS: dict[str, Callable[[dict], bool]] = {
    "all": lambda record: True,
    "past": lambda record: record["past"],
    "cut": lambda record: record["cut"],
}
"""``past`` and ``cut`` as in :class:`recipes.compression.halves.Piece`."""


@dataclass(frozen=True)
class Verdicts:
    """Of each clip: how many answers were judged by one measure, and how many were right; float64 [clips]."""

    judged: np.ndarray
    right: np.ndarray

    @property
    def share(self) -> float | None:
        """Share of right answers."""
        return float(self.right.sum() / self.judged.sum()) if self.judged.sum() else None


def verdicts(records: Sequence[dict], measure: str, subset: str, clips: Sequence[str]) -> Verdicts:
    """The verdicts of one measure on a subset of the records, clip by clip."""
    place = {name: at for at, name in enumerate(clips)}
    judged, right = np.zeros(len(clips)), np.zeros(len(clips))
    for record in records:
        verdict = score(parse(record["text"]), read_attributes(record["true"]))[measure]
        if verdict is not None and SUBSETS[subset](record):
            judged[place[record["clip"]]] += 1
            right[place[record["clip"]]] += verdict
    return Verdicts(judged, right)


def drawn_clips(clips: int, seed: int = 0) -> np.ndarray:
    """How often each clip is drawn in each resample, float64 [RESAMPLES, clips]."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(clips, np.full(clips, 1 / clips), RESAMPLES).astype(np.float64)


def interval(own: Verdicts, draws: np.ndarray, base: Verdicts | None = None) -> list[float] | None:
    """95% interval of a share, or of its difference to that of ``base`` on the same clips; None without cases."""
    shares = _shares(own, draws)
    if base is not None:
        shares = shares - _shares(base, draws)
    shares = shares[np.isfinite(shares)]
    return [round(float(edge), 4) for edge in np.percentile(shares, INTERVAL)] if len(shares) else None


def _shares(own: Verdicts, draws: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (draws @ own.right) / (draws @ own.judged)


def report(records: Sequence[dict], base: Sequence[dict], subset: str = "all") -> dict:
    """Of each measure: ``cases``, ``share``, its ``interval``, and ``change`` to ``base`` with its interval."""
    clips = sorted({record["clip"] for record in base})
    draws = drawn_clips(len(clips))
    found: dict = {}
    for measure in JUDGED:
        own, other = (verdicts(those, measure, subset, clips) for those in (records, base))
        if own.share is None or other.share is None:
            continue
        found[measure] = {
            "cases": int(own.judged.sum()),
            "share": round(own.share, 4),
            "interval": interval(own, draws),
            "change": round(own.share - other.share, 4),
            "change_interval": interval(own, draws, other),
        }
    return found


def costs(records: Sequence[dict]) -> dict[str, float]:
    """Mean tokens of an answer's scene and of its whole prompt."""
    return {
        name: round(float(np.mean([record[name] for record in records])), 1)
        for name in ("scene_tokens", "prompt_tokens")
    }


def misled(records: Sequence[dict], base: Sequence[dict]) -> dict | None:
    """What a wrong name in the last sentence does: of such objects, how many are called wrong the same way again.

    ``told``: objects whose last sentence named a wrong class or colour; ``repeated``: of them, those named so again;
    ``without``: those that ``base``, which is told nothing, names wrong in that very way. None without history.
    """
    known = {(record["clip"], record["object"]): record["text"] for record in base}
    told = [record for record in records if _wrong(record["last"], record)]
    if not any(record["last"] for record in records):
        return None
    return {
        "told": len(told),
        "repeated": sum(
            bool(_wrong(record["last"], record) & _wrong(record["text"], record)) for record in told
        ),
        "without": sum(
            bool(_wrong(record["last"], record) & _wrong(known[record["clip"], record["object"]], record))
            for record in told
        ),
    }


def _wrong(text: str, record: dict) -> set[tuple[str, str]]:
    """Wrong class and colour words of a sentence."""
    said = parse(text) if text else None
    if said is None:
        return set()
    names = {"class_name": said.class_name, "colour": said.colour}
    return {(kind, word) for kind, word in names.items() if word != record["true"][kind]}
