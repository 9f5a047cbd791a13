r"""The GPU kernels of `iskpo.kernels.triton_scan`: one program a row, one tile of it after the other.

A tile is (CHUNKS, STEPS) tokens. A thread takes a chunk, STEPS tokens in a row, and runs the recurrence through them as
written, in registers, from a guess of the state before the chunk; only the chunks are linked by a scan. As long as no
token becomes clipped or ceases to be, a chunk is an affine map d -> (1 - p) d + b. So: run all chunks from guesses,
scan their maps for better guesses, repeat until the maps stay as they are, to the last bit: those states reproduce
themselves, and the trajectory found from them is the exact solution. It is always reached, without a cap, because what
a chunk does depends on the chunks before it alone: every pass settles at least one more. The first guess is the state
before the tile. Two or three passes do for noise, where a whole tile as one scan took as many, each more than twice as
dear; the worst case is as many as there are chunks.

To keep the digits of the arithmetic, which is that of z, at a small gain, states are d = rho - (rho before the tile),
and a map is held as (p, b): neither 1 - K nor a product of such is ever formed, except where it scales p.

Tables are read at the number of observed tokens. In a tile without holes that is a run of entries, and read as one.
"""

# A kernel's arguments are of Triton's types, which Triton does not declare to mypy.
# mypy: disable-error-code="assignment, import-untyped, no-untyped-call, no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

from iskpo.kernels.triton_chunks import (
    bits,
    columns,
    compose,
    exceeding,
    innovations_of,
    number_observed,
    run,
    run_back,
    run_clipped,
    seen_before,
    starts,
    sums,
    tile,
)


@triton.jit
def filter_kernel(
    z_ptr,
    observed_ptr,
    gain_ptr,
    threshold_ptr,
    rho_ptr,
    clipped_ptr,
    count_ptr,
    innovation_ptr,
    tokens,
    RHO0: tl.constexpr,  # a float argument would be rounded to float32
    CHUNKS: tl.constexpr,
    STEPS: tl.constexpr,
):
    """Either rho, clip flags, and of each row the number n of observed tokens, -1 - n if an innovation is not finite;
    or innovations.
    """
    TILE: tl.constexpr = CHUNKS * STEPS
    chunk = tl.arange(0, CHUNKS)
    place = chunk[:, None] * STEPS + tl.arange(0, STEPS)[None, :]
    row = tl.program_id(0).to(tl.int64) * tokens
    dtype = z_ptr.dtype.element_ty
    state = tl.full((), RHO0, dtype)
    count = tl.full((), 0, tl.int32)
    spoilt = tl.zeros((CHUNKS,), dtype)
    z_next = tl.load(z_ptr + row + place, place < tokens, other=0)
    flag_next = tl.load(observed_ptr + row + place, place < tokens, other=0)
    present = tl.sum(number_observed(flag_next), 0)
    for start in range(0, tokens, TILE):
        token = start + place
        flag = flag_next
        measured = z_next - state
        # The next tile is on its way while this one is worked on.
        ahead = token + TILE
        z_next = tl.load(z_ptr + row + ahead, ahead < tokens, other=0)
        flag_next = tl.load(observed_ptr + row + ahead, ahead < tokens, other=0)

        dense = (present == TILE) & (count % STEPS == 0)
        if dense:
            seen = count // STEPS * STEPS + place
            gain = tl.load(gain_ptr + seen)
            limit = gain if threshold_ptr is None else tl.load(threshold_ptr + seen)
        else:
            observed = flag != 0
            measured = tl.where(observed, measured, 0)
            seen = count + seen_before(flag)
            gain = tl.load(gain_ptr + seen, observed, other=0)
            limit = gain if threshold_ptr is None else tl.load(threshold_ptr + seen, observed, other=0)
        count += present
        spoilt += tl.sum(measured * 0, 1)  # 0 if all are finite, else NaN

        z, k = columns(measured, STEPS), columns(gain, STEPS)
        before = tl.zeros((CHUNKS,), dtype)
        if threshold_ptr is None:
            p, b, _ = run(z, k, before, STEPS)
            before = starts(p, b, chunk)
            _, _, after = run(z, k, before, STEPS)
        else:
            c = columns(limit, STEPS)
            p, b, after = run_clipped(z, k, c, before, True, STEPS)
            unsettled = 1
            while unsettled > 0:
                before = starts(p, b, chunk)
                p_found, b_found, after = run_clipped(z, k, c, before, False, STEPS)
                changed = (bits(p_found) != bits(p)) | (bits(b_found) != bits(b))
                unsettled = tl.max(changed.to(tl.int32), 0)
                p, b = p_found, b_found

        valid = token < tokens
        if innovation_ptr is None:
            rho = state + tile(after, 0, STEPS)
            if threshold_ptr is None:
                clipped = tl.zeros((CHUNKS, STEPS), tl.uint8)
            else:
                clipped = tile(exceeding(z, c, before, after, STEPS), 0, STEPS)
            if dense:
                tl.store(rho_ptr + row + token, rho, valid)
                tl.store(clipped_ptr + row + token, clipped, valid)
            else:
                tl.store(rho_ptr + row + token, tl.where(flag != 0, rho, 0), valid)
                tl.store(clipped_ptr + row + token, tl.where(flag != 0, clipped, 0), valid)
        else:
            innovation = tile(innovations_of(z, before, after, STEPS), 0, STEPS)
            tl.store(innovation_ptr + row + token, tl.where(flag != 0, innovation, 0), valid)
        last = tl.where(chunk == CHUNKS - 1, after[STEPS - 1], 0)
        moved, present = tl.reduce((last, number_observed(flag_next)), 0, sums)
        state += moved
    if innovation_ptr is None:
        tl.store(count_ptr + tl.program_id(0), tl.where(tl.sum(spoilt, 0) == 0, count, -1 - count))


