"""Read the JSON of a .pt2 file: its graph (models/model.json) and the lists of its tensors (..._config.json).

torch makes Python code of the graph and runs it, so a name, a size or a function in it may be anything that torch would
run. What is read here is passed on as torch.export's schema has it (torch/_export/serde/schema.py); traces of where
the network came from, such as its source lines, are left out.
"""

from __future__ import annotations

import json
from typing import Any

from mammogan.evaluation.victims.exported import expressions
from mammogan.evaluation.victims.exported.fields import (
    Reader,
    Refused,
    boolean,
    integer,
    left_out,
    list_of,
    map_of,
    matching,
    maybe,
    name,
    one_of,
    real,
    record,
    text,
    weight,
)
from mammogan.evaluation.victims.exported.operators import SIZED_TWICE, UNSAFE, operator

ONE_TENSOR = '{"type": null, "context": null, "children_spec": []}'
INPUTS = (
    '[1, {"type": "builtins.tuple", "context": "null", "children_spec": [{"type": "builtins.tuple", "context": "null", '
    f'"children_spec": [{ONE_TENSOR}]}}, {{"type": "builtins.dict", "context": "[]", "children_spec": []}}]}}]'
)
OUTPUTS = f"[1, {ONE_TENSOR}]"


def _layout(wanted: str, expected: str) -> Reader:
    """Return a reader of how inputs or outputs are nested, which torch keeps as JSON within the JSON."""

    def read(value: Any) -> str:
        try:
            found = json.loads(text(value))
        except ValueError:
            raise Refused(expected, value) from None
        if found != json.loads(wanted):
            raise Refused(expected, value)
        return wanted

    return read


def _call(value: Any) -> list[Any]:
    """Read how the network is called; how its parts were is left out."""
    if not isinstance(value, list) or not value:
        raise Refused("a list that says how the network is called", value)
    return [CALL(value[0])]


def _unpickled(value: Any) -> bool:
    if value is not False:
        raise Refused("tensors as plain numbers", "something pickled, which is more than tensors")
    return False


def _graph(value: Any) -> Any:
    return GRAPH(value)


def _safe(value: Any) -> Any:
    """Read an argument of a function; none may make it trust what it computes with."""
    given = GIVEN(value)
    if given.get("name") == UNSAFE and given.get("arg") != {"as_bool": False}:
        raise Refused("functions that check what they compute with", value)
    return given


def _node(value: Any) -> Any:
    """Read a call of a function; none may be given a size and scales that it believes both."""
    node = NODE(value)
    scales = [given for given in node["inputs"] if str(given.get("name")).startswith("scale")]
    if SIZED_TWICE.fullmatch(node["target"]) and any(given.get("arg") != {"as_none": True} for given in scales):
        raise Refused("a size or scales of an antialiased image (export it without run_decompositions)", node["target"])
    return node


