"""Our tracker session against recorded runs of the sam2 package's own predictor.

*One step* starts each tracked step from the recorded memories, so that no error adds up: the strict test, and a
test of restoring a state. *Free run* replays a scenario from its first prompt. Against the package's predictor
run here and now it must be equal; against the recording it is looser, since random weights amplify another
machine's rounding from step to step, but strict about presence and the first frames of a prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from modeling.sam2.encode import Maps, prepare
from modeling.sam2.memory import Entry, ObjectMemory
from modeling.sam2.network import Network, Outcome
from modeling.sam2.segmenter import opener
from modeling.sam2.session import Sam2Session
from recipes.parity.official_sam2 import OfficialRun, Tensors
from recipes.parity.sam2_cases import SCENARIOS, Case, read_case, read_model, read_pictures
from recipes.parity.table import Row, compare, equal

LOGITS, POINTER, SCORE = 2e-3, 2e-3, 5e-4
BFLOAT16_STEP = 2.0**-7
FREE_EARLY, FREE_LATE, EARLY_STEPS = 1e-2, 4e-1, 3  # frames of a prompt: its own and the two after it
MASK_SHARE = 1e-2  # of the pixels at video size may be on the other side of zero in a free run
MAPS = 1e-3
Seen = dict[tuple[int, int], Tensors]


def rows(folder: Path) -> list[Row]:
    """All comparisons for a folder of recorded runs. Raises WrongFolder."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with more, even one program's two runs differ in the last bits
    try:
        return _rows(folder)
    finally:
        torch.set_num_threads(threads)


@torch.inference_mode()
def _rows(folder: Path) -> list[Row]:
    network = Network(read_model(folder), encode_batch=1, object_batch=1)
    pictures = read_pictures(folder)
    found = list(_map_rows(network, pictures, folder))
    maps = network.encode(pictures)
    for name in SCENARIOS:
        case = read_case(folder, name)
        found += [*step_rows(network, maps, case), *_free_rows(network, pictures, case)]
    return found


def _map_rows(network: Network, pictures: list[np.ndarray], folder: Path) -> Iterator[Row]:
    path = folder / "features.safetensors"
    if not path.exists():
        return
    recorded = load_file(path)
    ready = prepare(pictures[:1], network.image_size)[0]
    yield compare("encoder", "normalised input", ready, recorded["frame00.normalised_input"], 1e-6)
    for step in (0, 15):
        maps = network.encode([pictures[step]])[0]
        for level, ours in enumerate((maps.fine, maps.middle, maps.coarse)):
            theirs = recorded[f"frame{step:02d}.fpn{level}"]
            yield compare("encoder", f"picture {step}, map {level}", ours[0], theirs, MAPS)


def step_rows(network: Network, maps: list[Maps], case: Case) -> Iterator[Row]:
    """One row for each object and quantity: the worst of all tracked steps."""
    worst: dict[tuple[int, str], Row] = {}
    for (object_id, step), theirs in sorted(case.outputs.items()):
        if (object_id, step) in case.anchored:
            continue
        memory = recorded_memory(network, case, object_id, step)
        for row in _compared(network.track(maps[step], [memory], [step]), theirs, case.name, object_id):
            key = (object_id, row.stage)
            if key not in worst or (row.ok, -row.difference) < (worst[key].ok, -worst[key].difference):
                worst[key] = row
    yield from worst.values()


def recorded_memory(network: Network, case: Case, object_id: int, step: int) -> ObjectMemory:
    """An object's memory just before ``step``, from what was recorded."""
    memory = network.new_memory()
    for (other, earlier), kept in sorted(case.outputs.items()):
        if other == object_id and earlier < step:
            entry = Entry(kept["maskmem_features"][None], kept["obj_ptr"][None])
            keep = memory.anchor if (other, earlier) in case.anchored else memory.record
            keep(earlier, entry)
    return memory.ahead_of(step)


