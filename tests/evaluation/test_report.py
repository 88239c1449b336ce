"""The evaluation and its report on a tiny phantom cohort, and what is measured against the phantom's truth."""

from __future__ import annotations

import base64
import csv
import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from conftest import SMALL, positives, run_script
from edited import edit_record
from generators import save_all, save_cad
from predictions_file import read_predictions

from mammogan.attack.config import EvaluateConfig, GenerateConfig
from mammogan.attack.generate import generate
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.shards.reader import Sample, read_shard
from mammogan.errors import MissingInput, UserError
from mammogan.evaluation.evaluate import evaluate
from mammogan.evaluation.examples import choose
from mammogan.evaluation.lesion.summary import removal_summary
from mammogan.evaluation.phantom_truth import PhantomTruth, compare_with_truth
from mammogan.evaluation.predictions import Prediction
from mammogan.evaluation.report.tables import escaped
from mammogan.evaluation.scores import Scored, measure_change
from mammogan.io.atomic import read_json, sha256
from mammogan.statistics.bootstrap import Resampling
from mammogan.workspace import Direction, Resolution, Workspace

TALL = Resolution(128, 96)
CONFIG = EvaluateConfig(bootstrap=200, examples=2, device="cpu")
pytestmark = pytest.mark.usefixtures("coarse_figures")
FILES = {"predictions.csv", "table1.json", "table1.csv", "table1.md", "index.html", "done.json", "roc.png", "shift.png"}


@pytest.fixture(scope="module")
def reported(phantom: Path, coarse_figures: None, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two resolutions with untrained networks: shards, altered shards, report."""
    workspace = Workspace(tmp_path_factory.mktemp("reported") / "work")
    convert_cohort(phantom / "labels.csv", workspace, [SMALL, TALL], jobs=1)
    for resolution in (SMALL, TALL):
        save_all(workspace, resolution)
    generate(workspace, GenerateConfig(device="cpu"))
    evaluate(workspace, CONFIG)
    return workspace


def strict_json(path: Path) -> dict[str, object]:
    """JSON that other programs read too: NaN and infinity are errors."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{path.name} holds {constant}")

    read: dict[str, object] = json.loads(path.read_text(), parse_constant=refuse)
    return read


def test_a_report_of_two_resolutions_has_every_file(reported: Workspace) -> None:
    pictures = {f"triplets-{r}-{d}.png" for r in (SMALL, TALL) for d in ("remove", "insert")}
    pictures |= {f"twins-{r}.png" for r in (SMALL, TALL)}
    assert {path.name for path in reported.report.iterdir()} == FILES | pictures
    assert read_json(reported.report / "done.json")["resolutions"] == [str(TALL), str(SMALL)]


def test_the_page_shows_every_picture_and_needs_no_network(reported: Workspace) -> None:
    page = (reported.report / "index.html").read_text()
    inside = [base64.b64decode(held) for held in re.findall(r'<img src="data:image/png;base64,([^"]+)"', page)]
    assert sorted(inside) == sorted(path.read_bytes() for path in reported.report.glob("*.png"))
    assert page.count("<img ") == len(inside)
    places = set(re.findall(r'id="([^"]+)"', page))
    links = set(re.findall(r'href="([^"]+)"', page))
    assert {link[1:] for link in links if link[0] == "#"} <= places
    assert all((reported.report / link).is_file() for link in links if link[0] != "#")
    assert "http" not in page
    assert "not for clinical systems" in page
    assert sha256(reported.cad_run(TALL) / "checkpoints" / "best.pt") in page
    assert "128 × 96" in page and "96 × 96" in page and "251/363 (69.1%)" in page


PHANTOMS = "phantom mammograms, lesion contrast x12.5"


def test_a_report_on_phantoms_says_so_in_title_first_sentence_and_every_caption(reported: Workspace) -> None:
    page = (reported.report / "index.html").read_text()
    assert "<title>MammoGAN: Can adversarial phantom mammograms fool the CAD?</title>" in page
    first = page.partition('<p class="lead">')[2].partition(".\n")[0]
    assert re.match(rf"\d+ {PHANTOMS}, of \d+ drawn patients \(split test\)", first)
    assert f"No patient was imaged: {PHANTOMS}, drawn by a program." in page
    captions = re.findall(r"<(?:fig)?caption>(.*?)</(?:fig)?caption>", page, re.DOTALL)
    assert len(captions) == page.count("<table>") + page.count("<figure") > 10
    assert all(f". {PHANTOMS[0].upper()}{PHANTOMS[1:]}." in caption for caption in captions)
    text = re.sub(r"<[^>]+>", " ", page.partition("<body>")[2])
    assert not re.search(r"\breal\b", text, re.IGNORECASE)
    assert (reported.report / "table1.md").read_text().startswith(f"**No patient was imaged: {PHANTOMS}")
    with open(reported.report / "table1.csv", newline="") as file:
        assert {row["population"] for row in csv.DictReader(file)} == {PHANTOMS}


