"""Networks of torch.export load as victims and give what the network gave; nothing else in a .pt2 file is run."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from generators import WIDTH
from torch import Tensor, nn
from torch.export import Dim

from mammogan.errors import UserError
from mammogan.evaluation.victims.loading import load_victim
from mammogan.evaluation.victims.victim import NetworkVictim
from mammogan.models.networks import Cad
from mammogan.models.torchvision_import import import_torchvision

VISION = import_torchvision().models
BLOCK = VISION.efficientnet.MBConvConfig(4, 3, 2, 8, 8, 1, 1, 1)
Edit = Callable[[Any, str], None]
"""Changes the JSON of a graph; the text is a Python expression that makes a file when it is evaluated."""
MODEL = "models/model.json"
SIZES = {"batch": {0: Dim("batch", min=1, max=64)}, "all": {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}, "none": None}


class Halves(nn.Module):
    """Uses what torch.export writes beyond operators: a branch, a mode, a precision, a constant, sizes, a condition."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(1, 2, 3)
        self.weights = torch.tensor([1.0, 2.0])

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] % 2 == 0:
            x = nn.functional.interpolate(x, scale_factor=0.5, mode="bilinear")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = self.inner(x).float().mean((2, 3))
        with torch.no_grad():
            scale = found.abs().amax()
        found = torch.cond(scale > 1, lambda one: one / 2, lambda one: one + 1, (found,))
        return (found * self.weights).reshape(x.shape[0], -1)


class OfGrey(nn.Module):
    """Gives grey images to a network of colours."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.network(x.expand(-1, 3, -1, -1))
        return found


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "own CAD": lambda: Cad(WIDTH),
    "branches": Halves,
    "resnet": lambda: OfGrey(VISION.ResNet(VISION.resnet.BasicBlock, [1, 1, 1, 1], num_classes=2)),
    "densenet": lambda: OfGrey(VISION.DenseNet(4, (1, 2), 8, num_classes=2)),
    "efficientnet": lambda: OfGrey(VISION.EfficientNet([BLOCK], 0.1, num_classes=2)),
    "vision transformer": lambda: OfGrey(VISION.VisionTransformer(32, 16, 1, 2, 8, 8, num_classes=2)),
    "swin transformer": lambda: OfGrey(VISION.SwinTransformer([4, 4], 8, [2], [2], [4, 4], num_classes=2)),
}


def exported(network: nn.Module, sizes: str, side: int = 32, batch: int = 1) -> bytes:
    example = torch.rand(batch, 1, side, side, generator=torch.Generator().manual_seed(3))
    program = torch.export.export(network.eval(), (example,), dynamic_shapes=(SIZES[sizes],) if SIZES[sizes] else None)
    content = io.BytesIO()
    torch.export.save(program, content)
    return content.getvalue()


def load(path: Path, content: bytes) -> NetworkVictim:
    path.write_bytes(content)
    victim = load_victim(f"B={path}", "cpu")
    assert isinstance(victim, NetworkVictim)
    return victim


@pytest.mark.parametrize(
    ("named", "sizes"),
    [*((named, "none") for named in NETWORKS), ("own CAD", "batch"), ("resnet", "batch"), ("branches", "all")],
)
def test_an_exported_network_gives_what_it_gave(tmp_path: Path, named: str, sizes: str) -> None:
    torch.manual_seed(1)
    side = 96 if named == "own CAD" else 32
    network = NETWORKS[named]().eval()
    victim = load(tmp_path / "network.pt2", exported(network, sizes, side, 1 if sizes == "none" else 2))
    for batch in (1,) if sizes == "none" else (1, 2, 5):
        pixels = torch.rand(batch, 1, side, side)
        assert torch.equal(victim.logits(pixels), network(pixels))


def test_conditions_on_sizes_are_kept(tmp_path: Path, sound: bytes) -> None:
    assert "(L['x'].size()[2] % 2) == 0" in read(sound)[MODEL]["guards_code"]
    victim = load(tmp_path / "network.pt2", sound)
    victim.logits(torch.rand(2, 1, 36, 20))
    with pytest.raises(AssertionError, match="Guard failed"):
        victim.logits(torch.rand(2, 1, 35, 20))


def test_images_of_another_size_than_the_networks_are_not_scored(tmp_path: Path) -> None:
    victim = load(tmp_path / "network.pt2", exported(Halves(), "none"))
    with pytest.raises(AssertionError, match="Guard failed"):
        victim.logits(torch.rand(1, 1, 34, 34))


def read(content: bytes) -> dict[str, Any]:
    """Return the members of an archive by their names within its folder, JSON parsed."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    return {name: json.loads(one) if name.endswith(".json") else one for name, one in members.items()}


