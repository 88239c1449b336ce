"""Fused kernels in Triton, compiled at first use.

Tensors are (N,C,H,W) in any layout, given by their strides. Channels are the fastest axis of a tile, as in
channels_last.

``code`` is one byte per pooled value: the winner's place in its 2x2 window (row * 2 + column), or 4 where the ReLU's
output is zero.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def cells_of(P: tl.constexpr, total, height, width):
    """Return this program's pixels of a map: sample, row, column, and which of them exist."""
    p = tl.program_id(0).to(tl.int64) * P + tl.arange(0, P)
    return p // (height * width), p % (height * width) // width, p % width, p < total


@triton.jit
def relu_pool(
    value, pooled, code, total, height, width, channels,
    vn, vc, vy, vx, pn, pc, py, px, RELU: tl.constexpr, P: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """ReLU (if RELU) and 2x2 max of each window, with its code. height, width, total are those of ``pooled``."""
    n, y, x, there = cells_of(P, total, height, width)
    c = tl.program_id(1) * B + tl.arange(0, B)
    inside = there[:, None] & (c < channels)[None, :]
    corner = value + (n * vn + 2 * y * vy + 2 * x * vx)[:, None] + (c * vc)[None, :]
    best = tl.load(corner, mask=inside, other=0.0)
    place = tl.zeros([P, B], tl.int32)
    for i in tl.static_range(1, 4):
        v = tl.load(corner + (i // 2) * vy + (i % 2) * vx, mask=inside, other=0.0)
        wins = (v > best) | (v != v)  # the first of equals wins, and NaN beats all, as in torch's pool
        best = tl.where(wins, v, best)
        place = tl.where(wins, i, place)
    if RELU:
        off = best <= 0
        best = tl.where(off, 0.0, best)
        place = tl.where(off, 4, place)
    to = (n * pn + y * py + x * px)[:, None] + (c * pc)[None, :]
    tl.store(pooled + to, best, mask=inside)
    tl.store(code + to, place.to(tl.uint8), mask=inside)


@triton.jit
def gather(
    tangent, code, out, total, height, width, channels,
    vn, vc, vy, vx, pn, pc, py, px, P: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """Read the value at each window's winner; 0 where there is no winner."""
    n, y, x, there = cells_of(P, total, height, width)
    c = tl.program_id(1) * B + tl.arange(0, B)
    inside = there[:, None] & (c < channels)[None, :]
    to = (n * pn + y * py + x * px)[:, None] + (c * pc)[None, :]
    place = tl.load(code + to, mask=inside, other=4).to(tl.int32)
    at = (
        tangent + (n * vn + 2 * y * vy + 2 * x * vx)[:, None] + (c * vc)[None, :] + (place // 2) * vy + (place % 2) * vx
    )
    tl.store(out + to, tl.load(at, mask=inside & (place < 4), other=0.0), mask=inside)


@triton.jit
def scatter(
    cotangent, code, out, total, height, width, channels,
    vn, vc, vy, vx, pn, pc, py, px, P: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """Write each window's value to its winner, 0 to the other three places."""
    n, y, x, there = cells_of(P, total, height, width)
    c = tl.program_id(1) * B + tl.arange(0, B)
    inside = there[:, None] & (c < channels)[None, :]
    at = (n * pn + y * py + x * px)[:, None] + (c * pc)[None, :]
    place = tl.load(code + at, mask=inside, other=4).to(tl.int32)
    g = tl.load(cotangent + at, mask=inside, other=0.0)
    corner = out + (n * vn + 2 * y * vy + 2 * x * vx)[:, None] + (c * vc)[None, :]
    for i in tl.static_range(4):
        tl.store(corner + (i // 2) * vy + (i % 2) * vx, tl.where(place == i, g, 0.0), mask=inside)


@triton.jit
def leak(tangent, chosen, out, total, slope, P: tl.constexpr):
    """Write the tangent where ``chosen`` is above 0, else ``slope`` times it. All memory is dense and in one order."""
    p = tl.program_id(0).to(tl.int64) * P + tl.arange(0, P)
    t = tl.load(tangent + p, mask=p < total, other=0.0)
    positive = tl.load(chosen + p, mask=p < total, other=0) > 0
    tl.store(out + p, tl.where(positive, t, (t * slope).to(t.dtype)), mask=p < total)


@triton.jit
def stem(
    value, weight, bias, code, out, total, height, width, full_height, full_width, channels,
    vn, vc, vy, vx, pn, pc, py, px, CHOOSES: tl.constexpr, EXACT: tl.constexpr,
    INS: tl.constexpr, K: tl.constexpr, P: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """3x3 convolution of INS channels (padding 1), ReLU and 2x2 pool; intermediate values never leave the chip.

    With CHOOSES the bias is added, the winners are found and written to ``code``; otherwise ``code`` gives the winners
    and there is no bias. ``weight`` is contiguous (channels, INS, 3, 3); K is a power of 2, at least 9 INS. height and
    width are those of the pooled map.
    """
    n, y, x, there = cells_of(P, total, height, width)
    c = tl.program_id(1) * B + tl.arange(0, B)
    inside = there[:, None] & (c < channels)[None, :]
    k = tl.arange(0, K)
    used = k < 9 * INS
    w = tl.load(weight + (c * 9 * INS)[None, :] + k[:, None], mask=used[:, None] & (c < channels)[None, :], other=0.0)
    to = (n * pn + y * py + x * px)[:, None] + (c * pc)[None, :]
    best = tl.zeros([P, B], tl.float32)
    place = tl.zeros([P, B], tl.int32)
    if CHOOSES:
        best += float("-inf")
        b = tl.load(bias + c, mask=c < channels, other=0.0).to(tl.float32)
    else:
        place = tl.load(code + to, mask=inside, other=4).to(tl.int32)
    for i in tl.static_range(4):
        row = (2 * y + i // 2)[:, None] + (k % 9 // 3 - 1)[None, :]
        column = (2 * x + i % 2)[:, None] + (k % 3 - 1)[None, :]
        seen = there[:, None] & used[None, :] & (row >= 0) & (row < full_height) & (column >= 0) & (column < full_width)
        at = value + (n * vn)[:, None] + (k // 9 * vc)[None, :] + row * vy + column * vx
        patch = tl.load(at, mask=seen, other=0.0)
        conv = tl.dot(patch, w, input_precision="ieee" if EXACT else "tf32")
        if CHOOSES:
            conv += b[None, :]
            wins = (conv > best) | (conv != conv)
            best = tl.where(wins, conv, best)
            place = tl.where(wins, i, place)
        else:
            best = tl.where(place == i, conv, best)
    if CHOOSES:
        off = best <= 0
        best = tl.where(off, 0.0, best)
        place = tl.where(off, 4, place)
        tl.store(code + to, place.to(tl.uint8), mask=inside)
    tl.store(out + to, best.to(out.dtype.element_ty), mask=inside)


@triton.jit
def stem_vjp(
    cotangent, code, weight, out, total, height, width, pooled_height, pooled_width, full_height, full_width, channels,
    pn, pc, py, px, vn, vc, vy, vx, EXACT: tl.constexpr, INS: tl.constexpr, BLOCKS: tl.constexpr,
    P: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """J^T (vjp) of ``stem``. height and width count 2x2 blocks of ``out``, including those cut off by an odd side.

    The four pixels of a block contribute to 4x4 outputs of the convolution, which belong to 3x3 windows. For each of
    these outputs one product gives its contribution to all four pixels and INS channels: the columns of a tile of 16.
    """
    n, y, x, there = cells_of(P, total, height, width)
    column16 = tl.arange(0, 16)
    oy, ox, channel = column16 // (2 * INS), column16 // INS % 2, column16 % INS
    real = column16 < 4 * INS
    sums = tl.zeros([P, 16], tl.float32)
    for block in range(BLOCKS):
        c = block * B + tl.arange(0, B)
        for cell in tl.static_range(9):
            dy, dx = cell // 3 - 1, cell % 3 - 1
            inside = there & (y + dy >= 0) & (y + dy < pooled_height) & (x + dx >= 0) & (x + dx < pooled_width)
            both = inside[:, None] & (c < channels)[None, :]
            at = (n * pn + (y + dy) * py + (x + dx) * px)[:, None] + (c * pc)[None, :]
            g = tl.load(cotangent + at, mask=both, other=0.0)
            place = tl.load(code + at, mask=both, other=4).to(tl.int32)
            for i in tl.static_range(4):
                sees_row = 2 * dy + i // 2 >= -1 and 2 * dy + i // 2 <= 2  # of the 4x4 places
                if sees_row and 2 * dx + i % 2 >= -1 and 2 * dx + i % 2 <= 2:
                    ky, kx = oy - 2 * dy - i // 2 + 1, ox - 2 * dx - i % 2 + 1
                    touches = real & (ky >= 0) & (ky < 3) & (kx >= 0) & (kx < 3)
                    at_weight = weight + (c * 9 * INS)[:, None] + (channel * 9 + ky * 3 + kx)[None, :]
                    w = tl.load(at_weight, mask=(c < channels)[:, None] & touches[None, :], other=0.0)
                    chosen = tl.where(place == i, g, 0.0).to(g.dtype)
                    sums = tl.dot(chosen, w, sums, input_precision="ieee" if EXACT else "tf32")
    row, column = (2 * y)[:, None] + oy[None, :], (2 * x)[:, None] + ox[None, :]
    fits = there[:, None] & real[None, :] & (row < full_height) & (column < full_width)
    to = out + (n * vn)[:, None] + (channel * vc)[None, :] + row * vy + column * vx
    tl.store(to, sums.to(out.dtype.element_ty), mask=fits)


@triton.jit
def stem_gradient(
    cotangent, value, code, partial, total, height, width, full_height, full_width, channels,
    pn, pc, py, px, vn, vc, vy, vx, EXACT: tl.constexpr, INS: tl.constexpr, K: tl.constexpr, STEPS: tl.constexpr,
    P: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """Gradients of <cotangent, stem(value)>: sums (programs, channels, K), columns as in ``stem``, then the bias.

    Each program sums STEPS tiles of P windows; the caller adds these sums in a fixed order.
    """
    c = tl.program_id(1) * B + tl.arange(0, B)
    k = tl.arange(0, K)
    sums = tl.zeros([B, K], tl.float32)
    for step in range(STEPS):
        p = (tl.program_id(0).to(tl.int64) * STEPS + step) * P + tl.arange(0, P)
        n, y, x, there = p // (height * width), p % (height * width) // width, p % width, p < total
        inside = there[None, :] & (c < channels)[:, None]
        at = (n * pn + y * py + x * px)[None, :] + (c * pc)[:, None]
        g = tl.load(cotangent + at, mask=inside, other=0.0)
        place = tl.load(code + at, mask=inside, other=4).to(tl.int32)
        for i in tl.static_range(4):
            row = (2 * y + i // 2)[:, None] + (k % 9 // 3 - 1)[None, :]
            column = (2 * x + i % 2)[:, None] + (k % 3 - 1)[None, :]
            seen = there[:, None] & (k < 9 * INS)[None, :]
            seen = seen & (row >= 0) & (row < full_height) & (column >= 0) & (column < full_width)
            patch_at = value + (n * vn)[:, None] + (k // 9 * vc)[None, :] + row * vy + column * vx
            patch = tl.load(patch_at, mask=seen, other=0.0)
            patch = tl.where((k == 9 * INS)[None, :], 1.0, patch).to(patch.dtype)
            chosen = tl.where(place == i, g, 0.0).to(g.dtype)
            sums = tl.dot(chosen, patch, sums, input_precision="ieee" if EXACT else "tf32")
    to = partial + (tl.program_id(0) * channels + c)[:, None] * K + k[None, :]
    tl.store(to, sums, mask=(c < channels)[:, None] & (k < K)[None, :])