@triton.jit
def adjoint_kernel(
    gradient_ptr,
    observed_ptr,
    clipped_ptr,
    gain_ptr,
    count_ptr,
    result_ptr,
    tokens,
    CHUNKS: tl.constexpr,
    STEPS: tl.constexpr,
):
    """The gradient by z. Time runs backwards, and the number of observed tokens down from each row's count."""
    TILE: tl.constexpr = CHUNKS * STEPS
    chunk = tl.arange(0, CHUNKS)
    place = chunk[:, None] * STEPS + tl.arange(0, STEPS)[None, :]
    row = tl.program_id(0).to(tl.int64) * tokens
    count = tl.load(count_ptr + tl.program_id(0))
    count = tl.maximum(count, -1 - count)
    message = tl.full((), 0, gradient_ptr.dtype.element_ty)  # (1 - w) lambda of the first token of the tile after
    tiles = tl.cdiv(tokens, TILE)
    token = (tiles - 1) * TILE + place
    gradient_next = tl.load(gradient_ptr + row + token, token < tokens, other=0)
    flag_next = tl.load(observed_ptr + row + token, token < tokens, other=0)
    clipped_next = tl.load(clipped_ptr + row + token, token < tokens, other=0)
    present = tl.sum(number_observed(flag_next), 0)
    for done in range(0, tiles):
        token = (tiles - 1 - done) * TILE + place
        gradient, flag, clipped = gradient_next, flag_next, clipped_next
        behind = token - TILE
        gradient_next = tl.load(gradient_ptr + row + behind, behind >= 0, other=0)
        flag_next = tl.load(observed_ptr + row + behind, behind >= 0, other=0)
        clipped_next = tl.load(clipped_ptr + row + behind, behind >= 0, other=0)

        count -= present
        if (present == TILE) & (count % STEPS == 0):
            weight = tl.load(gain_ptr + count // STEPS * STEPS + place)
        else:
            gradient = tl.where(flag != 0, gradient, 0)
            weight = tl.load(gain_ptr + count + seen_before(flag), flag != 0, other=0)
        g, w = columns(gradient, STEPS), columns(tl.where(clipped != 0, 0, weight), STEPS)
        # The last chunk of the tile takes the message in, the others get it by the scan.
        after = tl.where(chunk == CHUNKS - 1, message, 0)
        p, b, _ = run_back(g, w, after, STEPS)
        _, messages = tl.associative_scan((p, b), 0, compose, reverse=True)
        first = tl.where(chunk == 0, messages, 0)
        shifted = tl.gather(messages, tl.minimum(chunk + 1, CHUNKS - 1), 0)
        after = tl.where(chunk == CHUNKS - 1, message, shifted)
        _, _, found = run_back(g, w, after, STEPS)
        tl.store(result_ptr + row + token, tile(found, 0, STEPS), token < tokens)
        message, present = tl.reduce((first, number_observed(flag_next)), 0, sums)
