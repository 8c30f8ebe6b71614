"""Cuts real vocabularies down to what the test texts can reach.

Usage: tokenizer_subset.py FOLDER    FOLDER has tokenizer_oracle.jsonl.xz, the tiktoken rank files,
gpt2_tokenizer.json.xz, qwen3_tokenizer.json.xz, TestPlans.txt.xz and the ggml-vocab files.

A token whose bytes occur in no text can never be made while these texts are encoded, so that leaving it
out (ids and ranks of the others stay) changes no result. Writes tests/data/tokenizer/.
"""

import base64
import json
import lzma
import pathlib
import subprocess
import sys
import unicodedata

SOURCE = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "tokenizer"
LONGEST = 64


def read(name):
    return lzma.open(SOURCE / (name + ".xz")).read().decode("utf-8")


def pack(name, text):
    subprocess.run(["zstd", "-q", "-f", "--ultra", "-22", "-o", OUT / (name + ".zst")],
                   input=text.encode("utf-8"), check=True)


def byte_symbols():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}


def reachable(texts, tokens):
    """Those of the tokens (bytes) that occur in a text; single bytes always."""
    found = {t for t in tokens if len(t) == 1}
    longest = min(LONGEST, max(map(len, tokens)))
    for text in texts:
        for begin in range(len(text)):
            for end in range(begin + 2, min(len(text), begin + longest) + 1):
                if text[begin:end] in tokens:
                    found.add(text[begin:end])
    return found | {t for t in tokens if len(t) > LONGEST}  # a few rows of one character


def cut_ranks(name, texts):
    ranks = {base64.b64decode(line.split()[0]): int(line.split()[1])
             for line in read(name).splitlines()}
    kept = reachable(texts, ranks)
    lines = sorted((ranks[t], base64.b64encode(t).decode("ascii")) for t in kept)
    pack(name, "".join(f"{token} {rank}\n" for rank, token in lines))


def cut_json(name, texts):
    document = json.loads(read(name))
    model, symbols = document["model"], byte_symbols()
    as_bytes = {t: bytes(symbols[c] for c in t) if all(c in symbols for c in t) else None
                for t in model["vocab"]}
    kept = reachable(texts, {b for b in as_bytes.values() if b})
    added = {t["content"] for t in document["added_tokens"]}
    keep = {t for t, b in as_bytes.items() if b in kept or t in added}
    pairs = [(m, m.split(" ") if isinstance(m, str) else m) for m in model["merges"]]
    model["vocab"] = {t: i for t, i in model["vocab"].items() if t in keep}
    model["merges"] = [m for m, (a, b) in pairs if a in keep and b in keep and a + b in keep]
    pack(name, json.dumps(document, ensure_ascii=False))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    oracle, plans = read("tokenizer_oracle.jsonl"), read("TestPlans.txt")
    texts = [json.loads(line)["text"] for line in oracle.splitlines()]
    texts += [line[8:] for line in plans.splitlines() if line.startswith("Sample: ")]
    texts += (SOURCE / "ggml-vocab.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    texts += [unicodedata.normalize("NFC", t) for t in texts]
    texts = sorted({t.encode("utf-8") for t in texts})
    for name in ("r50k_base", "p50k_base", "cl100k_base", "o200k_base"):
        cut_ranks(name + ".tiktoken", texts)
    for name in ("gpt2", "qwen3"):
        cut_json(name + "_tokenizer.json", texts)
    pack("tokenizer_oracle.jsonl", oracle)
    pack("TestPlans.txt", plans)
    for name in ("ggml-vocab.inp", "ggml-vocab-gpt-2.out", "ggml-vocab-qwen2.out"):
        (OUT / name).write_bytes((SOURCE / name).read_bytes())


if __name__ == "__main__":
    main()
