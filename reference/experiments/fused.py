"""E_q log p(x | z) of VAE-3 and its gradient, in one Triton kernel over all samples of z.

The decoder's hidden units, 50 in each of two layers, are padded to 64. Number 50 is always 1, so
that the gradient of a layer's weights holds that of its biases.
"""

import torch
import triton
import triton.language as tl
from torch.nn.functional import pad

UNITS, OUT = 64, 16


@triton.jit
def _kernel(
    Z,
    X,
    W1,
    B1,
    W2,
    B2,
    WM,
    BM_,
    WS,
    BS,
    DZ,
    DW1,
    DW2,
    DWM,
    DWS,
    LOSS,
    R,
    P,
    B,
    D,
    G,
    ITER,
    ONE: tl.constexpr,
    RELU: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    BM: tl.constexpr,
    PREC: tl.constexpr,
):
    g = tl.program_id(0)
    s = tl.program_id(1)
    k = tl.arange(0, 64)
    m = tl.arange(0, 64)
    o = tl.arange(0, 16)
    w10 = tl.load(W1 + s * 128 + k * 2)
    w11 = tl.load(W1 + s * 128 + k * 2 + 1)
    b1 = tl.load(B1 + s * 64 + k)
    b2 = tl.load(B2 + s * 64 + m)
    bm = tl.load(BM_ + s * 16 + o)
    bs = tl.load(BS + s * 16 + o)
    w2t = tl.load(W2 + s * 4096 + m[None, :] * 64 + k[:, None])  # [in, out]
    w2 = tl.load(W2 + s * 4096 + k[:, None] * 64 + m[None, :])  # [out, in]
    wmt = tl.load(WM + s * 1024 + o[None, :] * 64 + k[:, None])
    wm = tl.load(WM + s * 1024 + o[:, None] * 64 + k[None, :])
    wst = tl.load(WS + s * 1024 + o[None, :] * 64 + k[:, None])
    ws = tl.load(WS + s * 1024 + o[:, None] * 64 + k[None, :])
    dw1 = tl.zeros((64, 16), tl.float32)
    dw2 = tl.zeros((64, 64), tl.float32)
    dwm = tl.zeros((64, 16), tl.float32)
    dws = tl.zeros((64, 16), tl.float32)
    loss = tl.zeros((BM,), tl.float32)
    for i in range(ITER):
        r = (i * G + g) * BM + tl.arange(0, BM)
        ok = r < R
        at = s.to(tl.int64) * R + r
        z0 = tl.load(Z + at * 2, mask=ok, other=0.0)
        z1 = tl.load(Z + at * 2 + 1, mask=ok, other=0.0)
        n = s * B + r // P
        both = ok[:, None] & (o < D)[None, :]
        x = tl.load(X + n[:, None] * D + o[None, :], mask=both, other=0.0)
        a1 = z0[:, None] * w10[None, :] + z1[:, None] * w11[None, :] + b1[None, :]
        if RELU:
            h1 = tl.maximum(a1, 0.0)
        else:
            h1 = 1 - 2 / (tl.exp(2 * a1) + 1)
        a2 = tl.dot(h1, w2t, input_precision=PREC) + b2[None, :]
        if RELU:
            h2 = tl.maximum(a2, 0.0)
        else:
            h2 = 1 - 2 / (tl.exp(2 * a2) + 1)
        mu = tl.dot(h2, wmt, input_precision=PREC) + bm[None, :]
        a = tl.dot(h2, wst, input_precision=PREC) + bs[None, :]
        e = x - mu
        if SOFTPLUS:
            t = tl.exp(-tl.abs(a))
            sd = tl.maximum(a, 0.0) + tl.log(1 + t)
            sd = tl.where((a < 0) & (t < 1e-4), t * (1 - 0.5 * t), sd)
            slope = tl.where(a >= 0, 1.0, t) / (1 + t)
            inv = 1 / sd
            u = e * inv
            dmu = u * inv
            da = (u * u - 1) * inv * slope
            each = -tl.log(sd) - 0.5 * u * u
        else:
            inv = tl.exp(-a)
            dmu = e * inv
            da = 0.5 * (e * dmu - 1)
            each = -0.5 * (a + e * dmu)
        dmu = tl.where(both, dmu, 0.0)
        da = tl.where(both, da, 0.0)
        loss += tl.sum(tl.where(both, each, 0.0), 1)
        dh2 = tl.dot(dmu, wm, input_precision=PREC)
        dh2 = tl.dot(da, ws, dh2, input_precision=PREC)
        h2t = tl.trans(h2)
        dwm = tl.dot(h2t, dmu, dwm, input_precision=PREC)
        dws = tl.dot(h2t, da, dws, input_precision=PREC)
        if RELU:
            da2 = tl.where(a2 > 0, dh2, 0.0)
        else:
            da2 = dh2 * (1 - h2 * h2)
        dw2 = tl.dot(tl.trans(h1), da2, dw2, input_precision=PREC)  # [in, out]
        dh1 = tl.dot(da2, w2, input_precision=PREC)
        if RELU:
            da1 = tl.where(a1 > 0, dh1, 0.0)
        else:
            da1 = dh1 * (1 - h1 * h1)
        tl.store(DZ + at * 2, tl.sum(da1 * w10[None, :], 1), mask=ok)
        tl.store(DZ + at * 2 + 1, tl.sum(da1 * w11[None, :], 1), mask=ok)
        c = o[None, :]
        zs = tl.where(
            c == 0, z0[:, None], tl.where(c == 1, z1[:, None], tl.where(c == 2, 1.0, 0.0))
        )
        dw1 = tl.dot(tl.trans(da1), zs, dw1, input_precision=PREC)
    p = (s * G + g).to(tl.int64)
    tl.store(DW1 + p * 1024 + k[:, None] * 16 + o[None, :], dw1)
    tl.store(DWM + p * 1024 + k[:, None] * 16 + o[None, :], dwm)
    tl.store(DWS + p * 1024 + k[:, None] * 16 + o[None, :], dws)
    tl.store(DW2 + p * 4096 + k[:, None] * 64 + m[None, :], dw2)
    tl.store(LOSS + p, tl.sum(loss, 0))


