"""Reads and writes safetensors files: an 8-byte little-endian header length, a JSON header, the data.

Written from the format's description, for the oracles alone, so that they share no code with Belay.
Arrays are numpy; f32 is written, F32, F16 and BF16 are read (as f32).
"""
import json
import struct

import numpy as np


def save(path, tensors, metadata=None):
    """tensors: name -> array. Stored as F32 in the order of the names."""
    header, blobs, offset = {}, [], 0
    if metadata:
        header["__metadata__"] = metadata
    for name in sorted(tensors):
        blob = np.ascontiguousarray(tensors[name], dtype="<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape),
                        "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def load(path):
    """name -> f32 array."""
    raw = open(path, "rb").read()
    (n,) = struct.unpack_from("<Q", raw)
    header, out = json.loads(raw[8:8 + n]), {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        blob = raw[8 + n + begin:8 + n + end]
        if entry["dtype"] == "BF16":
            a = (np.frombuffer(blob, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            a = np.frombuffer(blob, {"F32": "<f4", "F16": "<f2"}[entry["dtype"]]).astype(np.float32)
        out[name] = a.reshape(entry["shape"])
    return out
