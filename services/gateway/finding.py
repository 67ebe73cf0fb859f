"""Words for what a camera is to follow, put to the detector that is served before anybody relies on them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tritonclient.grpc import InferenceServerClient

from modeling.detector.words import match, quoted
from services.adapters.triton import CHANNEL
from services.adapters.triton_detector import About, DetectorUnavailable, NoDetector, ask_about
from services.gateway.problems import Problem

log = logging.getLogger("streamrefer.gateway")

DEADLINE_S = 3.0


def checked_words(words: Sequence[str] | None, triton_url: str) -> tuple[str, ...] | None:
    """The words, each once, None for none. Raises Problem when the detector knows one of them not, or there is none.

    Where nobody can tell now, because Triton does not answer, they are taken as they are; the tracker warns of those
    that mean nothing.
    """
    wanted = tuple(dict.fromkeys(words or ()))
    if not wanted or not triton_url:
        return wanted or None
    try:
        about = _about(triton_url)
    except NoDetector as error:
        raise Problem(
            422,
            "detector_missing",
            f"nothing can be found by words: {error}",
            "set STREAMREFER_TRACKER_DETECTOR to a detector's name; docs/detectors.md tells how",
        ) from None
    except DetectorUnavailable as error:
        log.warning("words %s are taken unchecked: %s", ", ".join(wanted), error)
        return wanted
    if unknown := match(wanted, about.classes).unknown:
        raise Problem(
            422,
            "words_unknown",
            f"the detector {about.name} knows no {', '.join(unknown)}: it knows {quoted(about.classes, 100)}",
            "choose among the names it knows",
        )
    return wanted


def _about(triton_url: str) -> About:
    with InferenceServerClient(triton_url, channel_args=CHANNEL) as client:
        return ask_about(client, DEADLINE_S)