#: rows in a block, warps, programs for each of the GPU's processors
CONFIG = [64, 4, 3]
PRECISION = ["tf32"]


class Likelihood(torch.autograd.Function):
    """Mean over points and samples of log p(x | z), ``(S,)``, but for the constant."""

    @staticmethod
    def forward(ctx, z, x, w1, b1, w2, b2, wm, bm, ws, bs, relu, softplus):
        S, B, P, _ = z.shape
        D, R, units = x.shape[-1], B * P, w1.shape[1]
        assert units < UNITS and D <= OUT and w1.shape[2] == 2
        rows, warps, many = CONFIG
        cores = torch.cuda.get_device_properties(z.device).multi_processor_count if z.is_cuda else 2
        G = min(max(1, -(-cores * many // S)), -(-R // rows))
        iters = -(-R // (rows * G))
        more = UNITS - units
        one = 1.0 if relu else 20.0  # the unit that is always 1
        ones = torch.zeros(UNITS, device=z.device)
        ones[units].fill_(one)
        W1 = pad(w1, (0, 0, 0, more)).contiguous()
        B1 = (pad(b1, (0, more)) + ones).contiguous()
        W2 = pad(w2, (0, more, 0, more)).contiguous()
        B2 = (pad(b2, (0, more)) + ones).contiguous()
        WM, WS = (pad(w, (0, more, 0, OUT - D)).contiguous() for w in (wm, ws))
        BM, BS = (pad(b, (0, OUT - D)).contiguous() for b in (bm, bs))
        z, x = z.contiguous(), x.contiguous()

        def new(*shape):
            return torch.empty(*shape, device=z.device)

        dz, dw1, dw2 = torch.empty_like(z), new(S, G, 64, 16), new(S, G, 64, 64)
        dwm, dws, loss = new(S, G, 64, 16), new(S, G, 64, 16), new(S, G)
        _kernel[(G, S)](
            z,
            x,
            W1,
            B1,
            W2,
            B2,
            WM,
            BM,
            WS,
            BS,
            dz,
            dw1,
            dw2,
            dwm,
            dws,
            loss,
            R,
            P,
            B,
            D,
            G,
            iters,
            ONE=one,
            RELU=relu,
            SOFTPLUS=softplus,
            BM=rows,
            PREC=PRECISION[0],
            num_warps=warps,
            num_stages=1,
        )
        dw1, dw2, dwm, dws = (v.sum(1) / R for v in (dw1, dw2, dwm, dws))
        u = units
        grads = (
            dz / R,
            dw1[:, :u, :2],
            dw1[:, :u, 2],
            dw2[:, :u, :u].mT,
            dw2[:, u, :u],
            dwm[:, :u, :D].mT,
            dwm[:, u, :D],
            dws[:, :u, :D].mT,
            dws[:, u, :D],
        )
        ctx.save_for_backward(*grads)
        return loss.sum(1) / R

    @staticmethod
    def backward(ctx, up):
        dz, *rest = (g * up.reshape(-1, *[1] * (g.dim() - 1)) for g in ctx.saved_tensors)
        return dz, None, *rest, None, None


def objective_of(activation, encoder_scale, noise):
    """The sum of all seeds' ELBOs (but for a constant), as in ``companion.training.run``, fused."""
    relu, softplus = activation == "relu", noise == "softplus"
    head = "std" if softplus else "log_variance"
    spread = "std" if encoder_scale == "softplus" else "log_std"
    bend = torch.relu if relu else torch.tanh

    def layer(v, name, inputs):
        return torch.baddbmm(v[f"{name}.bias"][:, None], inputs, v[f"{name}.weights"].mT)

    def objective(v, x, noise_of_z, weights):
        h = x
        for i in range(2):
            h = bend(layer(v, f"q.hidden{i}", h))
        mean, scale = layer(v, "q.mean", h), layer(v, f"q.{spread}", h)
        scale = -torch.nn.functional.logsigmoid(-scale) if spread == "std" else scale.exp()
        z = mean[:, :, None] + scale[:, :, None] * noise_of_z
        names = ("p.hidden0", "p.hidden1", "p.mean", f"p.{head}")
        parts = [v[f"{n}.{part}"] for n in names for part in ("weights", "bias")]
        likelihood = Likelihood.apply(z, x, *parts, relu, softplus)
        kl = 0.5 * ((mean**2 + scale**2).mean(1) - 1).sum(-1) - scale.log().sum(-1).mean(-1)
        return (likelihood - kl).sum()

    return objective
