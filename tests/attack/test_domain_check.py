"""Models read the mammograms that they belong to; others only when the report says so."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import SMALL, run_script
from edited import edit_record
from generators import WIDTH, save_all, save_cad

from mammogan.attack.config import EvaluateConfig, GenerateConfig
from mammogan.attack.generate import generate
from mammogan.attack.model_export.export import export_model
from mammogan.data.shards.reader import shards_fingerprint
from mammogan.errors import UserError
from mammogan.evaluation.evaluate import evaluate
from mammogan.evaluation.original_scores import score_originals
from mammogan.evaluation.victims.loading import load_victim
from mammogan.io.atomic import read_json, sha256
from mammogan.training.run.cad_source import cad_source
from mammogan.training.run.checkpoint import load, save
from mammogan.training.run.checkpoint_files import trained_on
from mammogan.training.run.model_card import CARD
from mammogan.training.run.run_folder import Run
from mammogan.training.run.start_from import start_inputs, start_state
from mammogan.training.run.trained_networks import load_cad, load_generator
from mammogan.workspace import Direction, Workspace

FILM = "film, models from phantoms"
GENERATE = GenerateConfig(device="cpu")
EVALUATE = EvaluateConfig(bootstrap=100, examples=1, device="cpu")


@pytest.fixture
def ready(workspace: Workspace) -> Workspace:
    """Models whose runs say that they were trained on the workspace's shards."""
    save_all(workspace, SMALL)
    runs = [workspace.cad_run(SMALL), *(workspace.gan_run(SMALL, direction) for direction in Direction)]
    for run in runs:
        say_trained_on(run, shards_fingerprint(workspace.shards(SMALL)))
    return workspace


@pytest.fixture
def films(ready: Workspace, tmp_path: Path) -> Workspace:
    """Another cohort: the same shards but one."""
    shutil.copytree(ready.root / "shards", tmp_path / "films" / "shards")
    index = tmp_path / "films" / "shards" / str(SMALL) / "index.json"
    edit_record(index, lambda values: values.update(shards=[s for s in values["shards"] if s["split"] != "train"]))
    return Workspace(tmp_path / "films")


def say_trained_on(run: Path, fingerprint: str) -> None:
    (run / "config.yaml").write_text(yaml.safe_dump({"config": {}, "shards_sha256": fingerprint}))


def test_models_read_what_they_were_trained_on(ready: Workspace) -> None:
    generate(ready, GENERATE)
    assert evaluate(ready, EVALUATE).is_file()


def test_generators_trained_on_other_mammograms_are_refused_unless_that_is_said(
    ready: Workspace, films: Workspace
) -> None:
    words = ("launch/generate.py", "--workspace", films.root, "--models", ready.root, "--device", "cpu")
    refused = run_script(*words, "--cluster", "none")
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    found, expected = shards_fingerprint(films.shards(SMALL)), shards_fingerprint(ready.shards(SMALL))
    assert f"gan-{SMALL}-remove was trained on other mammograms" in refused.stderr
    assert f"fingerprint {expected[:12]}, these {found[:12]}" in refused.stderr and "--out-of-domain" in refused.stderr
    assert not films.adversarial(SMALL).exists()
    said = run_script(*words, "--cluster", "none", "--out-of-domain", FILM)
    assert said.returncode == 0, said.stderr
    entries = read_json(films.adversarial(SMALL) / "index.json")["shards"]
    assert {entry["out_of_domain"] for entry in entries} == {FILM}


def test_a_cad_trained_on_other_mammograms_is_refused_unless_the_report_says_so(
    ready: Workspace, films: Workspace
) -> None:
    generate(films, GenerateConfig(models=ready.root, out_of_domain=FILM, device="cpu"))
    with pytest.raises(UserError, match=f"cad-{SMALL} was trained on other mammograms"):
        evaluate(films, EvaluateConfig(models=ready.root, bootstrap=100))
    page = evaluate(films, EvaluateConfig(models=ready.root, bootstrap=100, examples=1, out_of_domain=FILM))
    assert FILM in page.read_text()


def test_adversarial_mammograms_by_generators_of_another_domain_are_not_evaluated(
    ready: Workspace, films: Workspace
) -> None:
    generate(films, GenerateConfig(models=ready.root, out_of_domain=FILM, device="cpu"))
    shutil.copytree(ready.root / "runs", films.root / "runs")
    say_trained_on(films.cad_run(SMALL), shards_fingerprint(films.shards(SMALL)))
    with pytest.raises(UserError, match=f"gan-{SMALL}-(remove|insert) was trained on other mammograms"):
        evaluate(films, EVALUATE)