def write(members: dict[str, Any], *more: tuple[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive of these members, and of more, whose names are given as they are."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", how) as archive:
        for name, one in members.items():
            archive.writestr(f"model/{name}", one if isinstance(one, bytes) else json.dumps(one))
        for name, one in more:
            archive.writestr(name, one)
    return content.getvalue()


@pytest.fixture(scope="module")
def sound() -> bytes:
    return exported(Halves(), "all", batch=2)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A file that a hostile archive would make."""
    return tmp_path / "made"


def refused(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match=why) as error:
        load_victim(f"B={path}", "cpu").positive_probability(torch.rand(2, 1, 32, 32))
    assert "MODULE:FACTORY" in str(error.value) and "ONNX" in str(error.value)


def test_the_archives_of_these_tests_load_unless_they_are_changed(tmp_path: Path, sound: bytes) -> None:
    load(tmp_path / "network.pt2", write(read(sound))).logits(torch.rand(2, 1, 32, 32))


def calls(target: str, **argument: Any) -> Edit:
    """Return an edit that lets the graph call a function; its argument is the expression unless one is given."""

    def edit(program: Any, evil: str) -> None:
        given = argument or {"as_string": evil}
        node = {"target": target, "inputs": [{"name": "filename", "arg": given, "kind": 1}], "outputs": []}
        program["graph_module"]["graph"]["nodes"].insert(0, {**node, "metadata": {}, "name": "called"})

    return edit


def renamed(program: Any, evil: str) -> None:
    """Give the input a name that would be a program in the code that torch makes of the graph."""
    text = json.dumps(program["graph_module"]).replace('"x"', json.dumps(f"x, y=[{evil}]"))
    program["graph_module"] = json.loads(text)


def sized(program: Any, evil: str) -> None:
    program["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0] = {"as_expr": {"expr_str": evil, "hint": None}}


def counted(program: Any, evil: str) -> None:
    """Put text where a number belongs."""
    program["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][1] = {"as_int": evil}


def guarded(program: Any, evil: str) -> None:
    program["guards_code"].append(evil)


def closed_early(program: Any, evil: str) -> None:
    """Write a condition whose text ends the message that torch quotes it in."""
    program["guards_code"].append(f"""L['x"), {evil}, ("'].size()[0] == 1""")


def nested(program: Any, evil: str) -> None:
    """Let the inputs be nested in a type that names a function of any module."""
    kind = {"type": "collections.defaultdict", "children_spec": []}
    context = {"default_factory_module": "os", "default_factory_name": "system", "dict_context": []}
    signature(program)["in_spec"] = json.dumps([1, {**kind, "context": json.dumps(context)}])


def argued(program: Any, evil: str) -> None:
    signature(program)["forward_arg_names"] = [f"x=[{evil}]"]


def signature(program: Any) -> Any:
    return program["graph_module"]["module_call_graph"][0]["signature"]


def inner(program: Any, evil: str) -> None:
    """Name an argument of a call of a graph within the graph so that it would be a program."""
    nodes = program["graph_module"]["graph"]["nodes"]
    (first, *_) = [node for node in nodes if node["target"].startswith("torch.ops.higher_order")]
    first["inputs"][0].update(name=f"x=[{evil}], y", kind=2)


def within(program: Any, evil: str) -> None:
    """Call a function in a graph within the graph."""
    for node in program["graph_module"]["graph"]["nodes"]:
        for given in node["inputs"]:
            if "as_graph" in given["arg"]:
                calls("torch.os.system")({"graph_module": given["arg"]["as_graph"]}, evil)


def weighed(program: Any, evil: str) -> None:
    """Name a weight so that reading it would be a program."""
    text = json.dumps(program["graph_module"]).replace('"inner.bias"', json.dumps(f'a"), [{evil}], ("'))
    program["graph_module"] = json.loads(text)


def held(program: Any, evil: str) -> None:
    found = {"name": "held", "class_fqn": "os.system"}
    program["graph_module"]["graph"]["custom_obj_values"] = {"held": found}


EDITS: dict[str, tuple[Edit, str]] = {
    "a function of the operating system": (calls("torch.os.system"), "torch.os.system"),
    "a function of Python": (calls("builtins.eval"), "builtins.eval"),
    "a loader of programs": (calls("torch.hub.load"), "torch.hub.load"),
    "a loader of libraries": (calls("torch.ops.load_library"), "torch.ops.load_library"),
    "a reader of pickles": (calls("torch.load"), "torch.load"),
    "an operator that reads files": (calls("torch.ops.aten.from_file.default"), "from_file"),
    "an operator that writes files": (calls("torch.ops.aten.save.default"), "save"),
    "an operator that gives nothing": (calls("torch.ops.aten.set_grad_enabled.default"), "set_grad_enabled"),
    "an operator that trusts its input": (calls("torch.ops.aten._nested_view_from_buffer.default"), "_nested_view"),
    "an operator of somebody else": (calls("torch.ops.mylib.op.default"), "mylib"),
    "a library that AOTInductor compiled": (calls("torch.ops.higher_order.aoti_call_delegate"), "aoti_call_delegate"),
    "what belongs to an operator": (calls("torch.ops.aten.relu.default.__class__"), "__class__"),
    "a getter of attributes": (calls("_operator.attrgetter"), "attrgetter"),
    "an operator as an argument": (calls("torch.ops.aten.relu.default", as_operator="torch.os.system"), "as_operator"),
    "an object as an argument": (calls("torch.ops.aten.relu.default", as_custom_obj={"name": "o"}), "as_custom_obj"),
    "a function within a branch": (within, "torch.os.system"),
    "an object": (held, "custom_obj_values"),
    "a size": (sized, "a size of numbers"),
    "a size that is text": (counted, "a whole number"),
    "a condition": (guarded, "a condition on sizes"),
    "a condition that ends its quotes": (closed_early, "a condition on sizes"),
    "the name of the input": (renamed, "a name of letters"),
    "the name of a weight": (weighed, "the dotted name of a weight"),
    "the name of an argument": (argued, "a name of letters"),
    "the name of an argument of a branch": (inner, "the name of an argument"),
    "how inputs are nested": (nested, "a network of one input"),
}


@pytest.mark.parametrize("edited", EDITS)
def test_a_graph_that_names_anything_but_computations_runs_nothing(
    tmp_path: Path, made: Path, sound: bytes, edited: str
) -> None:
    edit, why = EDITS[edited]
    members = read(sound)
    edit(members[MODEL], f"__import__('pathlib').Path('{made}').touch()")
    refused(tmp_path / "planted.pt2", write(members), why)
    assert not made.exists()


@pytest.mark.parametrize(
    "formula",
    [
        "().__class__.__base__.__subclasses__()",
        "Symbol('s0', positive=exec('1'))",
        "Symbol('exec(1)')",
        "(lambda: 1)()",
        "[s0 for s0 in (1,)]",
        "Integer('1')",
        "open(Integer(1))",
        "s0.__class__",
        "s0\n\n!",
        "1 +",
        "(" * 9000 + "1" + ")" * 9000,
        "s0 + " * 9000 + "1",
    ],
)
def test_sizes_are_arithmetic_alone(tmp_path: Path, sound: bytes, formula: str) -> None:
    members = read(sound)
    sized(members[MODEL], formula)
    refused(tmp_path / "planted.pt2", write(members), "a size of numbers")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("member", "why"),
    [
        ("model/data/aotinductor/model/model.so", "aotinductor"),
        ("model/models/other.json", "models/other.json"),
        ("model/models/model.json", "each member of the archive once"),
        ("model/executorch/model.pte", "executorch"),
        ("model/data/constants/custom_obj_0", "custom_obj_0"),
        ("model/data/constants/opaque_obj_0", "opaque_obj_0"),
        ("model/data/weights/model.pt", "data/weights/model.pt"),
        ("/etc/made", "/etc/made"),
        ("../made", "../made"),
        ("model/../../made", "../made"),
    ],
)
def test_members_that_are_not_of_one_network_are_refused(tmp_path: Path, sound: bytes, member: str, why: str) -> None:
    refused(tmp_path / "planted.pt2", write(read(sound), (member, b'{"config": {}}')), why)


@pytest.mark.parametrize("stored", ["custom_obj_0", "opaque_obj_0", "../weights/weight_0", "/etc/passwd"])
def test_constants_are_tensors_within_the_archive(tmp_path: Path, sound: bytes, stored: str) -> None:
    members = read(sound)
    (constant,) = members["data/constants/model_constants_config.json"]["config"].values()
    constant["path_name"] = stored
    refused(tmp_path / "planted.pt2", write(members), "tensor_ and a number")


def test_texts_beside_the_network_are_left_out(tmp_path: Path, sound: bytes) -> None:
    load(
        tmp_path / "network.pt2", write(read(sound), ("model/extra/notes.txt", b"by us"), ("model/extra/a.so", b"ELF"))
    )


def test_a_compressed_archive_is_refused(tmp_path: Path, sound: bytes) -> None:
    refused(tmp_path / "planted.pt2", write(read(sound), how=zipfile.ZIP_DEFLATED), "not compressed")


@pytest.mark.parametrize("cut", [0, 100, 3000])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, sound: bytes, cut: int) -> None:
    (tmp_path / "cut.pt2").write_bytes(sound[:cut])
    with pytest.raises(UserError, match=r"cut\.pt2 is no file of torch\.export\.save"):
        load_victim(f"B={tmp_path / 'cut.pt2'}", "cpu")


def test_a_network_of_two_inputs_or_outputs_is_refused(tmp_path: Path) -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x + 1

    refused(tmp_path / "two.pt2", exported(Two(), "none"), "a network of one output")
