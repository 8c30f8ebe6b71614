#!/usr/bin/python3
"""A PyTorch training run of 200 steps, for Belay's to follow from the same weights and batches.

usage: trainer_curve.py                 writes tests/data/curve_f32.json and tests/data/models/curve_init/
       trainer_curve.py --text FILE     first cuts tests/data/shakespeare_200k.txt from FILE

Model: Qwen3 shape, 2 layers, hidden 64, 4 heads on 2 key/value heads of 16, ffn 176, vocabulary 256
(bytes), tied; norms 1, matrices normal(0, 0.02), o_proj and down_proj normal(0, 0.02 / sqrt(2 L)).
Batch: step s, row r takes T + 1 bytes from o = ((8 s + r) T 7) mod (n - T - 1), where n is the training
part: the text without its last 16 (T + 1) bytes, which are the 16 validation rows.
Optimizer: torch.optim.AdamW, lr 1e-3 min(1, (s + 1) / 20), betas 0.9 and 0.95, eps 1e-8, decoupled
decay 0.1 on matrices (embedding included) and 0 on norm vectors; before it the gradient is scaled by
min(1, 1 / (norm + 1e-6)). Loss: mean nats a token. losses[s] and grad_norms[s] (before the scaling) are
of step s, before its update. The same run in float64 says how far rounding alone moves the curve: 6e-6
at this rate. At lr 3e-3 it is 4e-2, because training there is chaotic, and the final loss is worse;
no two correct trainers would agree to 1e-3.
"""
import json
import math
import os
import sys

import numpy as np
import torch

import decoder
import tensor_file

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")
INIT = os.path.join(DATA, "models", "curve_init")
TEXT = os.path.join(DATA, "shakespeare_200k.txt")
STEPS, ROWS, T, VAL_ROWS, WARMUP = 200, 8, 64, 16, 20
LR, BETAS, EPS, DECAY, CLIP = 1e-3, (0.9, 0.95), 1e-8, 0.1, 1.0

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "attention_bias": False,
    "attention_dropout": 0.0, "bos_token_id": None, "eos_token_id": None, "hidden_act": "silu",
    "vocab_size": 256, "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "initializer_range": 0.02,
    "max_position_embeddings": 64, "max_window_layers": 2, "rms_norm_eps": 1e-6,
    "rope_scaling": None, "rope_theta": 10000.0, "sliding_window": None, "tie_word_embeddings": True,
    "torch_dtype": "float32", "use_cache": True, "use_sliding_window": False,
}


def write_init():
    rng = np.random.default_rng(20240601)
    c, f, d = CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG["head_dim"]
    q, kv = CONFIG["num_attention_heads"] * d, CONFIG["num_key_value_heads"] * d
    layers, out = CONFIG["num_hidden_layers"], {}
    small = 0.02 / math.sqrt(2 * layers)
    out["model.embed_tokens.weight"] = rng.normal(0, 0.02, (CONFIG["vocab_size"], c))
    for i in range(layers):
        p = f"model.layers.{i}."
        for name, n in (("input_layernorm", c), ("self_attn.q_norm", d), ("self_attn.k_norm", d),
                        ("post_attention_layernorm", c)):
            out[p + name + ".weight"] = np.ones(n)
        for name, rows, cols, std in (
                ("self_attn.q_proj", q, c, 0.02), ("self_attn.k_proj", kv, c, 0.02),
                ("self_attn.v_proj", kv, c, 0.02), ("self_attn.o_proj", c, q, small),
                ("mlp.gate_proj", f, c, 0.02), ("mlp.up_proj", f, c, 0.02),
                ("mlp.down_proj", c, f, small)):
            out[p + name + ".weight"] = rng.normal(0, std, (rows, cols))
    out["model.norm.weight"] = np.ones(c)
    os.makedirs(INIT, exist_ok=True)
    tensor_file.save(os.path.join(INIT, "model.safetensors"), out, {"format": "pt"})
    with open(os.path.join(INIT, "config.json"), "w") as file:
        file.write(json.dumps(CONFIG, indent=2, sort_keys=True) + "\n")


def rows_at(text, offsets):
    block = torch.tensor(np.stack([text[o:o + T + 1] for o in offsets]).astype(np.int64))
    return block[:, :-1], block[:, 1:]


def train_offsets(step, n):
    return [((step * ROWS + r) * T * 7) % (n - T - 1) for r in range(ROWS)]


def run(dtype, text, n_train):
    cfg, w = decoder.load_folder(INIT, dtype)

    def loss_at(offsets):
        ids, targets = rows_at(text, offsets)
        logits = decoder.forward(cfg, w, ids)
        return torch.nn.functional.cross_entropy(logits.reshape(-1, 256), targets.reshape(-1))

    def val_loss():
        with torch.no_grad():
            return loss_at([n_train + r * (T + 1) for r in range(VAL_ROWS)]).item()

    groups = [{"params": [p for p in w.values() if p.dim() == 2], "weight_decay": DECAY},
              {"params": [p for p in w.values() if p.dim() == 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS)
    out = {"losses": [], "grad_norms": [], "val_loss_before": val_loss()}
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1.0, (step + 1) / WARMUP)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_at(train_offsets(step, n_train))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(list(w.values()), CLIP)
        optimizer.step()
        out["losses"].append(loss.item())
        out["grad_norms"].append(float(norm))
    out["val_loss_after"] = val_loss()
    out["weight_l2_after"] = {k: float(p.detach().double().norm()) for k, p in sorted(w.items())}
    return out


def main():
    if sys.argv[1:2] == ["--text"]:
        with open(sys.argv[2], "rb") as source, open(TEXT, "wb") as cut:
            cut.write(source.read(200_000))
    write_init()
    text = np.fromfile(TEXT, dtype=np.uint8)
    n_train = len(text) - VAL_ROWS * (T + 1)
    single, double = run(torch.float32, text, n_train), run(torch.float64, text, n_train)
    drift = max(abs(a - b) for a, b in zip(single["losses"], double["losses"]))
    result = {
        "text": "shakespeare_200k.txt", "init": "models/curve_init", "steps": STEPS, "rows": ROWS,
        "context": T, "train_bytes": n_train, "val_rows": VAL_ROWS,
        "val_offsets": [n_train + r * (T + 1) for r in range(VAL_ROWS)],
        "first_offsets": [train_offsets(s, n_train) for s in range(3)],
        "lr": LR, "warmup_steps": WARMUP, "beta1": BETAS[0], "beta2": BETAS[1], "eps": EPS,
        "weight_decay": DECAY, "clip": CLIP, "largest_drift_of_float64": drift,
        "val_loss_after_float64": double["val_loss_after"], **single,
    }
    with open(os.path.join(DATA, "curve_f32.json"), "w") as file:
        file.write(json.dumps(result, indent=1) + "\n")
    print(f"loss {single['losses'][0]:.6f} -> {single['losses'][-1]:.6f}, validation "
          f"{single['val_loss_before']:.6f} -> {single['val_loss_after']:.6f} "
          f"(float64 {double['val_loss_after']:.6f}), largest drift of float64 {drift:.1e}")


if __name__ == "__main__":
    main()
