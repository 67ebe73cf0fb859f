"""Which of the embedded captioner's own questions a person's words mean, where they clearly mean one.

Only whole questions match: "what colour is it?" does, "what colour is the driver's hat?" does not, because its
answer would be about something else.
"""

import re

from modeling.pixelrefer.prompt import PLACEHOLDER
from modeling.pixelrefer.questions import QuestionKind

_IT = r"(?:it|this|that|he|she|they|(?:(?:the|this|that) )?(?:object|thing)(?: 1)?(?: it)?)"
_GO = r"(?:going|go|goes|heading|head|headed|moving|move|driving|drive)"
_TO = r"(?: to| toward| towards| off to)?"
_BE = r"(?:is|was|are|were|does|did|do|has|have)"

_PATTERNS: dict[QuestionKind, tuple[str, ...]] = {
    "brief": (
        rf"briefly describe {_IT}",
        rf"describe {_IT} (?:briefly|shortly|in brief|in short|in (?:a few words|one sentence|a sentence))",
    ),
    "detail": (
        rf"describe {_IT}(?: in (?:full |more )?detail| in full)?",
        rf"tell me (?:more )?about {_IT}",
        rf"what can you (?:say|tell me) about {_IT}",
        rf"what do you see of {_IT}",
    ),
    "class": (
        rf"what {_BE} {_IT}(?: called)?",
        rf"what (?:kind|sort|type) of (?:object|thing) {_BE} {_IT}",
        rf"(?:name|identify) {_IT}",
    ),
    "colour": (
        rf"(?:what|which) colou?r {_BE} {_IT}(?: have)?",
        rf"what {_BE} the colou?r of {_IT}",
        rf"(?:the )?colou?r of {_IT}",
    ),
    "direction": (
        rf"where {_BE} {_IT} {_GO}{_TO}",
        rf"(?:in |to )?(?:what|which) direction {_BE} {_IT} {_GO}(?: in)?",
        rf"(?:which|what) way {_BE} {_IT} {_GO}",
    ),
    "event": (
        rf"what (?:happens|happened|is happening|has happened)(?: (?:to|with) {_IT})?",
        rf"what {_BE} {_IT} (?:do|doing|done|up to)",
    ),
}
_POLITE = re.compile(r"^(?:please |(?:can|could) you (?:please )?(?:tell me )?)")
_OPENING = r"(?:what|which|where|describe|briefly|name|identify|tell|please|can|could|in|to|the colou?r)\b"
_BETWEEN = (
    rf"what {_BE} {_IT} (?:do|doing|done) (?:to|with) other",
    r"what (?:happens|happened|is happening|has happened) between it and other",
    r"what (?:happens|happened|is happening|has happened)(?: here| to them)?",
)
"""Questions about two objects, of which the first is the subject."""


def known_question(text: str, objects: int = 1) -> QuestionKind | None:
    """The question that `text` clearly is, with `<region>` for each of the objects; None where it is none."""
    words = _plain(text, objects)
    if objects > 1:
        return "event" if objects == 2 and _any(_BETWEEN, words) else None
    return next((kind for kind, patterns in _PATTERNS.items() if _any(patterns, words)), None)


def _plain(text: str, objects: int) -> str:
    """Lower-case words; the first region reads "it", a second one "other"; polite openings are left out.

    Regions in front of a question that does without them ("<region> what happened?") are left out as well.
    """
    names = ("it", "other")[:objects]
    for name in names:
        text = text.replace(PLACEHOLDER, f" {name} ", 1)
    text = re.sub(r"[’']s\b", " is", text.lower())
    words = " ".join(re.findall(r"[^\W_]+", text))
    return _POLITE.sub("", re.sub(rf"^{' '.join(names)} (?={_OPENING})", "", words))


def _any(patterns: tuple[str, ...], words: str) -> bool:
    return any(re.fullmatch(pattern, words) for pattern in patterns)
