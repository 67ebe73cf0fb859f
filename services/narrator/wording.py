"""How the narrator words its questions for a camera: by the camera's settings, as far as the captioner can follow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from contracts.cameras import CameraSettings, Style
from modeling.pixelrefer.config import Framework
from modeling.pixelrefer.instructions import INSTRUCTIONS_VERSION, describe_instruction, instruction_id
from modeling.pixelrefer.profile import Profile
from modeling.pixelrefer.questions import PROMPT_VERSION, QuestionKind, question
from pipelines.asking import Asking

log = logging.getLogger("streamrefer.narrator")

OWN_QUESTIONS: dict[Style, QuestionKind] = {"detailed": "detail", "short": "brief"}
"""What the embedded captioner is asked for each style."""


def asking_for(camera: CameraSettings | None, base: Asking, profile: Profile) -> Asking:
    """``base`` with the question that the camera's settings want. ``camera`` is None where they are not known.

    A captioner with questions of its own is asked one of these, whatever instruction the settings hold.
    """
    style: Style = camera.style if camera else "detailed"
    if profile.any_question:
        return _by_instruction(camera, style, base, profile.framework)
    return _by_own_question(style, base)


def _by_own_question(style: Style, base: Asking) -> Asking:
    kind = OWN_QUESTIONS[style]
    return replace(
        base,
        question=lambda end_s, near: question(kind, end_s, near),
        prompt_id=kind,
        prompt_version=PROMPT_VERSION,
        style=style,
    )


def _by_instruction(
    camera: CameraSettings | None, style: Style, base: Asking, framework: Framework
) -> Asking:
    wanted = (style, camera.instruction, camera.language) if camera else (style, None, None)
    return replace(
        base,
        question=lambda end_s, near: describe_instruction(*wanted, near, framework),
        prompt_id=instruction_id(*wanted),
        prompt_version=INSTRUCTIONS_VERSION,
        style=style,
    )


def asking_by_camera(
    camera_of: Callable[[str], CameraSettings | None],
    profile_of: Callable[[], Profile],
    base_of: Callable[[Profile], Asking],
) -> Callable[[str], Asking]:
    """The way of asking for each camera id, by its settings and by the captioner that answers at that moment."""
    told: set[Profile] = set()

    def asking_of(camera_id: str) -> Asking:
        profile = profile_of()
        if profile not in told:
            told.add(profile)
            _tell(profile)
        return asking_for(camera_of(camera_id), base_of(profile), profile)

    return asking_of


def _tell(profile: Profile) -> None:
    log.info("the captioner is asked as it says: %s", profile.to_json())
    ours = INSTRUCTIONS_VERSION if profile.any_question else PROMPT_VERSION
    if profile.prompt_version != ours:
        log.warning(
            "the captioner goes with version %s of its questions' wording, here is %s: run the same version of both",
            profile.prompt_version,
            ours,
        )
