"""Say which functions the graph of a .pt2 file may call: those of torch that compute with tensors and numbers.

torch looks the name up in the modules torch, math and operator, so torch.hub.load or torch.os.system would do as well.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tag
from torch._ops import OpOverload

from mammogan.evaluation.victims.exported.fields import Refused

ON_NUMBERS = re.compile(
    r"_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|lshift|rshift|and_|or_|eq|ne|lt|le|gt|ge)"
    r"|torch\.(sym_int|sym_float|sym_max|sym_min|sym_not|sym_ite|sym_sqrt|_sym_sqrt)|math\.(trunc|ceil|floor)"
)
"""What torch.export writes of computations with sizes."""
WITH_GRAPHS = re.compile(r"torch\.ops\.higher_order\.(cond|wrap_with_autocast|wrap_with_set_grad_enabled)")
"""What calls a graph within the graph, which is checked like the outer one."""
ATEN = re.compile(r"torch\.ops\.aten\.([A-Za-z0-9_]+)\.([A-Za-z0-9_]+)")
PRIVATE = """
    __and__ __or__ __xor__ _assert_async _assert_scalar _assert_tensor_metadata _cdist_forward _conj _conv_depthwise2d
    _convolution _euclidean_dist _fft_c2c _fft_c2r _fft_r2c _functional_assert_async _functional_assert_scalar
    _fused_rms_norm _linalg_det _linalg_eigh _linalg_slogdet _linalg_solve_ex _linalg_svd _log_softmax _logcumsumexp
    _native_batch_norm_legit _native_batch_norm_legit_functional _native_batch_norm_legit_no_training _pad_circular
    _pad_enum _prelu_kernel _safe_softmax _scaled_dot_product_attention_math _softmax _to_copy _trilinear _unique2
    _unsafe_index _unsafe_view _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact1d
    _upsample_nearest_exact2d _upsample_nearest_exact3d _weight_norm
"""
"""Operators with a leading underscore that torch.export writes for public functions, such as _upsample_bilinear2d_aa
for interpolate(antialias=True); others may trust what they are given."""
SIZED_TWICE = re.compile(r"torch\.ops\.aten\._upsample_[a-z0-9]+_aa\.default")
"""Operators that are given a size and scales, which end the process where they contradict each other."""
UNSAFE = "unsafe"
"""Name of the argument that makes an operator trust what it is given."""
VALUES = frozenset({"Tensor", "int", "SymInt", "float", "bool", "number", "Scalar", "complex", "Device", "Generator"})
SETTINGS = """
    approximate assert_msg driver equation indexing interpolation mode norm ord p pad_mode padding padding_side reduce
    rounding_mode side UPLO
"""
"""Arguments that are words and choose how something is computed. Any other word could be the name of a file."""


def operator(target: Any) -> str:
    """Read the name of a function that a graph calls."""
    allowed = (ON_NUMBERS.fullmatch, WITH_GRAPHS.fullmatch, _computes)
    if isinstance(target, str) and any(allows(target) for allows in allowed):
        return target
    raise Refused("a function of torch.ops.aten that computes with tensors and numbers", target)


def _computes(target: str) -> bool:
    found = ATEN.fullmatch(target)
    if not found:
        return False
    name, overload = found.groups()
    made = getattr(getattr(torch.ops.aten, name, None), overload, None)
    if not isinstance(made, OpOverload) or made.name() not in (f"aten::{name}.{overload}", f"aten::{name}"):
        return False
    known = not name.startswith("_") or name in PRIVATE.split() or Tag.core in made.tags
    takes, gives = made._schema.arguments, made._schema.returns
    only_checks = name.startswith(("_assert_", "sym_constrain_range"))
    return (
        known
        and all(one.kwarg_only or one.name != UNSAFE for one in takes)  # so that no position hides it
        and all(_is_value(one.type) or (_bare(one.type) == "str" and one.name in SETTINGS.split()) for one in takes)
        and all(_is_value(one.type) for one in gives)
        and (bool(gives) or only_checks)
    )


def _is_value(kind: object) -> bool:
    return _bare(kind) in VALUES


def _bare(kind: object) -> str:
    """Return a type of torch's schemas without Optional and List."""
    return re.sub(r"(Optional|List)\[|\]", "", str(kind))