SYMBOL = matching(expressions.SYMBOL.pattern, "the name of a size, such as s77")
FORMULA = record(expr_str=expressions.size, hint=maybe(one_of(as_int=integer, as_bool=boolean, as_float=real)))
SIZE = one_of(as_expr=FORMULA, as_int=integer)
DEVICE = record(type=name, index=maybe(integer))
META = record(
    dtype=integer,
    sizes=list_of(SIZE),
    requires_grad=boolean,
    device=DEVICE,
    strides=list_of(SIZE),
    storage_offset=SIZE,
    layout=integer,
)
TENSOR = record(name=name)
WHOLE = one_of(as_name=name, as_int=integer)
REAL = one_of(as_name=name, as_float=real)
TRUTH = one_of(as_name=name, as_bool=boolean)
TENSOR_OR_NONE = one_of(as_tensor=TENSOR, as_none=boolean)
ARGUMENT = one_of(
    as_none=boolean,
    as_tensor=TENSOR,
    as_tensors=list_of(TENSOR),
    as_nested_tensors=list_of(list_of(TENSOR)),
    as_optional_tensor=TENSOR_OR_NONE,
    as_optional_tensors=list_of(TENSOR_OR_NONE),
    as_int=integer,
    as_ints=list_of(integer),
    as_int_lists=list_of(list_of(integer)),
    as_float=real,
    as_floats=list_of(real),
    as_float_lists=list_of(list_of(real)),
    as_complex=record(real=real, imag=real),
    as_bool=boolean,
    as_bools=list_of(boolean),
    as_string=text,
    as_sym_int=WHOLE,
    as_sym_ints=list_of(WHOLE),
    as_sym_float=REAL,
    as_sym_floats=list_of(REAL),
    as_sym_bool=TRUTH,
    as_sym_bools=list_of(TRUTH),
    as_scalar_type=integer,
    as_memory_format=integer,
    as_layout=integer,
    as_device=DEVICE,
    as_graph=record(name=name, graph=_graph),
)
GIVEN = record(
    name=matching(r"([A-Za-z_][A-Za-z0-9_]*)?", "the name of an argument"), arg=ARGUMENT, kind=maybe(integer)
)
NODE = record(
    target=operator,
    inputs=list_of(_safe),
    outputs=list_of(ARGUMENT),
    metadata=left_out({}),
    is_hop_single_tensor_return=maybe(boolean),
    name=maybe(name),
)
GRAPH = record(
    inputs=list_of(ARGUMENT),
    outputs=list_of(ARGUMENT),
    nodes=list_of(_node),
    tensor_values=map_of(name, META),
    sym_int_values=map_of(name, SIZE),
    sym_bool_values=map_of(name, one_of(as_expr=FORMULA, as_bool=boolean)),
    sym_float_values=map_of(name, one_of(as_expr=FORMULA, as_float=real)),
    is_single_tensor_return=boolean,
)
SIGNATURE = record(
    input_specs=list_of(
        one_of(
            user_input=record(arg=ARGUMENT),
            parameter=record(arg=TENSOR, parameter_name=weight),
            buffer=record(arg=TENSOR, buffer_name=weight, persistent=boolean),
            tensor_constant=record(arg=TENSOR, tensor_constant_name=weight),
        )
    ),
    output_specs=list_of(
        one_of(user_output=record(arg=ARGUMENT), buffer_mutation=record(arg=TENSOR, buffer_name=weight))
    ),
)
CALL = record(
    fqn=matching("", "the call of the whole network"),
    signature=record(
        inputs=list_of(ARGUMENT),
        outputs=list_of(ARGUMENT),
        in_spec=_layout(INPUTS, "a network of one input, pixels (N,1,H,W)"),
        out_spec=_layout(OUTPUTS, "a network of one output, logits or probabilities"),
        forward_arg_names=maybe(list_of(name)),
    ),
)
PROGRAM = record(
    graph_module=record(
        graph=GRAPH,
        signature=SIGNATURE,
        module_call_graph=_call,
        metadata=left_out({}),
        treespec_namedtuple_fields=left_out({}),
    ),
    opset_version=map_of(name, integer),
    range_constraints=map_of(SYMBOL, record(min_val=maybe(integer), max_val=maybe(integer))),
    schema_version=record(major=integer, minor=integer),
    verifiers=list_of(matching(r"[A-Z]*", "the name of a dialect")),
    torch_version=matching(r"[0-9A-Za-z.+<=_-]*", "a version"),
    guards_code=list_of(expressions.condition),
)
"""Reads models/model.json."""


def tensors(prefix: str) -> Reader:
    """Return a reader of a list of tensors, each in a member of the archive whose name is the prefix and a number."""
    stored = record(
        path_name=matching(rf"{prefix}[0-9]+", f"{prefix} and a number"),
        is_param=boolean,
        use_pickle=_unpickled,
        tensor_meta=META,
    )
    return record(config=map_of(weight, stored))