def test_the_page_says_how_the_networks_were_trained_on_which_cohort_and_when(reported: Workspace) -> None:
    page = (reported.report / "index.html").read_text()
    assert f"Evaluated on {datetime.now(UTC).date().isoformat()}" in page
    assert "Cohort cohort: 16 phantom patients, preset demo, lesion contrast x12.5, seed 1; its splits: seed 0;" in page
    assert "not recorded" in page  # these networks were never trained


def mixed(phantom: Path, folder: Path) -> Workspace:
    """Shards of phantoms, of which the images of one test patient do not say that they are synthetic."""
    shutil.copytree(phantom, folder / "cohort")
    workspace = Workspace(folder / "work")
    convert_cohort(folder / "cohort" / "labels.csv", workspace, [SMALL], jobs=1)
    rows = [row for row in csv.DictReader(workspace.cohort.read_text().splitlines()) if row["split"] == "test"]
    for row in rows:
        if row["patient"] == rows[0]["patient"]:
            header = pydicom.dcmread(row["path"])
            header[0x0008001C].value = "NO"
            header.save_as(row["path"])
    convert_cohort(folder / "cohort" / "labels.csv", workspace, [SMALL], jobs=1, overwrite=True)
    return workspace


def test_a_split_that_mixes_phantoms_with_patients_is_refused_unless_pooling_is_asked_for(
    phantom: Path, tmp_path: Path
) -> None:
    workspace = mixed(phantom, tmp_path)
    told = run_script("launch/study.py", "--workspace", workspace.root, "--cluster", "local", "--dry-run")
    asked = "evaluate-test: the split test mixes"
    assert told.returncode == 2 and asked in told.stderr and "evaluate: {pool: true}" in told.stderr, told.stderr
    save_all(workspace, SMALL)
    generate(workspace, GenerateConfig(device="cpu"))
    counted = rf"\d+ {PHANTOMS} \(\d+ drawn patients?\)"
    with pytest.raises(UserError, match=rf"mixes ({counted} with )?\d+ mammograms of patients \(1 patient\).*--pool"):
        evaluate(workspace, CONFIG)
    page = evaluate(workspace, replace(CONFIG, pool=True)).read_text()
    assert re.search(rf"Counted together, as requested: a mix of {counted} and \d+ mammograms of patients", page)
    assert "<h1>Can adversarial mammograms fool the CAD?</h1>" in page
    captions = re.findall(r"<(?:fig)?caption>(.*?)</(?:fig)?caption>", page, re.DOTALL)
    assert captions and all("A mix of" in caption for caption in captions)


def test_a_report_on_patients_has_no_word_of_phantoms(phantom: Path, tmp_path: Path) -> None:
    shutil.copytree(phantom, tmp_path / "cohort")
    for path in (tmp_path / "cohort" / "dicom").glob("*.dcm"):
        header = pydicom.dcmread(path)
        header[0x0008001C].value = "NO"
        header.save_as(path)
    (tmp_path / "cohort" / "truth.json").unlink()
    workspace = Workspace(tmp_path / "work")
    convert_cohort(tmp_path / "cohort" / "labels.csv", workspace, [SMALL], jobs=1)
    save_all(workspace, SMALL)
    generate(workspace, GenerateConfig(device="cpu"))
    page = evaluate(workspace, CONFIG).read_text()
    assert "phantom" not in page.lower() and "<caption>Table 1.</caption>" in page
    assert "its splits: seed 0" in page and "Cohort work;" in page


