"""The decoder of Hugging Face's Llama, Qwen2 and Qwen3 in plain PyTorch, for any dtype.

One function from weights (Hugging Face names) and ids to logits; gradients come from autograd. It
is written for reading, from the published description of the models: nothing is fused, every
document of a packed batch is run alone, so no mask can be wrong.

Legend: B rows, T positions, C hidden, H query heads, K key/value heads, D head size, V vocabulary.
"""
import json
import math
import os

import torch

import tensor_file


def load_folder(folder, dtype):
    """A Hugging Face folder -> (config, weights that require gradients)."""
    with open(os.path.join(folder, "config.json")) as f:
        cfg = json.load(f)
    raw = tensor_file.load(os.path.join(folder, "model.safetensors"))
    return cfg, {k: torch.tensor(v, dtype=dtype).requires_grad_(True) for k, v in raw.items()}


def head_dim(cfg):
    return cfg.get("head_dim") or cfg["hidden_size"] // cfg["num_attention_heads"]


def rms_norm(x, weight, eps):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * weight


def rope_frequencies(cfg):
    """Radians a position for each of the D/2 pairs, as Python floats (double)."""
    d, theta = head_dim(cfg), cfg["rope_theta"]
    freqs = [theta ** (-2.0 * i / d) for i in range(d // 2)]
    scaling = cfg.get("rope_scaling")
    if not scaling:
        return freqs
    assert scaling["rope_type"] == "llama3"
    factor, original = scaling["factor"], scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    out = []
    for f in freqs:
        wavelength = 2 * math.pi / f
        if wavelength > original / low:      # turns less than `low` times in the original context
            out.append(f / factor)
        elif wavelength < original / high:   # turns more than `high` times: kept
            out.append(f)
        else:
            smooth = (original / wavelength - low) / (high - low)
            out.append((1 - smooth) * f / factor + smooth * f)
    return out


def rotate(x, cos, sin):
    """x: [B, heads, T, D]; the half-split pairing (i, i + D/2)."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def forward(cfg, w, ids, residuals=None):
    """ids: [B, T] of whole documents, positions from 0 -> logits [B, T, V].

    residuals, if a list, receives the residual stream after the embedding and after each layer.
    """
    n_head, n_kv, d = cfg["num_attention_heads"], cfg["num_key_value_heads"], head_dim(cfg)
    eps = cfg["rms_norm_eps"]
    rows, length = ids.shape
    x = w["model.embed_tokens.weight"][ids]
    angles = torch.outer(torch.arange(length, dtype=torch.float64),
                         torch.tensor(rope_frequencies(cfg), dtype=torch.float64))
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    future = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)

    def linear(name, h):
        y = h @ w[name + ".weight"].T
        return y + w[name + ".bias"] if name + ".bias" in w else y

    def heads(h, n):
        return h.view(rows, length, n, d).transpose(1, 2)

    if residuals is not None:
        residuals.append(x)
    for i in range(cfg["num_hidden_layers"]):
        p = f"model.layers.{i}."
        h = rms_norm(x, w[p + "input_layernorm.weight"], eps)
        q = heads(linear(p + "self_attn.q_proj", h), n_head)
        k = heads(linear(p + "self_attn.k_proj", h), n_kv)
        v = heads(linear(p + "self_attn.v_proj", h), n_kv)
        if cfg["model_type"] == "qwen3":
            q = rms_norm(q, w[p + "self_attn.q_norm.weight"], eps)
            k = rms_norm(k, w[p + "self_attn.k_norm.weight"], eps)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k = k.repeat_interleave(n_head // n_kv, 1)  # query head h reads key head h // (H/K)
        v = v.repeat_interleave(n_head // n_kv, 1)
        scores = (q @ k.transpose(-1, -2) / math.sqrt(d)).masked_fill(future, -math.inf)
        mixed = torch.softmax(scores, -1) @ v
        x = x + linear(p + "self_attn.o_proj", mixed.transpose(1, 2).reshape(rows, length, -1))
        h = rms_norm(x, w[p + "post_attention_layernorm.weight"], eps)
        gate = linear(p + "mlp.gate_proj", h)
        x = x + linear(p + "mlp.down_proj", gate * torch.sigmoid(gate) * linear(p + "mlp.up_proj", h))
        if residuals is not None:
            residuals.append(x)
    x = rms_norm(x, w["model.norm.weight"], eps)
    head = "model.embed_tokens.weight" if cfg["tie_word_embeddings"] else "lm_head.weight"
    return x @ w[head].T
