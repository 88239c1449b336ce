"""Compile every kernel for compute capability 9.0 in bf16, fp16 and fp32, without a GPU, and print their names.

Run as a program: triton has to be imported without its interpreter.
"""

from __future__ import annotations

import inspect
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mammogan.models.penalty import triton_kernels

POINTERS = {"value", "pooled", "tangent", "out", "cotangent", "weight", "bias"}
CONSTANTS: dict[str, dict[str, Any]] = {
    "relu_pool": {"RELU": True, "P": 16, "B": 64},
    "gather": {"P": 16, "B": 64},
    "scatter": {"P": 16, "B": 64},
    "leak": {"P": 4096},
    "stem": {"INS": 3, "K": 32, "P": 64, "B": 64},
    "stem_gradient": {"INS": 3, "K": 32, "STEPS": 30, "P": 64, "B": 64},
    "stem_vjp": {"INS": 3, "BLOCKS": 1, "P": 64, "B": 64},
}


LEAST_SHARED = 64 * 1024
"""Bytes of shared memory that every GPU since compute capability 7.5 gives a program."""


def main() -> None:
    for name, constants in CONSTANTS.items():
        for dtype in ("bf16", "fp16", "fp32"):
            for known in variants(name, constants, dtype):
                shared = compile_one(getattr(triton_kernels, name), dtype, known)
                assert shared <= LEAST_SHARED, f"{name} in {dtype} takes {shared} bytes of shared memory"
        print(name, flush=True)


def variants(name: str, constants: dict[str, Any], dtype: str) -> list[dict[str, Any]]:
    """The constants that the package calls a kernel with."""
    if name == "relu_pool":
        return [constants | {"RELU": relu} for relu in (True, False)]
    if "stem" not in name:
        return [constants]
    few = {"INS": 1} | ({"K": 16} if "K" in constants else {})
    found = [constants | one | {"EXACT": dtype == "fp32"} for one in ({}, few)]
    return [one | {"CHOOSES": c} for one in found for c in (True, False)] if name == "stem" else found


def compile_one(kernel: Any, dtype: str, constants: dict[str, Any]) -> int:
    """Bytes of shared memory that the compiled kernel takes."""
    arguments = list(inspect.signature(kernel.fn).parameters)
    signature = {name: kind_of(name, dtype, constants) for name in arguments}
    places = {(i,): constants[name] for i, name in enumerate(arguments) if name in constants}
    one_stage = kernel.fn.__name__ == "stem_gradient" and dtype == "fp32"
    source = ASTSource(fn=kernel, signature=signature, constexprs=places)
    built = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_stages": 1} if one_stage else {})
    return int(built.metadata.shared)


def kind_of(name: str, dtype: str, constants: dict[str, Any]) -> str:
    if name in constants:
        return "constexpr"
    if name in POINTERS:
        return f"*{dtype}"
    return {"code": "*u8", "chosen": "*u8", "slope": "fp32", "partial": "*fp32"}.get(name, "i32")


if __name__ == "__main__":
    main()