def test_generators_trained_against_another_state_of_the_cad_are_noted_in_log_and_report(
    ready: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    generate(ready, GENERATE)
    trained_against = {Direction.REMOVE: sha256(Run(ready.cad_run(SMALL)).best), Direction.INSERT: "0" * 64}
    for direction, cad in trained_against.items():
        (ready.gan_run(SMALL, direction) / "config.yaml").write_text(yaml.safe_dump({"config": {}, "cad_sha256": cad}))
    told = f"The generators were trained against another state of this CAD (gan-{SMALL}-insert)"
    page = evaluate(ready, EVALUATE)
    assert told in page.read_text() and f"note: {SMALL}: {told}" in capsys.readouterr().out
    assert told in read_json(page.parent / "table1.json")["resolutions"][str(SMALL)]["notice"]
    say_trained_on(ready.gan_run(SMALL, Direction.INSERT), shards_fingerprint(ready.shards(SMALL)))
    assert "another state" not in evaluate(ready, EVALUATE).read_text()


def test_a_generator_whose_critic_was_dead_is_noted_in_log_and_report(
    ready: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    generate(ready, GENERATE)
    event = {"event": "epoch", "epoch": -1, "critic_alive": False}  # before the first, of a generator after 0 epochs
    (ready.gan_run(SMALL, Direction.INSERT) / "metrics.jsonl").write_text(json.dumps(event) + "\n")
    told = f"The generator of gan-{SMALL}-insert comes from an epoch without a living critic"
    assert told in evaluate(ready, EVALUATE).read_text() and told in capsys.readouterr().out


def test_weights_without_their_run_say_themselves_what_they_were_trained_on(ready: Workspace, films: Workspace) -> None:
    for record in ready.root.glob("runs/*/config.yaml"):
        record.unlink()
    assert trained_on(Run(ready.cad_run(SMALL)).best) == shards_fingerprint(ready.shards(SMALL))
    with pytest.raises(UserError, match=f"gan-{SMALL}-remove was trained on other mammograms"):
        generate(films, GenerateConfig(models=ready.root, device="cpu"))


def test_a_checkpoint_beside_another_trainings_settings_is_refused_and_both_are_named(
    ready: Workspace, films: Workspace, tmp_path: Path
) -> None:
    own, other = shards_fingerprint(ready.shards(SMALL)), shards_fingerprint(films.shards(SMALL))
    collected = tmp_path / "collected"
    collected.mkdir()
    for run, name in ((ready.cad_run(SMALL), "cad.pt"), (ready.gan_run(SMALL, Direction.REMOVE), "gan.pt")):
        shutil.copy(Run(run).best, collected / name)
        shutil.copy(Run(run).best, films.root / name)
        say_trained_on(run, other)  # its config.yaml was changed for that of another training
    say_trained_on(collected, other)
    cad, gan = ready.cad_run(SMALL), ready.gan_run(SMALL, Direction.REMOVE)
    shards = films.shards(SMALL)
    as_cad, remove = {"width": WIDTH}, replace(GENERATE, models=ready.root, direction=(Direction.REMOVE,))
    for place, use in (
        (cad, lambda: load_cad(cad)),
        (gan, lambda: load_generator(gan)),
        (cad, lambda: export_model(cad, tmp_path / "out")),
        (cad, lambda: start_state(str(cad), "cad", as_cad, shards)),
        (cad, lambda: load_victim(f"B={cad}", "cpu")),
        (gan, lambda: generate(films, remove)),
        (collected, lambda: cad_source(films, SMALL, str(collected / "cad.pt")).trained_on()),
        (collected, lambda: score_originals(films, replace(EVALUATE, cad=str(collected / "cad.pt")))),
        (cad, lambda: score_originals(films, replace(EVALUATE, models=ready.root))),
        (collected, lambda: load_victim(f"B={collected / 'cad.pt'}", "cpu")),
        (collected, lambda: start_inputs(Run(tmp_path / "new"), str(collected / "cad.pt"))),
        (collected, lambda: load_generator(collected, which=str(collected / "gan.pt"))),
    ):
        told = rf"says that it was trained on the shards {own[:12]}, and {place}/config\.yaml that .* on {other[:12]}"
        with pytest.raises(UserError, match=told):
            use()
    assert trained_on(films.root / "cad.pt") == own, "without such a file its own word counts"


def test_weights_of_unknown_origin_are_used_only_by_name_and_the_report_says_so(ready: Workspace) -> None:
    for record in ready.root.glob("runs/*/config.yaml"):
        record.unlink()
    names = [f"cad-{SMALL}", *(f"gan-{SMALL}-{d}" for d in Direction)]
    for name in names:
        best = Run(ready.root / "runs" / name).best
        save(best, {part: value for part, value in load(best).items() if part != CARD})
    with pytest.raises(UserError, match=rf"gan-{SMALL}-remove is of unknown origin.*--origin-unknown gan-{SMALL}-rem"):
        generate(ready, GENERATE)
    generate(ready, replace(GENERATE, origin_unknown=tuple(names[1:])))
    with pytest.raises(UserError, match=f"cad-{SMALL} is of unknown origin"):
        evaluate(ready, replace(EVALUATE, origin_unknown=tuple(names[1:])))
    page = evaluate(ready, replace(EVALUATE, origin_unknown=tuple(names))).read_text()
    assert f"Origin unknown: it is not known what {' and '.join(sorted(names))} saw in training" in page


def test_a_report_says_that_an_attack_was_made_against_another_cad_than_the_one_that_scores(
    ready: Workspace, tmp_path: Path
) -> None:
    generate(ready, GenerateConfig(attack="fgsm", device="cpu"))
    config = replace(EVALUATE, objective=("fgsm",), controls=False)
    other = save_cad(Workspace(tmp_path / "theirs"), SMALL, seed=5)
    theirs = replace(config, cad=str(other), origin_unknown=(f"cad-{SMALL}",))
    ours = sha256(Run(ready.cad_run(SMALL)).best)[:12]
    for found, told in ((config, False), (theirs, True)):
        page = evaluate(ready, found)
        notice = read_json(page.parent / "table1.json")["resolutions"][f"{SMALL}, fgsm"]["notice"]
        said = f"by asking another CAD (sha256 {ours}) than this one ({sha256(other)[:12]})"
        assert (said in notice) == told, notice
