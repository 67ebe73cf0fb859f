"""How the narrator words its questions for a camera: by the camera's settings, as far as the captioner can follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from contracts.cameras import CameraSettings, Style
from modeling.pixelrefer.instructions import INSTRUCTIONS_VERSION, describe_instruction, instruction_id
from modeling.pixelrefer.questions import PROMPT_VERSION, QuestionKind, question
from pipelines.asking import Asking

OWN_QUESTIONS: dict[Style, QuestionKind] = {"detailed": "detail", "short": "brief"}
"""What the embedded captioner is asked for each style."""


def asking_for(camera: CameraSettings | None, base: Asking, any_question: bool) -> Asking:
    """``base`` with the question that the camera's settings want. ``camera`` is None where they are not known.

    A captioner with questions of its own is asked one of these, whatever instruction the settings hold.
    """
    style: Style = camera.style if camera else "detailed"
    return _by_instruction(camera, style, base) if any_question else _by_own_question(style, base)


def _by_own_question(style: Style, base: Asking) -> Asking:
    kind = OWN_QUESTIONS[style]
    return replace(
        base,
        question=lambda end_s, near: question(kind, end_s, near),
        prompt_id=kind,
        prompt_version=PROMPT_VERSION,
        style=style,
    )


def _by_instruction(camera: CameraSettings | None, style: Style, base: Asking) -> Asking:
    wanted = (style, camera.instruction, camera.language) if camera else (style, None, None)
    return replace(
        base,
        question=lambda end_s, near: describe_instruction(*wanted, neighbours=near),
        prompt_id=instruction_id(*wanted),
        prompt_version=INSTRUCTIONS_VERSION,
        style=style,
    )


def asking_by_camera(
    camera_of: Callable[[str], CameraSettings | None], base: Asking, any_question: bool
) -> Callable[[str], Asking]:
    """The way of asking for each camera id, by its settings as they are at that moment."""
    return lambda camera_id: asking_for(camera_of(camera_id), base, any_question)
