"""Golden values of ggml's block formats, written with NumPy from their description (the layouts in the
head of src/ops/quant_blocks.h), element by element and without the loops of the program.

    /usr/bin/python3 quant_blocks.py        # tests/data/quant_blocks.json

For each type: `blocks`, random bytes with moderate scales, in hexadecimal, and `values`, what they mean,
as the bits of f32. For Q8_0 and Q4_0 also `weights` (bits of f32) and `quantized`.
"""
import json
import os

import numpy as np

F32 = np.float32


def half(data, at):
    return F32(np.frombuffer(data[at : at + 2], "<f2")[0])


def q8_0(b):
    return [half(b, 0) * F32(q) for q in np.frombuffer(b[2:34], "i1")]


def q4_0(b):
    return [half(b, 0) * F32((b[2 + i % 16] >> (4 * (i // 16)) & 15) - 8) for i in range(32)]


def q4_k(b):
    d, m = half(b, 0), half(b, 2)
    packed = b[4:16]
    s = [packed[j] & 63 for j in range(4)] + [packed[8 + j] % 16 + (packed[j] >> 6) * 16 for j in range(4)]
    t = [packed[4 + j] & 63 for j in range(4)] + [packed[8 + j] // 16 + (packed[4 + j] >> 6) * 16 for j in range(4)]
    out = []
    for i in range(256):
        group, lane = divmod(i, 32)
        q = b[16 + 32 * (group // 2) + lane] >> (4 * (group % 2)) & 15
        out.append(d * F32(s[group]) * F32(q) - m * F32(t[group]))
    return out


def q6_k(b):
    d = half(b, 208)
    scales = np.frombuffer(b[192:208], "i1")
    out = []
    for i in range(256):
        side, rest = divmod(i, 128)
        part, lane = divmod(rest, 32)
        low = b[64 * side + lane + 32 * (part % 2)] >> (4 * (part // 2)) & 15
        high = b[128 + 32 * side + lane] >> (2 * part) & 3
        out.append(d * F32(scales[i // 16]) * F32(low + 16 * high - 32))
    return out


def away(x):  # halves away from zero
    return int(np.trunc(F32(x) + np.copysign(F32(0.5), x)))


def to_q8_0(w):
    d = F32(np.abs(w).max() / F32(127))
    inverse = F32(1) / d if d else F32(0)
    q = np.array([away(x * inverse) for x in w], "i1")
    return np.float16(d).tobytes() + q.tobytes()


def to_q4_0(w):
    extreme = w[np.argmax(np.abs(w))] if w.any() else F32(0)  # of zeros, +0: so d is -0
    d = F32(extreme / F32(-8))
    inverse = F32(1) / d if d else F32(0)
    q = [min(15, int(F32(x * inverse) + F32(8.5))) for x in w]
    return np.float16(d).tobytes() + bytes(q[i] | q[i + 16] << 4 for i in range(16))


TYPES = {"Q8_0": (34, [0], q8_0), "Q4_0": (18, [0], q4_0), "Q4_K": (144, [0, 2], q4_k), "Q6_K": (210, [208], q6_k)}


def main():
    rng = np.random.default_rng(20)
    result = {}
    for name, (size, scales, read) in TYPES.items():
        blocks, values = b"", []
        for _ in range(3):
            block = bytearray(rng.bytes(size))
            for at in scales:
                block[at : at + 2] = np.float16(rng.normal() * 0.01).tobytes()
            blocks += block
            values += read(bytes(block))
        result[name] = {"blocks": blocks.hex(), "values": np.array(values, F32).view("u4").tolist()}
    for name, write in [("Q8_0", to_q8_0), ("Q4_0", to_q4_0)]:
        w = (rng.normal(size=(4, 32)) * [[0.02], [3], [1e-3], [0]]).astype(F32)
        result[name]["weights"] = w.ravel().view("u4").tolist()
        result[name]["quantized"] = b"".join(write(row) for row in w).hex()
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "quant_blocks.json")
    with open(path, "w") as file:
        json.dump(result, file, separators=(",", ":"))
        file.write("\n")


main()
