#!/usr/bin/python3
"""A GPT-2-style recipe in PyTorch on shards of `belay data prepare`: what Belay's own is measured against.

usage: gpt2_recipe.py DATASET --lr 2e-3 --steps 2180 --seed 1     prints one line of JSON

Model (Radford et al., 2019): learned positions, LayerNorm before each part and at the end, fused QKV with
biases, GELU (tanh), MLP of 4 widths, tied output; matrices normal(0, --init-std), those that write to the residual
over sqrt(2 L). Rows are random places of the training stream. AdamW, betas 0.9 and 0.95, decay 0.1 on matrices,
unless said otherwise, gradients clipped at norm 1; the rate rises for --warmup steps and falls along a cosine to
--floor of it. f32.
Validation as Belay's: windows of the context that overlap by half, every token once, the first of a document
given. FLOPs: 6 N + 6 L C T a token, tied embedding once, positions left out.
"""
import argparse
import json
import math
import os
import struct
import time

import numpy as np
import torch
import torch.nn.functional as F


def read_split(folder, split):
    with open(os.path.join(folder, "dataset.json")) as f:
        manifest = json.load(f)
    parts = []
    for shard in manifest["splits"][split]["shards"]:
        raw = open(os.path.join(folder, shard["file"]), "rb").read()
        width, n = struct.unpack_from("<i", raw, 12)[0], struct.unpack_from("<q", raw, 32)[0]
        parts.append(np.frombuffer(raw, "<u2" if width == 2 else "<u4", n, 80).astype(np.int64))
    return manifest, torch.from_numpy(np.concatenate(parts))


class Block(torch.nn.Module):
    def __init__(self, width, heads, layers, std):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.qkv, self.out = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)
        self.up, self.down = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)
        for m in (self.qkv, self.out, self.up, self.down):
            torch.nn.init.normal_(m.weight, 0, std / (math.sqrt(2 * layers) if m in (self.out, self.down) else 1))
            torch.nn.init.zeros_(m.bias)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (a.view(b, t, self.heads, -1).transpose(1, 2) for a in self.qkv(self.norm1(x)).split(c, 2))
        future = torch.ones(t, t, dtype=torch.bool).triu(1)
        weights = (q @ k.transpose(2, 3) / math.sqrt(c // self.heads)).masked_fill(future, -math.inf)
        y = weights.softmax(3) @ v
        x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt2(torch.nn.Module):
    def __init__(self, vocab, context, depth, width, std):
        super().__init__()
        self.tokens, self.places = torch.nn.Embedding(vocab, width), torch.nn.Embedding(context, width)
        self.blocks = torch.nn.ModuleList(Block(width, max(1, width // 64), depth, std) for _ in range(depth))
        self.norm = torch.nn.LayerNorm(width)
        for e in (self.tokens, self.places):
            torch.nn.init.normal_(e.weight, 0, std)

    def forward(self, ids):
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.tokens.weight)


@torch.no_grad()
def validate(model, ids, context):
    total, counted, half = 0.0, 0, context // 2
    windows, begin = [], 0
    while True:
        end = min(begin + context, len(ids))
        windows.append((begin, end, 1 if begin == 0 else half))
        if end == len(ids):
            break
        begin += context - half
    for i in range(0, len(windows), 32):
        batch = windows[i:i + 32]
        rows = torch.zeros(len(batch), context, dtype=torch.long)
        for row, (begin, end, _) in zip(rows, batch):
            row[:end - begin] = ids[begin:end]
        losses = F.cross_entropy(model(rows)[:, :-1].flatten(0, 1), rows[:, 1:].flatten(), reduction="none")
        for row, (begin, end, first) in zip(losses.view(len(batch), -1), batch):
            total, counted = total + row[first - 1:end - begin - 1].sum().item(), counted + end - begin - first
    return total / counted, total


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dataset")
    p.add_argument("--depth", type=int, default=2)
    p.add_argument("--width", type=int, default=128)
    p.add_argument("--context", type=int, default=256)
    p.add_argument("--batch-tokens", type=int, default=1024)
    p.add_argument("--steps", type=int, required=True)
    p.add_argument("--lr", type=float, required=True)
    p.add_argument("--warmup", type=int, default=100)
    p.add_argument("--decay", type=float, default=0.1)
    p.add_argument("--floor", type=float, default=0.1)
    p.add_argument("--init-std", type=float, default=0.02)
    p.add_argument("--beta2", type=float, default=0.95)
    p.add_argument("--eval-tokens", type=int, default=0, help="of the validation text; 0: all")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    manifest, train = read_split(a.dataset, "train")
    _, valid = read_split(a.dataset, "valid")
    vocab = -(-manifest["tokenizer"]["vocab_size"] // 64) * 64
    model = Gpt2(vocab, a.context, a.depth, a.width, a.init_std)
    matrices = [w for w in model.parameters() if w.dim() == 2]
    others = [w for w in model.parameters() if w.dim() != 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": a.decay},
                                   {"params": others, "weight_decay": 0.0}], lr=a.lr, betas=(0.9, a.beta2), eps=1e-8)
    started = time.time()
    for step in range(a.steps):
        along = (step - a.warmup) / max(1, a.steps - a.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * along))
        rate = (step + 1) / a.warmup if step < a.warmup else a.floor + (1 - a.floor) * cosine
        for group in optimizer.param_groups:
            group["lr"] = a.lr * rate
        at = torch.randint(len(train) - a.context - 1, (a.batch_tokens // a.context,))
        rows = torch.stack([train[i:i + a.context + 1] for i in at])
        loss = F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    seconds = time.time() - started
    nats, total = validate(model, valid[:a.eval_tokens or len(valid)], a.context)
    n = sum(w.numel() for w in model.parameters()) - model.places.weight.numel()
    flops = (6 * n + 6 * a.depth * a.width * a.context) * a.steps * a.batch_tokens
    n_bytes = manifest["splits"]["valid"]["text_bytes"]
    print(json.dumps({"lr": a.lr, "warmup": a.warmup, "decay": a.decay, "floor": a.floor, "init_std": a.init_std,
                      "beta2": a.beta2, "batch_tokens": a.batch_tokens, "steps": a.steps, "seed": a.seed,
                      "parameters": n, "tokens": a.steps * a.batch_tokens, "flops": flops, "val_loss": nats,
                      "val_bpb": None if a.eval_tokens else total / n_bytes / math.log(2),
                      "seconds": round(seconds, 1)}))


if __name__ == "__main__":
    main()
