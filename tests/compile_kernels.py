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
    "stem_pull": {"INS": 3, "BLOCKS": 1, "P": 64, "B": 64},
}


def main() -> None:
    for name, constants in CONSTANTS.items():
        kernel = getattr(triton_kernels, name)
        for dtype in ("bf16", "fp16", "fp32"):
            for chooses in (True, False) if name == "stem" else (None,):
                known = constants | ({"EXACT": dtype == "fp32"} if "stem" in name else {})
                known |= {} if chooses is None else {"CHOOSES": chooses}
                compile_one(kernel, dtype, known)
        print(name, flush=True)


def compile_one(kernel: Any, dtype: str, constants: dict[str, Any]) -> None:
    arguments = list(inspect.signature(kernel.fn).parameters)
    signature = {name: kind_of(name, dtype, constants) for name in arguments}
    places = {(i,): constants[name] for i, name in enumerate(arguments) if name in constants}
    triton.compile(ASTSource(fn=kernel, signature=signature, constexprs=places), target=GPUTarget("cuda", 90, 32))


def kind_of(name: str, dtype: str, constants: dict[str, Any]) -> str:
    if name in constants:
        return "constexpr"
    if name in POINTERS:
        return f"*{dtype}"
    return {"code": "*u8", "chosen": "*u8", "slope": "fp32", "partial": "*fp32"}.get(name, "i32")


if __name__ == "__main__":
    main()
