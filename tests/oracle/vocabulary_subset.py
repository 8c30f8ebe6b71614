"""Cuts vocabularies of GGUF files down to what llama.cpp's test strings can reach.

Usage: vocabulary_subset.py FOLDER    FOLDER has ggml-vocab-NAME.gguf.xz, ggml-vocab.inp, ggml-vocab-NAME.out

As tokenizer_subset.py, with which this shares its reasoning: ids and scores of the tokens that stay are
kept, the others become unused and empty. Writes tests/data/tokenizer/ggml-vocab-NAME.gguf.zst.
"""
import lzma
import pathlib
import struct
import subprocess
import sys

from tokenizer_subset import OUT, byte_symbols, reachable

NAMES = ["gpt-2", "mpt", "phi-3"]
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
UNUSED = 5


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 8

    def scalar(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def value(self, kind):
        if kind == 8:
            size = self.scalar("Q")
            self.at += size
            return self.data[self.at - size : self.at]
        if kind == 9:
            element, count = self.scalar("I"), self.scalar("Q")
            return element, [self.value(element) for _ in range(count)]
        return self.scalar(SCALARS[kind])


def packed(kind, value):
    if kind == 8:
        return struct.pack("<Q", len(value)) + value
    if kind == 9:
        element, items = value
        return struct.pack("<IQ", element, len(items)) + b"".join(packed(element, i) for i in items)
    return struct.pack("<" + SCALARS[kind], value)


def cut(values, texts):
    tokens, types = values["tokenizer.ggml.tokens"][1][1], values["tokenizer.ggml.token_type"][1][1]
    if values["tokenizer.ggml.model"][1] == b"gpt2":
        symbols = byte_symbols()
        strings = [t.decode("utf-8") for t in tokens]
        raw = [bytes(symbols[c] for c in s) if all(c in symbols for c in s) else None for s in strings]
    else:
        texts = [("\u2581" + t.decode("utf-8").replace(" ", "\u2581")).encode("utf-8") for t in texts]
        raw = tokens
    kept = reachable(texts, {r for r in raw if r})
    stays = [types[i] in (2, 3, 4, 6) and b"PAD" not in tokens[i] or raw[i] in kept for i in range(len(tokens))]
    alive = {t for t, s in zip(tokens, stays) if s}
    for i, stay in enumerate(stays):
        if not stay:
            tokens[i], types[i] = b"", UNUSED
    if "tokenizer.ggml.merges" in values:
        kind, (element, merges) = values["tokenizer.ggml.merges"]
        pairs = [m.split(b" ") for m in merges]
        merges = [m for m, (a, b) in zip(merges, pairs) if a in alive and b in alive and a + b in alive]
        values["tokenizer.ggml.merges"] = kind, (element, merges)


def main():
    source = pathlib.Path(sys.argv[1])
    texts = (source / "ggml-vocab.inp").read_bytes().split(b"\n__ggml_vocab_test__\n")
    for name in NAMES:
        file = Reader(lzma.open(source / f"ggml-vocab-{name}.gguf.xz").read())
        file.scalar("Q")
        values = {}
        for _ in range(file.scalar("Q")):
            key = file.value(8)
            kind = file.scalar("I")
            values[key.decode("ascii")] = kind, file.value(kind)
        cut(values, texts)
        data = b"GGUF" + struct.pack("<IQQ", 3, 0, len(values))
        for key, (kind, value) in values.items():
            data += packed(8, key.encode("ascii")) + struct.pack("<I", kind) + packed(kind, value)
        subprocess.run(["zstd", "-q", "-f", "--ultra", "-22", "-o", OUT / f"ggml-vocab-{name}.gguf.zst"],
                       input=data, check=True)
        (OUT / f"ggml-vocab-{name}.out").write_bytes((source / f"ggml-vocab-{name}.out").read_bytes())


main()
