"""A whole case from raw pixels: preparation, embeddings, logits, generated ids."""

import torch
from torch import Tensor

from modeling.pixelrefer.crops import crop_lite, crop_object, global_view
from modeling.pixelrefer.generate import Captioner
from modeling.pixelrefer.images import patch_rows
from modeling.pixelrefer.inputs import LiteViews
from modeling.pixelrefer.model import PixelRefer
from modeling.pixelrefer.processor import Prepared, kept_counts
from modeling.pixelrefer.prompt import place_regions, region_tag, render, scene_images, scene_video
from modeling.pixelrefer.request import Request
from recipes.parity.pixelrefer_cases import EXACT, FEATURE, GRID, LOGIT, Case
from recipes.parity.pixelrefer_stages import run_language
from recipes.parity.table import Row, compare, equal

ODD_PIXEL_SHARE = 1e-3
"""Share of pixels that may be off by one where library builds round differently."""


def chained_rows(captioner: Captioner, case: Case) -> list[Row]:
    """Rows for every value that our own pipeline makes from the case's pixels and instruction."""
    request = case.request()
    prepared = captioner.processor.prepare(request)
    found = [*_pixel_rows(captioner, case, request), *_view_rows(case, prepared)]
    found.append(_prompt_row(captioner, case, request, prepared))
    embeds = _embed(captioner, case, prepared)
    found.append(compare(case.title, "chained embeddings", embeds, case.values["inputs_embeds"], FEATURE))
    shown, answer = case.values["prefill_logits"], case.values["generated_ids"]
    prompt, steps = run_language(captioner.network, embeds, answer)
    found.append(compare(case.title, "chained prompt logits", prompt[-len(shown) :], shown, LOGIT))
    found.append(compare(case.title, "chained answer logits", steps, case.values["step_logits"], LOGIT))
    return [*found, _answer_row(case, steps)]


def _embed(captioner: Captioner, case: Case, prepared: Prepared) -> Tensor:
    """The prompt's embeddings with the stored first centroids."""
    return captioner.embed(prepared, case.starts(captioner.network.config.mask_num))


def _answer_row(case: Case, steps: Tensor) -> Row:
    """Greedy choices after each stored prefix. A choice between scores closer than our error counts as equal."""
    stored, wanted = case.values["step_logits"], case.values["generated_ids"]
    error = (steps - stored).abs().max()
    margin = stored.gather(1, wanted[:, None])[:, 0] - stored.gather(1, steps.argmax(-1, keepdim=True))[:, 0]
    wrong = int((margin > 2 * error).sum())
    note = f"smallest margin {float(_margins(stored).min()):.1e}"
    return Row(case.title, "chained ids", float(wrong), EXACT, wrong == 0, note)


def _margins(scores: Tensor) -> Tensor:
    best = scores.topk(2).values
    return best[:, 0] - best[:, 1]


def _prompt_row(captioner: Captioner, case: Case, request: Request, prepared: Prepared) -> Row:
    """Token ids of the prompt. Stored ones come before unchanged scene cells are dropped, so ours are remade so."""
    ids = prepared.ids
    if not isinstance(prepared.views, LiteViews):
        merged = [count // prepared.views.scene.stride**2 for count in prepared.views.scene.counts]
        times = request.times_s
        scene = scene_images(merged) if times is None else scene_video(times.tolist(), merged)
        tags = [region_tag(count) for count in case.info["token_counts"]]
        content = scene + place_regions(request.instruction, tags)
        ids = torch.tensor(captioner.tokenizer.encode(render(content)))
    return equal(case.title, "prompt ids", ids.tolist(), case.values["prompt_ids"].tolist())


def _pixel_rows(captioner: Captioner, case: Case, request: Request) -> list[Row]:
    """Patches before normalisation, one row a list of images."""
    network, order = captioner.network, request.order()
    masks, at = request.full_masks(), [int(request.mask_frames[number]) for number in order]
    if isinstance(network, PixelRefer):
        crops = [
            crop_object(request.frames[f], masks[m], network.config) for f, m in zip(at, order, strict=True)
        ]
        lists = {"crop": [crop.image for crop in crops if crop is not None], "scene": list(request.frames)}
    else:
        cuts = [
            crop_lite(request.frames[f], masks[m], network.config) for f, m in zip(at, order, strict=True)
        ]
        first = [at.index(frame) for frame in at]
        lists = {
            "crop": [cut.crop.image for cut in cuts],
            "local": [cuts[number].local_view for number in first],
            "global": [global_view(request.frames[frame], network.config) for frame in at],
        }
    return [_patch_row(captioner, case, view, images) for view, images in lists.items()]


def _patch_row(captioner: Captioner, case: Case, view: str, images: list) -> Row:
    edge, stride = captioner.network.config.vision.patch_px, int(case.values[f"{view}.strides"][0])
    of_image = case.unique(view)
    cut = captioner.processor.packer.cut(images, stride)
    kept = [cut[of_image.index(number)] for number in range(max(of_image) + 1)]
    ours = torch.cat([torch.from_numpy(patch_rows(image, edge, stride)) for image in kept])
    stored = case.values[f"{view}.patches_u8"]
    row = compare(case.title, f"{view} pixels", ours.short(), stored.short(), EXACT)
    if row.ok or row.difference > 1:
        return row
    share = float((ours != stored).float().mean())
    note = f"off by one on {share:.2%} of pixels"
    return Row(row.case, row.stage, row.difference, 1.0, share <= ODD_PIXEL_SHARE, note)


def _view_rows(case: Case, prepared: Prepared) -> list[Row]:
    """Mask grids, position inputs and token counts of every mask."""
    views = prepared.views
    lite = isinstance(views, LiteViews)
    found = []
    for number, (ours, stored) in enumerate(zip(views.masks, case.cells(), strict=True)):
        grid = GRID if lite else EXACT
        found.append(compare(case.title, f"object{number} mask grid", ours.grid, stored.grid, grid))
        same = compare(case.title, f"object{number} positions", ours.position_xy, stored.position_xy, GRID)
        found.append(same)
    if not lite:
        dropped = case.info["prompt_length_before_compression"] - case.info["llm_sequence_length"]
        ours = sum(views.scene.counts) // views.scene.stride**2 - sum(kept_counts(views))
        found.append(equal(case.title, "scene cells dropped", [ours], [dropped]))
    return found
