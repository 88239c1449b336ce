"""Read the formulas of a .pt2 file: sizes that depend on the input's, and conditions that they must meet.

torch evaluates both as Python: sympy parses sizes with eval, conditions (guards) become the body of a function. So
they are parsed here without being run, may hold only arithmetic, and are passed on as written anew.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

from mammogan.evaluation.victims.exported.fields import Refused

LONGEST = 20_000
ARITHMETIC = (
    *(ast.Expression, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
    *(ast.UnaryOp, ast.USub, ast.UAdd, ast.Not, ast.BoolOp, ast.And, ast.Or),
    *(ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
)
FUNCTIONS = """
    Abs Add And BooleanFalse BooleanTrue CeilDiv CeilToInt CleanDiv Eq Equality Float FloatPow FloatTrueDiv FloorDiv
    FloorToInt Ge GreaterThan Gt Identity IntTrueDiv Integer IsNonOverlappingAndDenseIndicator LShift Le LessThan Lt
    Max Min Mod ModularIndexing Mul Ne Not Or Pow PowByNatural PythonMod RShift Rational RoundDecimal RoundToInt
    StrictGreaterThan StrictLessThan ToFloat TruncToFloat TruncToInt Unequality Where ceiling floor true false
"""
"""Functions of sympy and of torch.utils._sympy that torch writes into sizes."""
IN_CONDITIONS = """
    max min abs int float round math.ceil math.floor math.trunc math.sqrt math.log2 math.inf
    torch.sym_float torch.sym_int torch.sym_max torch.sym_min torch._sym_sqrt
"""
SYMBOL = re.compile(r"(s|u|zf|zuf)[0-9]{1,12}")
"""Names of sizes that are not fixed, such as s77 and u0."""
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?(e-?[0-9]+)?")
Allowed = Callable[[ast.expr], bool]


def size(value: Any) -> str:
    """Read a size, such as Mul(Integer(2), Symbol('s0', positive=True, integer=True)) or 2*s0."""
    return _rewritten(value, "a size of numbers, symbols such as s0, arithmetic and sympy's functions", _is_of_a_size)


def condition(value: Any) -> str:
    """Read a condition, such as L['x'].size()[0] % 2 == 0."""
    return _rewritten(value, "a condition on sizes of the input, such as L['x'].size()[0] <= 8", _is_of_a_condition)


def _rewritten(value: Any, expected: str, allowed: Allowed) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise Refused(expected, value)
    try:
        tree = ast.parse(value.strip(), mode="eval")
        _check(tree, allowed)
        return ast.unparse(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Refused(expected, value) from None


def _check(node: ast.AST, allowed: Allowed) -> None:
    """Raise ValueError if a part of a formula is neither arithmetic nor ``allowed``."""
    if isinstance(node, ast.Call) and allowed(node.func) and not node.keywords:
        parts: list[ast.AST] = list(node.args)
    elif isinstance(node, ast.expr) and (_is_number(node) or allowed(node)):
        parts = []
    elif isinstance(node, ARITHMETIC):
        parts = list(ast.iter_child_nodes(node))
    else:
        raise ValueError(ast.dump(node))
    for part in parts:
        _check(part, allowed)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float, bool)


def _is_of_a_size(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name):
            return name in FUNCTIONS.split() or bool(SYMBOL.fullmatch(name))
        case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str(name))], keywords=assumptions):
            return bool(SYMBOL.fullmatch(name)) and all(_is_setting(one, bool) for one in assumptions)
        case ast.Call(func=ast.Name(id="Float"), args=[ast.Constant(value=str(number))], keywords=precision):
            return bool(NUMBER.fullmatch(number)) and all(_is_setting(one, int) for one in precision)
    return False


def _is_setting(one: ast.keyword, kind: type) -> bool:
    return one.arg is not None and isinstance(one.value, ast.Constant) and type(one.value.value) is kind


def _is_of_a_condition(node: ast.expr) -> bool:
    match node:
        case ast.Name() | ast.Attribute(value=ast.Name()):
            return ast.unparse(node) in IN_CONDITIONS.split()
        case ast.Subscript(
            value=ast.Call(func=ast.Attribute(value=source, attr="size" | "stride"), args=[], keywords=[]),
            slice=ast.Constant(value=int()),
        ):
            return _is_input(source)
        case ast.Call(func=ast.Attribute(value=source, attr="storage_offset"), args=[], keywords=[]):
            return _is_input(source)
    return False


def _is_input(node: ast.expr) -> bool:
    """Whether a part of a condition names an input: L['x'], or L['args'][0]."""
    match node:
        case ast.Subscript(value=ast.Name(id="L"), slice=ast.Constant(value=str(name))):
            return name.isascii() and name.isidentifier()
        case ast.Subscript(value=inner, slice=ast.Constant(value=int())):
            return _is_input(inner)
    return False
