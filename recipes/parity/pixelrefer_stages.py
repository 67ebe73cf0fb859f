"""Each stage by itself: stored input in, result compared with the stored output."""

import torch
from torch import Tensor

from modeling.pixelrefer.model import CaptionNetwork, PixelRefer, PixelReferLite
from modeling.pixelrefer.region import LiteRegionEncoder
from modeling.pixelrefer.scene import merge_cells
from recipes.parity.pixelrefer_cases import FEATURE, LOGIT, Case, packer_of
from recipes.parity.table import Row, compare


def scene_stage_rows(network: PixelRefer, case: Case) -> list[Row]:
    """Stages of the vision-object framework."""
    values = case.values
    found = [_encoder_row(network, case, view) for view in ("scene", "crop")]
    scene = case.packed("scene", packer_of(network.config))
    pieces = values["scene.encoder_out"].split(scene.counts)
    merged = torch.cat([merge_cells(pieces[image], scene.stride) for image in case.unique("scene")])
    found.append(compare(case.title, "scene merged", merged, values["scene.downsampled"], FEATURE))
    projected = network.model.mm_projector(values["scene.downsampled"])
    found.append(compare(case.title, "scene projected", projected, values["scene.projected"], FEATURE))
    found += _token_rows(network, case)
    merged_tokens = torch.cat([values[f"object{i}.tokens_after_merge"] for i in range(case.masks)])
    embeddings = network.model.region_encoder.feat_linear(merged_tokens)
    found.append(compare(case.title, "object embeddings", embeddings, values["objects.embeddings"], FEATURE))
    return found + _language_rows(network, case)


def lite_stage_rows(network: PixelReferLite, case: Case) -> list[Row]:
    """Stages of the object-only framework."""
    found = [_encoder_row(network, case, view) for view in ("crop", "local", "global")]
    return found + _token_rows(network, case) + _infusion_rows(network, case) + _language_rows(network, case)


def _encoder_row(network: CaptionNetwork, case: Case, view: str) -> Row:
    ours = network.encode_images(case.packed(view, packer_of(network.config)))
    return compare(case.title, f"{view} encoder", ours, case.values[f"{view}.encoder_out"], FEATURE)


def _token_rows(network: CaptionNetwork, case: Case) -> list[Row]:
    """Selection and clustering of every mask."""
    region, values = network.model.region_encoder, case.values
    counts = [int(grid.prod()) for grid in case.grids("crop")]
    pieces = values["crop.encoder_out"].split(counts)
    starts = case.starts(region.limit)
    code = region.position(values["object0.pos_xy"])
    found = [compare(case.title, "position code", code, values["object0.pos_embed"], FEATURE)]
    for number, (image, cells) in enumerate(zip(case.unique("crop"), case.cells(), strict=True)):
        piece = pieces[image].unflatten(0, cells.position_xy.shape[:2])
        chosen = region.select(piece, cells.position_xy, cells.grid)
        stored = values[f"object{number}.tokens_before_merge"]
        found.append(compare(case.title, f"object{number} cells", chosen, stored, FEATURE))
        merged, count = region.merge([stored], starts[number : number + 1])
        wanted = values[f"object{number}.tokens_after_merge"]
        found.append(compare(case.title, f"object{number} tokens", merged[0, : count[0]], wanted, FEATURE))
    return found


def _infusion_rows(network: PixelReferLite, case: Case) -> list[Row]:
    region, values = network.model.region_encoder, case.values
    assert isinstance(region, LiteRegionEncoder)
    pieces = [values[f"object{i}.tokens_after_merge"] for i in range(case.masks)]
    query = torch.stack([_padded(piece, region.limit) for piece in pieces])
    after_local = region.infuse_local(values["infusion.query"], _views(case, "local"))
    after_global = region.infuse_global(values["infusion.after_local"], _views(case, "global"))
    embeddings = region.feat_linear(values["infusion.after_global"]).flatten(0, 1)
    made = (
        ("padded tokens", query, "infusion.query"),
        ("after local view", after_local, "infusion.after_local"),
        ("after global view", after_global, "infusion.after_global"),
        ("object embeddings", embeddings, "objects.embeddings"),
    )
    return [compare(case.title, stage, ours, values[key], FEATURE) for stage, ours, key in made]


def _padded(tokens: Tensor, limit: int) -> Tensor:
    return torch.cat((tokens, tokens.new_zeros(limit - len(tokens), tokens.shape[1])))


def _views(case: Case, view: str) -> Tensor:
    features = case.values[f"{view}.encoder_out"]
    return features.view(len(case.grids(view)), -1, features.shape[1])[case.unique(view)]


def _language_rows(network: CaptionNetwork, case: Case) -> list[Row]:
    """Logits of the stored embeddings, then of the stored answer read token by token."""
    embeds, answer = case.values["inputs_embeds"], case.values["generated_ids"]
    prefill, steps = run_language(network, embeds, answer)
    shown = case.values["prefill_logits"]
    return [
        compare(case.title, "prompt logits", prefill[-len(shown) :], shown, LOGIT),
        compare(case.title, "answer logits", steps, case.values["step_logits"], LOGIT),
    ]


def run_language(network: CaptionNetwork, embeds: Tensor, answer: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of all prompt positions [S,V], and before each token of a given answer [n,V], cached."""
    cache = network.new_cache(len(embeds) + len(answer))
    prompt = network.logits(network.decode(embeds[None], cache=cache))[0]
    steps = [prompt[-1]]
    for token in answer[:-1]:
        steps.append(
            network.logits(network.decode(network.embed_tokens(token.view(1, 1)), cache=cache))[0, -1]
        )
    return prompt, torch.stack(steps)
