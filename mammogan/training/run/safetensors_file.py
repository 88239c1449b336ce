"""Read and write tensors in the safetensors format, which holds no code and which other libraries read too.

A file is: 8 bytes, the length of the header (little-endian); the header, JSON that maps each tensor's name to its
dtype, shape and place in the rest (``data_offsets``), and ``__metadata__`` to a mapping of texts; the bytes of all
tensors.
Source: https://github.com/huggingface/safetensors, section "Format".
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mammogan.io.atomic import replaced_atomically

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
METADATA = "__metadata__"
LENGTH = struct.Struct("<Q")
LONGEST_HEADER = 100_000_000
"""Longest header in bytes that is read, as in the reference implementation."""
MOST_DIMENSIONS, LONGEST = 16, 1 << 40
"""Limits of a shape that is believed, even if one of its sizes is 0 and it takes no bytes."""
ALIGNED = 8


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors by name, complete or not at all; the same content gives the same bytes."""
    header: dict[str, object] = {METADATA: dict(metadata)}
    content, start = [], 0
    for name, tensor in sorted(tensors.items()):
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        place = [start, start := start + len(data)]
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place}
        content.append(data)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNED)
    with replaced_atomically(path) as own, open(own, "wb") as file:
        file.write(LENGTH.pack(len(text)) + text)
        file.writelines(content)


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors, on the CPU, and the metadata. Raises ValueError for anything that is not as the format says."""
    data = path.read_bytes()
    if len(data) < LENGTH.size or (length := LENGTH.unpack_from(data)[0]) > min(LONGEST_HEADER, len(data)):
        raise ValueError("it is too short for its header")
    content = memoryview(data)[LENGTH.size + length :]
    header = parsed(data[LENGTH.size : LENGTH.size + length], "its header is")
    if not isinstance(header, dict):
        raise ValueError("its header is no mapping")
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are no texts")
    entries = sorted(((_place(name, entry), name) for name, entry in header.items()), key=lambda entry: entry[0])
    ends = [0, *(place[1] for place, _ in entries)]
    if [place[0] for place, _ in entries] != ends[:-1] or ends[-1] != len(content):
        raise ValueError("its tensors do not fill the file")
    return {name: _tensor(name, header[name], content[start:end]) for (start, end), name in entries}, metadata


def parsed(text: str | bytes, what: str) -> object:
    """Parse JSON of a file that others may have written. Raises ValueError, beginning with ``what``, if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} no JSON that can be read ({str(error) or type(error).__name__})") from None


def _place(name: str, entry: object) -> tuple[int, int]:
    match entry:
        case {"dtype": str(), "shape": [*sizes], "data_offsets": [int(start), int(end)]}:
            fits = len(sizes) <= MOST_DIMENSIONS and all(type(n) is int and 0 <= n <= LONGEST for n in sizes)
            if 0 <= start <= end and fits:
                return start, end
    raise ValueError(f"the entry of {name!r} in its header is not understood")


def _tensor(name: str, entry: dict[str, object], content: memoryview) -> Tensor:
    dtype, shape = DTYPES.get(str(entry["dtype"])), list(entry["shape"])  # type: ignore[call-overload]
    if dtype is None or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"the bytes of {name!r} are not {entry['dtype']} of shape {shape}")
    # A copy, because the tensor must be writable and outlive the file's bytes.
    flat = torch.frombuffer(bytearray(content), dtype=dtype) if len(content) else torch.empty(0, dtype=dtype)
    return flat.reshape(shape)
