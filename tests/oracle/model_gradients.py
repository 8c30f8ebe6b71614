#!/usr/bin/python3
"""Tiny random models of three families with their loss and every gradient in float64.

usage: model_gradients.py            writes tests/data/models/{qwen3,qwen2,llama3}_tiny/
       model_gradients.py --check    compares the gradients with central differences, writes nothing
       model_gradients.py --oracle FOLDER ORACLE.json   this decoder against another one's numbers
       model_gradients.py --scores FOLDER SCORES.json   against `belay score FOLDER --ids ... --json`

A folder holds a Hugging Face model (config.json, model.safetensors, F32) and
  golden.json                ids of packed documents, doc_starts, targets (-1: none), loss (mean nats
                             over the targets), target_logprobs (0 where there is no target),
                             residual_l2 (after the embedding and each layer), grad_l2 by tensor
  golden_grads.safetensors   d loss / d tensor by Hugging Face name, rounded to F32 at the end
"""
import json
import os
import sys

import numpy as np
import torch

import decoder
import tensor_file

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "models")
LENGTHS = [33, 1, 34, 7]

COMMON = {
    "attention_dropout": 0.0, "hidden_act": "silu", "initializer_range": 0.02,
    "num_hidden_layers": 2, "torch_dtype": "float32", "use_cache": True,
    "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2,
}
CONFIGS = {
    "qwen3_tiny": {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "attention_bias": False,
        "vocab_size": 97, "hidden_size": 48, "intermediate_size": 80, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "rope_scaling": None, "sliding_window": None, "use_sliding_window": False,
        "max_window_layers": 2, "tie_word_embeddings": True},
    "qwen2_tiny": {  # no head_dim: hidden_size / num_attention_heads
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
        "vocab_size": 89, "hidden_size": 48, "intermediate_size": 72, "num_attention_heads": 3,
        "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
        "sliding_window": 128, "use_sliding_window": False, "max_window_layers": 2,
        "tie_word_embeddings": False},
    "llama3_tiny": {  # the scaling's three ranges each cover some of the 16 frequencies
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False,
        "mlp_bias": False, "pretraining_tp": 1, "vocab_size": 101, "hidden_size": 48,
        "intermediate_size": 64, "num_attention_heads": 3, "num_key_value_heads": 1,
        "head_dim": 32, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 32},
        "tie_word_embeddings": False},
}


def random_weights(cfg, rng):
    """Weights that leave no path idle: norms around 1, biases around 0, matrices 1/sqrt(fan-in)."""
    c, f, v, d = cfg["hidden_size"], cfg["intermediate_size"], cfg["vocab_size"], decoder.head_dim(cfg)
    q, kv = cfg["num_attention_heads"] * d, cfg["num_key_value_heads"] * d
    out = {}

    def matrix(name, rows, cols, bias=False):
        out[name + ".weight"] = rng.normal(0, 1.0 / np.sqrt(cols), (rows, cols))
        if bias:
            out[name + ".bias"] = rng.normal(0, 0.3, rows)

    def norm(name, n):
        out[name + ".weight"] = 1 + rng.normal(0, 0.25, n)

    out["model.embed_tokens.weight"] = rng.normal(0, 0.3, (v, c))
    for i in range(cfg["num_hidden_layers"]):
        p, bias = f"model.layers.{i}.", cfg["model_type"] == "qwen2"
        norm(p + "input_layernorm", c)
        matrix(p + "self_attn.q_proj", q, c, bias)
        matrix(p + "self_attn.k_proj", kv, c, bias)
        matrix(p + "self_attn.v_proj", kv, c, bias)
        if cfg["model_type"] == "qwen3":
            norm(p + "self_attn.q_norm", d)
            norm(p + "self_attn.k_norm", d)
        matrix(p + "self_attn.o_proj", c, q)
        norm(p + "post_attention_layernorm", c)
        matrix(p + "mlp.gate_proj", f, c)
        matrix(p + "mlp.up_proj", f, c)
        matrix(p + "mlp.down_proj", c, f)
    norm("model.norm", c)
    if not cfg["tie_word_embeddings"]:
        matrix("lm_head", v, c)
    return {k: a.astype(np.float32) for k, a in out.items()}


def loss_of(cfg, w, docs):
    """(mean loss over next-token targets, log-probabilities by document, residuals by document)"""
    logprobs, residuals = [], []
    for doc in docs:
        kept = []
        logits = decoder.forward(cfg, w, torch.tensor([doc]), kept)[0]
        logp = torch.log_softmax(logits, -1)[:-1]
        logprobs.append(logp[torch.arange(len(doc) - 1), torch.tensor(doc[1:], dtype=torch.long)])
        residuals.append(kept)
    return -torch.cat(logprobs).mean(), logprobs, residuals


def documents(cfg, rng):
    return [[int(t) for t in rng.integers(0, cfg["vocab_size"], n)] for n in LENGTHS]


