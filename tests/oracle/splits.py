"""Pieces that two ways to split text give, by an engine of regular expressions.

    sudo apt-get install python3-regex
    /usr/bin/python3 splits.py FOLDER      # tests/data/tokenizer/splits.json

FOLDER has ggml-vocab.inp. Each expression splits the pieces that the ones before it left, matches and what
lies between them apart, as Hugging Face's "Isolated" does.
"""
import json
import pathlib
import random
import sys

import regex

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
WAYS = {
    "digits": [r"\p{N}", GPT2],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-\ud7ff]+", r"\p{N}"],
}
OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "tokenizer" / "splits.json"
ALPHABET = list("ab 'st12.,!\n\r\t") + ["é", "你", "好", "한", "।", "०", "৳", "’", "\u3000", "\u00a0", "\u0301",
                                        "\u0e33", "$", "+", "🙂", "\u2028", "Ⅷ", "²"]


def split(pieces, expression):
    for piece in pieces:
        at = 0
        for match in regex.finditer(expression, piece):
            if match.start() > at:
                yield piece[at:match.start()]
            if match.group():
                yield match.group()
            at = match.end()
        if at < len(piece):
            yield piece[at:]


def main():
    rng = random.Random(4)
    texts = (pathlib.Path(sys.argv[1]) / "ggml-vocab.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    texts += ["".join(rng.choices(ALPHABET, k=rng.randrange(1, 25))) for _ in range(300)]
    rows = []
    for text in texts:
        row = {"text": text}
        for name, expressions in WAYS.items():
            pieces = [text]
            for expression in expressions:
                pieces = list(split(pieces, expression))
            row[name] = pieces
        rows.append(row)
    OUT.write_text(json.dumps(rows, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


main()