class Tags(HTMLParser):
    """The tags that are open; a closing tag has to be that of the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> in line {self.getpos()[0]}"


def test_the_page_closes_every_tag_where_it_should(reported: Workspace) -> None:
    tags = Tags()
    tags.feed((reported.report / "index.html").read_text())
    assert tags.open == []


def test_the_numbers_are_the_same_in_every_file_and_none_is_nan(reported: Workspace) -> None:
    found = strict_json(reported.report / "table1.json")["resolutions"][str(TALL)]  # type: ignore[index]
    rows = [p for p in read_predictions(reported.report / "predictions.csv") if p.resolution == str(TALL)]
    real = [p for p in rows if p.kind == "original"]
    assert len(real) == len(rows) - len(real) == found["images"]["altered"]
    positives = [p.probability > 0.5 for p in real if p.label == "positive"]
    figure = found["table1"]["positives_right"]
    assert (figure["numerator"], figure["denominator"]) == (sum(positives), len(positives))
    with open(reported.report / "table1.csv", newline="") as file:
        line = next(r for r in csv.DictReader(file) if (r["resolution"], r["name"]) == (str(TALL), "positives_right"))
    assert int(line["numerator"]) == figure["numerator"]
    text = (reported.report / "table1.md").read_text()
    assert f"{figure['numerator']}/{figure['denominator']}" in text
    assert found["provenance"]["cad_sha256"] == sha256(reported.cad_run(TALL) / "checkpoints" / "best.pt")
    assert found["lesion_truth"]["images"] == len(positives)
    assert set(found["secondary"]["fooled_by_density"]["remove"]) <= set("ABCD")


def test_the_probability_of_a_fake_is_that_of_the_saved_image(reported: Workspace) -> None:
    import torch

    from mammogan.training.run.trained_networks import load_cad

    cad = load_cad(reported.cad_run(SMALL))
    said = {
        p.key: p.probability
        for p in read_predictions(reported.report / "predictions.csv")
        if p.resolution == str(SMALL)
    }
    for fake in read_shard(reported.adversarial(SMALL) / "test-remove-000000.tar"):
        with torch.no_grad():
            asked = float(cad.positive_probability(torch.from_numpy(fake.pixels)[None, None]))
        assert said[fake.key] == pytest.approx(asked, abs=1e-5)


def test_a_second_evaluation_gives_the_same_numbers(reported: Workspace) -> None:
    before = {name: (reported.report / name).read_bytes() for name in ("table1.csv", "predictions.csv", "index.html")}
    evaluate(reported, CONFIG)
    assert {name: (reported.report / name).read_bytes() for name in before} == before


def test_a_picture_of_an_earlier_report_goes_and_the_readers_own_stay(reported: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "work" / "report"
    shutil.copytree(reported.root, tmp_path / "work")
    for name in ("triplets-640x512-remove.png", "twins-640x512.png", "my-slide.png", "roc-annotated.png"):
        (folder / name).write_bytes(b"")
    evaluate(Workspace(tmp_path / "work"), CONFIG)
    assert (folder / "my-slide.png").exists() and (folder / "roc-annotated.png").exists()
    assert not list(folder.glob("*640x512*"))


def test_only_resolutions_with_adversarial_mammograms_of_the_split_are_evaluated(
    reported: Workspace, tmp_path: Path
) -> None:
    shutil.copytree(reported.root, tmp_path / "work")
    workspace = Workspace(tmp_path / "work")
    config = EvaluateConfig(split="validation", bootstrap=100, examples=1, device="cpu")
    with pytest.raises(MissingInput, match=r"no adversarial mammograms of split validation .*\n.*--split validation"):
        evaluate(workspace, config)
    generate(workspace, GenerateConfig(resolution=(str(SMALL),), split=("validation",), device="cpu"))
    page = evaluate(workspace, config)
    assert page.parent == workspace.report / "validation"
    assert read_json(page.parent / "done.json")["resolutions"] == [str(SMALL)]


def test_one_class_and_another_domain_are_reported_with_a_banner(reported: Workspace, tmp_path: Path) -> None:
    films = Workspace(tmp_path / "films")
    shutil.copytree(reported.shards(SMALL), films.shards(SMALL))
    edit_record(
        films.shards(SMALL) / "index.json",
        lambda index: index.update(shards=[shard for shard in index["shards"] if shard["label"] == "negative"]),
    )
    models = reported.root
    generate(films, GenerateConfig(models=models, out_of_domain="film", device="cpu"))
    evaluate(films, EvaluateConfig(models=models, bootstrap=100, examples=1, out_of_domain="film <digitised>"))

    report = strict_json(films.report / "table1.json")
    assert report["out_of_domain"] == "Out of domain: film <digitised>"
    table = report["resolutions"][str(SMALL)]["table1"]  # type: ignore[index]
    assert table["auc_real"]["value"] is None and "both classes" in table["auc_real"]["reason"]
    assert report["resolutions"][str(SMALL)]["lesion_truth"] is None  # type: ignore[index]
    page = (films.report / "index.html").read_text()
    assert '<p class="banner">Out of domain: film &lt;digitised&gt;</p>' in page
    assert "There are no cancers among these mammograms. The CAD calls " in page
    assert (films.report / "table1.md").read_text().startswith("**Out of domain: film &lt;digitised&gt;**")
    assert {path.name for path in films.report.glob("*.png")} == {
        "roc.png",
        "shift.png",
        f"triplets-{SMALL}-insert.png",
    }


def altered(real: Sample, pixels: np.ndarray) -> Sample:
    return Sample(f"{real.key}-remove", pixels, {**real.facts, "direction": "remove", "source_key": real.key})


def test_a_generator_that_gives_the_lesion_free_twin_scores_perfectly(reported: Workspace) -> None:
    truth = PhantomTruth(reported.cohort)
    for real in positives(reported):
        known = truth.of(real.key, real.facts)
        assert known is not None and known.twin is not None
        change = measure_change(real, altered(real, known.twin), truth)
        assert change.removal is not None
        assert change.removal.removed == 0.0
        assert change.removal.progress == 1.0
        assert change.removal.energy_near == pytest.approx(1, abs=0.1)
        assert change.removal.area_near < 0.1


def test_a_generator_that_changes_nothing_stays_at_the_untouched_distance(reported: Workspace) -> None:
    truth = PhantomTruth(reported.cohort)
    changes = [measure_change(real, altered(real, real.pixels), truth) for real in positives(reported)]
    for change in changes:
        assert change.above == 0
        assert change.removal is not None
        assert change.removal.removed == change.removal.untouched
        assert change.removal.untouched is not None and change.removal.untouched > 0.02
        assert change.removal.progress == 0.0
        assert change.removal.energy_near is None
    summary = removal_summary(changes, [real.facts["patient"] for real in positives(reported)], Resampling(100, 0))
    assert summary is not None
    assert summary["energy_near"]["images"] == 0 and set(summary["energy_near"].values()) == {0, None}


def test_half_of_the_way_is_half_of_the_distance(reported: Workspace) -> None:
    truth = PhantomTruth(reported.cohort)
    real = positives(reported)[0]
    known = truth.of(real.key, real.facts)
    assert known is not None and known.twin is not None
    halfway = np.rint((real.pixels.astype(float) + known.twin) / 2).astype(np.uint16)
    assert compare_with_truth(real.pixels, halfway, known).progress == pytest.approx(0.5, abs=0.001)


def test_lesions_lie_where_the_mammogram_is_brighter_than_its_twin(reported: Workspace) -> None:
    truth = PhantomTruth(reported.cohort)
    for real in positives(reported):
        known = truth.of(real.key, real.facts)
        assert known is not None and known.twin is not None
        excess = real.pixels.astype(float) - known.twin
        assert excess[known.lesion].mean() > 20 * abs(excess[~known.lesion]).mean()
        assert known.lesion[known.near].any()


def test_the_twin_is_read_with_the_grey_scale_of_the_shards(phantom: Path, tmp_path: Path) -> None:
    shutil.copytree(phantom, tmp_path / "phantom")
    for path in (tmp_path / "phantom").rglob("*.dcm"):
        header = pydicom.dcmread(path)
        header.WindowCenter, header.WindowWidth = 1000, 500
        header.save_as(path)

    def record_them(truth: dict[str, Any]) -> None:
        for image in truth["images"].values():
            image["sha256"] = {name: sha256(tmp_path / "phantom" / name) for name in image["sha256"]}

    edit_record(tmp_path / "phantom" / "truth.json", record_them)
    workspace = Workspace(tmp_path / "work")
    convert_cohort(tmp_path / "phantom" / "labels.csv", workspace, [SMALL], jobs=1, voi="linear_bits")
    truth = PhantomTruth(workspace.cohort)
    for real in positives(workspace):
        known = truth.of(real.key, real.facts)
        assert known is not None and known.twin is not None
        far = ~known.near
        assert np.abs(real.pixels.astype(float) - known.twin)[far].mean() < 0.01 * real.pixels[far].mean()


def test_phantoms_without_twins_are_said_to_have_none_and_the_rows_of_twins_are_left_out(
    reported: Workspace, tmp_path: Path
) -> None:
    cohort = Path(next(csv.DictReader(reported.cohort.read_text().splitlines()))["path"]).parent.parent
    workspace = Workspace(tmp_path / "work")
    shutil.copytree(reported.root, workspace.root)
    shutil.copytree(cohort, tmp_path / "cohort")
    edit_record(
        tmp_path / "cohort" / "truth.json",
        lambda truth: [image.update(twin=None) for image in truth["images"].values()],
    )
    workspace.cohort.write_text(workspace.cohort.read_text().replace(str(cohort), str(tmp_path / "cohort")))
    with_twins = (reported.report / "index.html").read_text()
    without = evaluate(workspace, replace(CONFIG, resolution=(str(SMALL),))).read_text()
    assert "has a twin" in with_twins and "to the twin" in with_twins and "--twins" not in with_twins
    assert (
        "twins were not drawn (<code>mammogan make-phantom --twins</code>" in without and "near the lesion" in without
    )
    assert "has a twin" not in without and "to the twin" not in without and "lesion-free twin<" not in without


def test_mammograms_without_a_phantoms_truth_have_none(reported: Workspace, tmp_path: Path) -> None:
    real = positives(reported)[0]
    assert PhantomTruth(tmp_path / "no-cohort.csv").of(real.key, real.facts) is None
    negative = next(read_shard(reported.shards(SMALL) / "test-negative-000000.tar"))
    assert PhantomTruth(reported.cohort).of(negative.key, negative.facts) is None


def test_missing_inputs_name_the_command_that_makes_them(workspace: Workspace) -> None:
    with pytest.raises(MissingInput, match=r"mammogan generate --workspace"):
        evaluate(workspace, CONFIG)
    save_all(workspace, SMALL)
    generate(workspace, GenerateConfig(device="cpu"))
    save_cad(workspace, SMALL).unlink()
    result = run_script("launch/evaluate.py", "--workspace", workspace.root)
    assert result.returncode == 2
    assert f"mammogan train-cad --workspace {workspace.root} --resolution {SMALL}" in result.stderr
    assert not (workspace.report / "done.json").exists()


def scored(before: float, after: float, label: str = "positive") -> Scored:
    direction = "remove" if label == "positive" else "insert"
    real = Prediction("96x96", f"k{before}", "anna", label, before, "original")
    fake = Prediction("96x96", f"k{before}-{direction}", "anna", "", after, "adversarial", direction, f"k{before}")
    return Scored(real, fake, "", None)


def test_examples_run_from_the_largest_to_the_smallest_change_of_correctly_called_images() -> None:
    cases = [scored(0.9, 0.5), scored(0.8, 0.1), scored(0.4, 0.0), scored(0.7, 0.8), scored(0.6, 0.3)]
    chosen = choose(cases, Direction.REMOVE, 0.5, 3)
    assert [(s.real.probability, name) for s, name in chosen] == [
        (0.8, "largest change"),
        (0.6, "median change"),
        (0.7, "smallest change"),
    ]
    assert choose(cases, Direction.INSERT, 0.5, 3) == []
    upwards = choose([scored(0.1, 0.2, "negative"), scored(0.3, 0.9, "negative")], Direction.INSERT, 0.5, 1)
    assert [s.real.probability for s, _ in upwards] == [0.3]


def test_where_too_few_were_called_correctly_examples_come_from_all() -> None:
    cases = [scored(0.9, 0.5), scored(0.4, 0.2), scored(0.3, 0.2)]
    assert [s.real.probability for s, _ in choose(cases, Direction.REMOVE, 0.5, 3)] == [0.9, 0.4, 0.3]


def test_markdown_takes_given_texts_as_text() -> None:
    hostile = "a | b\n\n# title <script>alert(1)</script> [x](http://y) `c` *d*"
    assert escaped(hostile) == (r"a \| b # title &lt;script&gt;alert(1)&lt;/script&gt; \[x\](http://y) \`c\` \*d\*")


def test_what_an_index_from_elsewhere_says_is_text_on_the_page(reported: Workspace, tmp_path: Path) -> None:
    planted = Workspace(tmp_path / "work")
    for part in ("shards", "adversarial"):
        shutil.copytree(reported.root / part / str(SMALL), planted.root / part / str(SMALL))
    shutil.copytree(reported.root / "runs", planted.root / "runs")
    hostile = "<script>alert(1)</script>"

    def plant(values: dict[str, Any]) -> None:
        for shard in values["shards"]:
            shard["generator"].update(checkpoint_sha256=hostile, run="<b>" + shard["generator"]["run"])

    edit_record(planted.adversarial(SMALL) / "index.json", plant)
    evaluate(planted, EvaluateConfig(bootstrap=100, examples=1, device="cpu", controls=False))
    page = (planted.report / "index.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page and "<b>gan" not in page

    def lead_elsewhere(values: dict[str, Any]) -> None:
        values["shards"][0]["generator"]["run"] = "../../elsewhere"

    edit_record(planted.adversarial(SMALL) / "index.json", lead_elsewhere)
    with pytest.raises(UserError, match=r"index.json is damaged: generator.run: expected a name"):
        evaluate(planted, EvaluateConfig(bootstrap=100, examples=1, device="cpu", controls=False))
    assert "<script" not in (planted.report / "table1.md").read_text()
