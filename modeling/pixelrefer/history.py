"""The last sentence about an object, told to captioners that were trained on it (PAM's prompt).

It was made from what a camera saw, so it is data: no control token, no tag and no region placeholder survives, and
its length is capped.
"""

from __future__ import annotations

from modeling.pixelrefer.prompt import clean_words

LONGEST_HISTORY = 300
"""Characters of the last sentence that are kept, to the last whole word."""


def previous_caption(text: str | None) -> str:
    """The line that tells the last sentence; "None" where there is none, as in training."""
    return f"Previous caption: {_plain(text or '') or 'None'}"


def _plain(text: str) -> str:
    plain = clean_words(text)
    return plain if len(plain) <= LONGEST_HISTORY else plain[:LONGEST_HISTORY].rsplit(" ", 1)[0]
