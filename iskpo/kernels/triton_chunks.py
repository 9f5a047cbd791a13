"""The arithmetic of the GPU kernels on chunks of a tile, (CHUNKS, STEPS) tokens; a thread takes a chunk.

A tile is taken apart into STEPS tensors (CHUNKS,), one for each token of a chunk: where a thread holds a chunk, they
are its registers. k and c are gain and threshold, d the state less that before the tile; `triton_kernels` says more.
"""

# A kernel's arguments are of Triton's types, which Triton does not declare to mypy.
# mypy: disable-error-code="assignment, import-untyped, no-untyped-call, no-untyped-def, untyped-decorator"

import triton
import triton.language as tl


@triton.jit
def run(z, k, before, STEPS: tl.constexpr):
    """Chunks without clipping, from d before each: their maps, and d after each token."""
    p, kept = tl.zeros_like(before), tl.zeros_like(before) + 1
    d, b = before, tl.zeros_like(before)
    after = ()
    for step in tl.static_range(STEPS):
        p += k[step] * kept
        kept -= k[step] * kept
        b += k[step] * (z[step] - b)
        d += k[step] * (z[step] - d)
        after = after + (d,)  # noqa: RUF005 - Triton knows no unpacking
    return p, b, after


@triton.jit
def run_clipped(z, k, c, before, FROM_ZERO: tl.constexpr, STEPS: tl.constexpr):
    """The same with clipping; from d = 0 a chunk's b is where it ends."""
    p, kept = tl.zeros_like(before), tl.zeros_like(before) + 1
    d, b = before, tl.zeros_like(before)
    after = ()
    for step in tl.static_range(STEPS):
        innovation = z[step] - d
        move = _clamped(innovation, c[step])
        inside = innovation == move
        weight = tl.where(inside, k[step], 0)
        p += weight * kept
        kept -= weight * kept
        d += k[step] * move
        if FROM_ZERO:
            b = d
        else:
            b += k[step] * tl.where(inside, z[step] - b, move)
        after = after + (d,)  # noqa: RUF005
    return p, b, after


@triton.jit
def _clamped(x, bound):
    """Between -bound and bound: one instruction for float32 on a recent GPU; for float64 Triton fails to write it."""
    if x.dtype == tl.float32:
        return tl.clamp(x, -bound, bound)
    else:
        return tl.minimum(tl.maximum(x, -bound), bound)


@triton.jit
def run_back(gradient, weight, message, STEPS: tl.constexpr):
    """The adjoint of chunks, from (1 - w) lambda of the token after each: their maps, and w lambda of each token."""
    p, kept = tl.zeros_like(message), tl.zeros_like(message) + 1
    b = message
    found = ()
    for step in tl.static_range(STEPS - 1, -1, -1):
        adjoint = gradient[step] + b
        share = weight[step] * adjoint
        b = adjoint - share
        p += weight[step] * kept
        kept -= weight[step] * kept
        found = (share,) + found  # noqa: RUF005
    return p, b, found


@triton.jit
def starts(p, b, chunk):
    """d before each chunk, from the maps of all."""
    _, ends = tl.associative_scan((p, b), 0, compose)
    return tl.where(chunk == 0, 0, tl.gather(ends, tl.maximum(chunk - 1, 0), 0))


@triton.jit
def compose(p, b, p_next, b_next):
    """First d -> (1 - p) d + b, then the same with p_next and b_next."""
    return p + (p_next - p_next * p), b + (b_next - p_next * b)


@triton.jit
def innovations_of(z, before, after, STEPS: tl.constexpr):
    """z - d of the token before."""
    found = ()
    for step in tl.static_range(STEPS):
        found = found + (z[step] - (before if step == 0 else after[step - 1]),)  # noqa: RUF005
    return found


@triton.jit
def exceeding(z, c, before, after, STEPS: tl.constexpr):
    """Whether each token was clipped: the comparison by which it was, of the same numbers."""
    flags = ()
    for step in tl.static_range(STEPS):
        innovation = z[step] - (before if step == 0 else after[step - 1])
        flags = flags + ((tl.abs(innovation) > c[step]).to(tl.uint8),)  # noqa: RUF005
    return flags


@triton.jit
def number_observed(flags):
    """Observed tokens of each chunk, four at a time: flags that lie in one word in memory are never taken apart."""
    four = flags.to(tl.int32).reshape([flags.shape[0], flags.shape[1] // 4, 4]) << (8 * tl.arange(0, 4))[None, None, :]
    word = tl.sum(tl.sum(four, 2), 1)
    return (word * 0x01010101) >> 24


@triton.jit
def seen_before(flags):
    """Observed tokens of the tile before each observed token."""
    each = number_observed(flags)
    return (tl.cumsum(each, 0) - each)[:, None] + tl.cumsum(flags.to(tl.int32), 1) - 1


@triton.jit
def sums(x, n, x_next, n_next):
    """Adds two pairs, for a reduction."""
    return x + x_next, n + n_next


@triton.jit
def bits(x):
    """To compare with; NaN too is the same as itself."""
    return x.to(tl.int32 if x.dtype == tl.float32 else tl.int64, bitcast=True)


@triton.jit
def columns(tile, STEPS: tl.constexpr):
    """(CHUNKS, STEPS) as STEPS tensors (CHUNKS,): where a thread holds a chunk, that moves no data."""
    if STEPS == 1:
        return (tile.reshape([tile.shape[0]]),)
    else:
        halves = tile.reshape([tile.shape[0], 2, STEPS // 2]).permute(0, 2, 1)
        left, right = tl.split(halves)
        return columns(left, STEPS // 2) + columns(right, STEPS // 2)


@triton.jit
def tile(columns, FIRST: tl.constexpr, STEPS: tl.constexpr):
    """The inverse, of STEPS columns from the first."""
    if STEPS == 1:
        return columns[FIRST].reshape([columns[FIRST].shape[0], 1])
    else:
        halves = tl.join(tile(columns, FIRST, STEPS // 2), tile(columns, FIRST + STEPS // 2, STEPS // 2))
        return halves.permute(0, 2, 1).reshape([halves.shape[0], STEPS])