def _compared(ours: Outcome, theirs: Tensors, case: str, object_id: int) -> list[Row]:
    name = f"{case}, object {object_id}"
    kept = ours.entry(0).features[0].float()
    recorded = theirs["maskmem_features"].float()
    beyond = ((kept - recorded).abs() - BFLOAT16_STEP * recorded.abs()).clamp(min=0)
    return [
        compare(
            name, "one step: logits", ours.logits[0].reshape(-1), theirs["low_res_logits"].reshape(-1), LOGITS
        ),
        compare(name, "one step: pointer", ours.pointer[0], theirs["obj_ptr"], POINTER),
        compare(name, "one step: presence", ours.presence[0], theirs["object_score_logit"], SCORE),
        compare(name, "one step: memory beyond rounding", beyond, torch.zeros_like(beyond), LOGITS),
    ]


def _free_rows(network: Network, pictures: list[np.ndarray], case: Case) -> Iterator[Row]:
    seen, masks, alive = _replay(opener(network)(case.video_size), pictures, case)
    name = f"{case.name}, free run"
    yield equal(
        name, "objects of every step", alive, [sorted(case.video_masks[at]) for at in range(len(alive))]
    )
    here = _predicted(network, pictures, case)
    apart = max(float((seen[key]["logits"] - here[key]).abs().max()) for key in seen)
    yield Row(name, "logits, package's predictor run here", apart, 0, apart == 0)
    prompted: dict[int, int] = {}
    early, late, flips, wrong = 0.0, 0.0, 0, 0.0
    for (object_id, step), ours in sorted(seen.items()):
        theirs = case.outputs[object_id, step]
        if (object_id, step) in case.anchored:
            prompted[object_id] = step
        flips += bool((ours["presence"] > 0) != (theirs["object_score_logit"] > 0))
        apart = float((ours["logits"] - theirs["low_res_logits"].reshape(ours["logits"].shape)).abs().max())
        late = max(late, apart)
        if step - prompted[object_id] < EARLY_STEPS:
            early = max(early, apart)
        wrong = max(wrong, float((masks[object_id, step] != case.video_masks[step][object_id]).mean()))
    yield Row(name, "presence on the other side of zero", flips, 0, flips == 0)
    yield Row(name, "logits, first three frames of a prompt", early, FREE_EARLY, early <= FREE_EARLY)
    yield Row(name, "logits, all steps", late, FREE_LATE, late <= FREE_LATE)
    yield Row(name, "share of other pixels at video size", wrong, MASK_SHARE, wrong <= MASK_SHARE)


def _predicted(
    network: Network, pictures: list[np.ndarray], case: Case
) -> dict[tuple[int, int], torch.Tensor]:
    """Logits of the scenario by the package's predictor, with everything kept."""
    run = OfficialRun(network.model, pictures, case.video_size)
    found = {}
    for step, outputs in run.outputs(case.acts):
        found |= {(key, step): kept["low_res_logits"] for key, kept in outputs.items()}
    return found


def _replay(
    session: Sam2Session, pictures: list[np.ndarray], case: Case
) -> tuple[Seen, dict[tuple[int, int], np.ndarray], list[list[int]]]:
    """The scenario through the session: newest tensors and masks of each (object, step), objects of each step."""
    ids: dict[int, int] = {}
    seen, masks, alive = {}, {}, []
    session.begin_clip(pictures)
    for step in range(len(pictures)):
        found = session.step()
        shown = {name: found[key] for name, key in ids.items()}
        for act in case.acts:
            if act.step != step:
                continue
            if act.removes:
                session.remove_object(ids.pop(act.object_id))
            elif act.object_id in ids:
                shown[act.object_id] = session.correct(ids[act.object_id], act)
            else:
                ids[act.object_id], shown[act.object_id] = session.add_object(act)
        for name, answer in shown.items():
            masks[name, step] = answer.mask
            logits = session.logits(ids[name]) if name in ids else None
            if logits is not None:
                seen[name, step] = {"logits": logits, "presence": torch.tensor([answer.presence])}
        alive.append(sorted(shown))
    return seen, masks, alive
