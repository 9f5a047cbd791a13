"""Rows of tokens cut into chunks that can be worked on side by side.

The layout is (L, B, C): step within the chunk, row, chunk. One step of all chunks of all rows is then contiguous.
"""

import torch
from torch import Tensor


def to_chunks(x: Tensor, count: int) -> Tensor:
    """(B, T) of any type to (L, B, count) float64 with L = ceil(T / count), padded with zeros at the end of the row."""
    rows, tokens = x.shape
    length = -(-tokens // count)
    chunks = x.new_zeros((length, rows, count), dtype=torch.float64)
    whole = tokens // max(1, length)
    chunks[:, :, :whole].copy_(x[:, : whole * length].reshape(rows, whole, length).permute(2, 0, 1))
    if tokens > whole * length:
        chunks[: tokens - whole * length, :, whole].copy_(x[:, whole * length :].T)
    return chunks


def from_chunks(x: Tensor, tokens: int) -> Tensor:
    """(L, B, C) back to (B, T), of the same type."""
    length, rows, count = x.shape
    return x.permute(1, 2, 0).reshape(rows, count * length)[:, :tokens]


def propagate(starts: Tensor, ends: Tensor, slopes: Tensor) -> Tensor:
    """Starts (B, C) that fit the chunk before each, when an end moves by slope x the move of its start.

    Args:
        starts: Starts that the chunks were run from; the first of each row is right.
        ends: Ends they reached.
        slopes: Derivative of each end by its start.

    Returns:
        New starts.
    """
    fitting = [starts[:, 0]]
    for guess, end, slope in zip(starts.unbind(1), ends.unbind(1), slopes.unbind(1), strict=True):
        fitting.append(torch.addcmul(end, slope, fitting[-1] - guess))
    return torch.stack(fitting[:-1], dim=1)