def write_model(name, seed):
    rng, folder = np.random.default_rng(seed), os.path.join(MODELS, name)
    os.makedirs(folder, exist_ok=True)
    cfg = {**COMMON, **CONFIGS[name]}
    raw = random_weights(cfg, rng)
    docs = documents(cfg, rng)
    with open(os.path.join(folder, "config.json"), "w") as f:
        f.write(json.dumps(cfg, indent=2, sort_keys=True) + "\n")
    tensor_file.save(os.path.join(folder, "model.safetensors"), raw, {"format": "pt"})

    cfg, w = decoder.load_folder(folder, torch.float64)
    loss, logprobs, residuals = loss_of(cfg, w, docs)
    loss.backward()
    grads = {k: t.grad.numpy() for k, t in w.items()}
    per_token = [list(p.detach().numpy()) + [0.0] for p in logprobs]
    layers = range(cfg["num_hidden_layers"] + 1)
    golden = {
        "ids": sum(docs, []),
        "doc_starts": [sum(LENGTHS[:i]) for i in range(len(LENGTHS))],
        "targets": sum((d[1:] + [-1] for d in docs), []),
        "loss": loss.item(),
        "target_logprobs": sum(per_token, []),
        "residual_l2": [float(torch.cat([r[i].flatten() for r in residuals]).norm()) for i in layers],
        "grad_l2_total": float(np.sqrt(sum((g ** 2).sum() for g in grads.values()))),
        "grad_l2": {k: float(np.linalg.norm(g)) for k, g in sorted(grads.items())},
    }
    tensor_file.save(os.path.join(folder, "golden_grads.safetensors"), grads)
    with open(os.path.join(folder, "golden.json"), "w") as f:
        f.write(json.dumps(golden, indent=1) + "\n")
    n = sum(a.size for a in raw.values())
    print(f"{name}: {n} parameters, loss {golden['loss']:.12f}, |grad| {golden['grad_l2_total']:.9f}")


def check(name):
    """Central differences along three random directions a tensor, against the stored gradients."""
    folder, rng = os.path.join(MODELS, name), np.random.default_rng(7)
    cfg, w = decoder.load_folder(folder, torch.float64)
    golden = json.load(open(os.path.join(folder, "golden.json")))
    grads = tensor_file.load(os.path.join(folder, "golden_grads.safetensors"))
    ends = golden["doc_starts"][1:] + [len(golden["ids"])]
    docs = [golden["ids"][a:b] for a, b in zip(golden["doc_starts"], ends)]
    worst = 0.0
    with torch.no_grad():
        for key, tensor in w.items():
            for _ in range(3):
                u, h = torch.tensor(rng.normal(0, 1, tuple(tensor.shape))), 1e-5
                tensor += h * u
                up = loss_of(cfg, w, docs)[0]
                tensor -= 2 * h * u
                down = loss_of(cfg, w, docs)[0]
                tensor += h * u
                want = float((torch.tensor(grads[key], dtype=torch.float64) * u).sum())
                scale = golden["grad_l2"][key] + 1e-12
                worst = max(worst, abs(float(up - down) / (2 * h) - want) / scale)
    print(f"{name}: largest difference from central differences {worst:.1e} of |grad|")
    assert worst < 1e-6


def against_oracle(folder, path):
    """Compares this decoder with another one's ids and log-probabilities of a trained model."""
    cfg, w = decoder.load_folder(folder, torch.float64)
    oracle = json.load(open(path))
    ids = oracle["greedy_ids_from_bos"]
    with torch.no_grad():
        logits = decoder.forward(cfg, w, torch.tensor([ids[:200]]))[0]
    logp = torch.log_softmax(logits, -1)[:-1][torch.arange(199), torch.tensor(ids[1:200])]
    want = torch.tensor(oracle["greedy200_logprobs"], dtype=torch.float64)
    print(f"greedy ids equal: {logits.argmax(-1).tolist() == ids[1:201]}, largest log-probability "
          f"difference {float((logp - want).abs().max()):.1e}")


def against_scores(folder, path):
    """Compares this decoder with what Belay printed; the ids must fit the model's context."""
    cfg, w = decoder.load_folder(folder, torch.float64)
    scores = json.load(open(path))
    ids = torch.tensor(scores["tokens"])
    with torch.no_grad():
        logits = decoder.forward(cfg, w, ids[None])[0]
    logp = torch.log_softmax(logits, -1)[:-1].gather(1, ids[1:, None])[:, 0]
    first, *rest = scores["logprobs"]  # the first has none
    assert first is None
    want = torch.tensor(rest, dtype=torch.float64)
    print(f"{len(want)} log-probabilities, largest difference {float((logp - want).abs().max()):.1e}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--oracle"]:
        against_oracle(*sys.argv[2:4])
    elif sys.argv[1:2] == ["--scores"]:
        against_scores(*sys.argv[2:4])
    elif sys.argv[1:] == ["--check"]:
        for model in CONFIGS:
            check(model)
    else:
        for number, model in enumerate(CONFIGS):
            write_model(model, 100 + number)
