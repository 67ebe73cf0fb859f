"""How a judge scores descriptions for VideoRefer-Bench-D: four scores of 0 to 5, and their mean.

The four are the benchmark's; the rules are in our own words, so scores are comparable among themselves and, as with
any judge, with others only roughly. Published figures used GPT-4o; name the judge beside every figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recipes.benchmarks.judge import Judge, scores_in

ASPECTS = ("subject", "appearance", "motion", "hallucination")
RULES = (
    "You compare a predicted description of one object in a video with a correct one. Give four scores from 0 to 5; "
    "one decimal is allowed.\n"
    "subject: is the prediction about the same object? 5 the same kind of thing, 0 something else.\n"
    "appearance: do colour, shape, clothing, texture and other visible features agree with the correct description? "
    "5 all of them are there and right, 0 none.\n"
    "motion: do its actions, movements and changes over time agree? 5 all are there and right, 0 none or wrong. If "
    "the correct description tells of no motion, 5 for a prediction that invents none.\n"
    "hallucination: is the prediction free of things that the correct description rules out or gives no ground for? "
    "5 nothing invented, 0 mostly invented.\n"
    'Reply with JSON only: {"subject": N, "appearance": N, "motion": N, "hallucination": N}'
)


def judge_description(judge: Judge, record: Mapping) -> dict[str, float] | None:
    """The four scores of one description; None when the judge gives no usable reply."""
    text = f"Correct description:\n{record['reference']}\n\nPredicted description:\n{record['answer']}"
    return judge.ask(RULES, text, lambda reply: scores_in(reply, ASPECTS))


def description_scores(verdicts: Sequence[Mapping]) -> dict:
    """Mean of each aspect and of the four."""
    if not verdicts:
        return dict.fromkeys((*ASPECTS, "mean"))
    means = {name: sum(verdict[name] for verdict in verdicts) / len(verdicts) for name in ASPECTS}
    return {name: round(value, 4) for name, value in means.items()} | {
        "mean": round(sum(means.values()) / len(means), 4)
    }
