"""Region encoder: from the features of a crop to the object tokens of one mask.

Follows PixelRefer and PixelRefer-Lite (arXiv 2510.23603): position code, selection by mask, k-means
to at most K tokens and, in Lite, infusion of the local and global views.
"""

import torch
from torch import Tensor, nn

from modeling.pixelrefer.attention import attend
from modeling.pixelrefer.config import CaptionerConfig

CLOSE_ATOL, CLOSE_RTOL = 1e-6, 1e-5
"""Centroids that move less than this are settled."""


def position_grid(grid: tuple[int, int], box: tuple[int, int, int, int], frame: tuple[int, int]) -> Tensor:
    """Position code input float32 [rows, columns, 2] of a crop.

    `box` is (top, left, bottom, right) in pixels of a `frame` (height, width). The axes are crossed:
    the column ramp carries the box's vertical extent and the row ramp its horizontal one. The published
    weights were trained so. Frames one pixel wide or high count as two, where the formula would divide by 0.
    """
    rows, columns = grid
    top, left, bottom, right = box
    height, width = frame
    across = (torch.arange(columns, dtype=torch.float32) / columns * (bottom - top) + top) / max(width - 1, 1)
    down = (torch.arange(rows, dtype=torch.float32) / rows * (right - left) + left) / max(height - 1, 1)
    return torch.stack((across.expand(rows, columns), down[:, None].expand(rows, columns)), dim=-1)


def select_cells(features: Tensor, mask: Tensor) -> Tensor:
    """Cells of `features` [fh,fw,C] where `mask` [gh,gw] is above 0, raster order, float32 [n,C].

    Features are brought to the mask's grid first. Cells that are exactly zero everywhere are left out.
    """
    cells = features.float()
    if cells.shape[:2] != mask.shape:
        resized = nn.functional.interpolate(
            cells.permute(2, 0, 1)[None],
            size=tuple(mask.shape),
            mode="bilinear",
            align_corners=False,
        )
        cells = resized[0].permute(1, 2, 0)
    chosen = cells[mask.to(cells.device) > 0]
    return chosen[(chosen != 0).any(-1)]


def even_start(counts: Tensor, limit: int) -> Tensor:
    """Deterministic starting rows [B,limit]: spread evenly over the first `counts[b]` rows."""
    steps = torch.arange(limit, device=counts.device) * 2 + 1
    return (steps[None] * counts[:, None]).div(2 * limit, rounding_mode="floor")


def merge_tokens(
    tokens: Tensor, counts: Tensor, limit: int, rounds: int, start: Tensor | None = None
) -> Tensor:
    """Cluster each object's tokens to at most `limit` by k-means.

    `tokens` [B,N,C], of which the first `counts[b]` rows are real; `start` int [B,limit]: rows used as
    first centroids (default: evenly spread). Objects of at most `limit` rows pass unchanged. Returns
    [B,limit,C] in the order of the first centroids, zero-padded at the end. An empty cluster keeps its
    centroid; an object stops before the update that would hardly move it.
    """
    batch, length, width = tokens.shape
    if length < limit:
        tokens = torch.cat((tokens, tokens.new_zeros(batch, limit - length, width)), dim=1)
    valid = torch.arange(tokens.shape[1], device=tokens.device) < counts[:, None]
    tokens = tokens * valid[..., None]
    crowded = counts > limit
    if not bool(crowded.any()):
        return tokens[:, :limit]
    if start is None:
        start = even_start(counts, limit)
    rows = torch.where(crowded[:, None], start.to(tokens.device), torch.arange(limit, device=tokens.device))
    centres = tokens.gather(1, rows[..., None].expand(-1, -1, width))
    return _cluster(tokens, valid, centres, rounds, settled=~crowded)


def _cluster(tokens: Tensor, valid: Tensor, centres: Tensor, rounds: int, settled: Tensor) -> Tensor:
    """Lloyd's rounds on padded batches; objects marked in `settled` keep their centres."""
    limit = centres.shape[1]
    for _ in range(rounds):
        with torch.no_grad():
            # Exact differences: near ties decide, and the expanded square loses digits.
            distance = torch.cdist(
                tokens.float(),
                centres.float(),
                compute_mode="donot_use_mm_for_euclid_dist",
            )
            member = nn.functional.one_hot(distance.argmin(-1), limit).to(tokens.dtype) * valid[..., None]
            sizes = member.sum(1)[..., None]
        means = member.transpose(1, 2) @ tokens / sizes.clamp(min=1)
        fresh = torch.where(sizes > 0, means, centres)
        close = torch.isclose(centres, fresh, atol=CLOSE_ATOL, rtol=CLOSE_RTOL).flatten(1).all(-1)
        settled = settled | close
        if bool(settled.all()):
            break
        centres = torch.where(settled[:, None, None], centres, fresh)
    return centres


