#!/usr/bin/python3
"""Three steps of AdamW and of Muon on small matrices, in float64.

usage: optimizers.py            writes tests/data/optimizers.json
       optimizers.py --check    compares AdamW with PyTorch's and looks at Muon's singular values

Every input (weights, gradients) is a float32 number (read it as one); everything after is float64,
printed with ten digits. Arrays are
row-major. Each case lists the weights before (`weights`), a gradient a step (`gradients`), and after
each step the weights and the optimizer's state.

AdamW (step t from 1; g gradient):
  w <- w (1 - lr decay);  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2
  w <- w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

Muon (Keller Jordan), rows x cols:
  buffer <- momentum buffer + (1 - momentum) g;  u <- (1 - momentum) g + momentum buffer    (Nesterov)
  X <- u / (|u| + 1e-7), transposed where rows > cols;  five times, with A = X X^T:
  X <- 3.4445 X + (-4.7750 A + 2.0315 A A) X;  transposed back
  w <- w (1 - lr decay) - lr sqrt(max(1, rows / cols)) X
The older form (buffer <- momentum buffer + g; u <- g + momentum buffer) has a buffer 20 times larger
and the same X, but for the 1e-7.
"""
import json
import os
import sys

import numpy as np

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "optimizers.json")
STEPS = 3


def adamw(case, w, grads):
    lr, b1, b2, eps, decay = (case[k] for k in ("lr", "beta1", "beta2", "eps", "weight_decay"))
    m, v, after = np.zeros_like(w), np.zeros_like(w), []
    for t, g in enumerate(grads, 1):
        w = w * (1 - lr * decay)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        w = w - lr * (m / (1 - b1 ** t)) / (np.sqrt(v / (1 - b2 ** t)) + eps)
        after.append({"weights": flat(w), "m": flat(m), "v": flat(v)})
    return after


def newton_schulz(u, iterations=5):
    x = u / (np.linalg.norm(u) + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(iterations):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


def muon(case, w, grads):
    lr, momentum, decay = case["lr"], case["momentum"], case["weight_decay"]
    rows, cols = w.shape
    buffer, after = np.zeros_like(w), []
    for g in grads:
        buffer = momentum * buffer + (1 - momentum) * g
        x = newton_schulz((1 - momentum) * g + momentum * buffer)
        w = w * (1 - lr * decay) - lr * np.sqrt(max(1.0, rows / cols)) * x
        after.append({"weights": flat(w), "buffer": flat(buffer), "orthogonal": flat(x)})
    return after


def flat(a):
    return [float(f"{x:.10g}") for x in np.asarray(a).ravel()]  # 9 digits name a float32


def f32(a):
    return a.astype(np.float32).astype(np.float64)


def main():
    rng, cases = np.random.default_rng(11), []

    def add(name, kind, rows, cols, **options):
        w = f32(rng.normal(0, 0.1, (rows, cols)))
        grads = [f32(rng.normal(0, 0.05, (rows, cols))) for _ in range(STEPS)]
        if name.endswith("zeros"):  # a row that never gets a gradient; a step without any
            for g in grads:
                g[1] = 0
            grads[1][:] = 0
        if name.endswith("low_rank"):
            grads = [f32(rng.normal(0, 0.05, (rows, 2)) @ rng.normal(0, 1, (2, cols))) for _ in grads]
        case = {"name": name, "optimizer": kind, "rows": rows, "cols": cols, **options,
                "weights": flat(w), "gradients": [flat(g) for g in grads]}
        case["after"] = {"adamw": adamw, "muon": muon}[kind](case, w, grads)
        cases.append(case)

    adam = {"lr": 3e-3, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1}
    for rows, cols in ((6, 10), (16, 9), (32, 32)):
        add(f"adamw_{rows}x{cols}", "adamw", rows, cols, **adam)
    add("adamw_vector_no_decay", "adamw", 1, 33, **{**adam, "weight_decay": 0.0})
    add("adamw_zeros", "adamw", 4, 7, **adam)
    muon_options = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
    for rows, cols in ((6, 10), (16, 9), (32, 32), (40, 12), (1, 8)):
        add(f"muon_{rows}x{cols}", "muon", rows, cols, **muon_options)
    add("muon_zeros", "muon", 5, 8, **muon_options)
    add("muon_low_rank", "muon", 12, 20, **muon_options)
    with open(OUT, "w") as file:
        file.write('{"cases":[\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
                   + "\n]}\n")
    print(f"{len(cases)} cases")


def check():
    import torch
    for case in json.load(open(OUT))["cases"]:
        shape = (case["rows"], case["cols"])
        if case["optimizer"] == "muon":
            s = np.linalg.svd(np.reshape(case["after"][-1]["orthogonal"], shape))[1]
            print(f"{case['name']}: singular values {s.min():.2g} .. {s.max():.2g}")
            continue
        w = torch.tensor(case["weights"], dtype=torch.float64).reshape(shape).requires_grad_(True)
        step = torch.optim.AdamW([w], lr=case["lr"], betas=(case["beta1"], case["beta2"]),
                                 eps=case["eps"], weight_decay=case["weight_decay"])
        worst = 0.0
        for grad, after in zip(case["gradients"], case["after"]):
            w.grad = torch.tensor(grad, dtype=torch.float64).reshape(shape)
            step.step()
            difference = w.detach().numpy() - np.reshape(after["weights"], shape)
            worst = max(worst, float(np.abs(difference).max()))
        print(f"{case['name']}: difference from torch.optim.AdamW {worst:.1e}")
        assert worst < 1e-9


if __name__ == "__main__":
    check() if sys.argv[1:] == ["--check"] else main()