def pad_tokens(pieces: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Lists of [n_i,C] -> ([B,max n,C] zero-padded, counts int64 [B])."""
    counts = torch.tensor([piece.shape[0] for piece in pieces], device=pieces[0].device)
    return nn.utils.rnn.pad_sequence(pieces, batch_first=True), counts


class InfusionAttention(nn.Module):
    """Cross-attention from object tokens to a view, with the packed parameters of published weights."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        if not self.in_proj_weight.is_meta:
            nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, query: Tensor, view: Tensor, mask: Tensor | None = None) -> Tensor:
        """`query` [M,K,C] looks at `view` [M,T,C], where `mask` bool [M,T] allows it -> [M,K,C]."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (
            self._split(nn.functional.linear(source, weight, bias))
            for source, weight, bias in zip((query, view, view), weights, biases, strict=True)
        )
        return self.out_proj(
            attend(q, k, v, None if mask is None else mask[:, None, None]).transpose(1, 2).flatten(2)
        )

    def _split(self, states: Tensor) -> Tensor:
        return states.view(*states.shape[:2], self.heads, -1).transpose(1, 2)


class ObjectTokenizer(nn.Module):
    """Position code and output layers shared by both frameworks."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        width, out = config.vision.width, config.language.width
        self.limit, self.rounds = config.mask_num, config.cluster_rounds
        self.pos_linear = nn.Linear(2, width)
        self.feat_linear = nn.Sequential(nn.Linear(width, out), nn.GELU(), nn.Linear(out, out))

    def position(self, position_xy: Tensor) -> Tensor:
        """Position code [...,Cv] of inputs [...,2]."""
        return self.pos_linear(position_xy.to(self.pos_linear.weight.dtype))

    def select(self, features: Tensor, position_xy: Tensor, mask: Tensor) -> Tensor:
        """Cells of one mask, position code added: features [fh,fw,Cv] -> float32 [n,Cv]."""
        return select_cells(features + self.position(position_xy.to(features.device)), mask)

    def merge(self, pieces: list[Tensor], start: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Cells of each mask -> (at most K tokens each, zero-padded [M,K,Cv]; how many are real [M])."""
        padded, counts = pad_tokens(pieces)
        return merge_tokens(padded, counts, self.limit, self.rounds, start), counts.clamp(max=self.limit)


class LiteRegionEncoder(ObjectTokenizer):
    """Object-centric infusion of PixelRefer-Lite."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__(config)
        width = config.vision.width
        # Present in published weights, never used in a forward pass.
        self.mask_embedding = nn.Conv2d(1, width, 1)
        self.mask_embedding.requires_grad_(False)
        self.ln_local, self.ln_global = nn.LayerNorm(width), nn.LayerNorm(width)
        self.fusion_attention_local = InfusionAttention(width, config.infusion_heads)
        self.fusion_attention_global = InfusionAttention(width, config.infusion_heads)

    def infuse_local(self, query: Tensor, view: Tensor, mask: Tensor | None = None) -> Tensor:
        """Add what the local view [M,T,Cv] says, or its cells in `mask` [M,T], to the tokens [M,K,Cv].

        Padding rows of the tokens take part.
        """
        return query + self.fusion_attention_local(self.ln_local(query), view, mask)

    def infuse_global(self, query: Tensor, view: Tensor) -> Tensor:
        """Add what the global view [M,T,Cv] says to the tokens [M,K,Cv]."""
        return query + self.fusion_attention_global(self.ln_global(query), view)

    def infuse(self, query: Tensor, local_view: Tensor, global_view: Tensor) -> Tensor:
        """Both infusions and the output layers: [M,K,Cv] -> embeddings [M,K,C]."""
        return self.feat_linear(self.infuse_global(self.infuse_local(query, local_view), global_view))
