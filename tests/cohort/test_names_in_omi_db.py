"""Names in the files of an OMI-DB client: other spellings are the same, and an unknown one is never taken for none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from archives import omi_db
from archives.scanning import outcome, scanned


@pytest.mark.parametrize(
    ("file", "name", "spelled"),
    [
        *(("nbss", "BIOPSYWIDE", name) for name in ("BIOPSY_WIDE", "BiopsyWide", "biopsywide", "BIOPSYWIDE ")),
        *(("nbss", "left_opinion", name) for name in ("Left_Opinion", "LeftOpinion", "LEFT OPINION")),
        *(("nbss", "EpisodeType", name) for name in ("episodeType", "EPISODE_TYPE")),
        *(("nbss", "SURGERY", name) for name in ("Surgery", "surgery")),
        *(("imagedb", "EpisodeID", name) for name in ("EpisodeId", "episode_id")),
        *(("imagedb", "STUDIES", name) for name in ("Studies", " studies")),
    ],
)
def test_a_name_in_other_capitals_or_with_other_signs_is_the_same(
    file: str, name: str, spelled: str, tmp_path: Path
) -> None:
    made = omi_db.write(tmp_path / "archive")
    for path in made.root.rglob(f"{file}_*.json"):
        path.write_text(path.read_text().replace(f'"{name}"', f'"{spelled}"'))
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected


@pytest.mark.parametrize(
    "event",
    [
        *({"left_opinion": "OM", "right_opinion": None}, {"L": {"7": {"Opinion": "B5"}}}),
        *([{"side": "L", "Opinion": "B5"}], {"Left": "Malignant"}, "OM"),
    ],
)
@pytest.mark.parametrize("name", ["BIOPSY", "Cytology"])
def test_an_event_of_an_unknown_name_that_has_an_opinion_leaves_out_the_woman_and_is_counted(
    event: object, name: str, tmp_path: Path
) -> None:
    made = omi_db.write(tmp_path / "archive")
    path = made.root / "data/optm1/nbss_optm1.json"
    held = json.loads(path.read_text())
    del held["2"]["BIOPSYWIDE"], held["2"]["ASSESSMENT"]
    held["2"][name] = event
    path.write_text(json.dumps(held))
    report = scanned(made.root, tmp_path / "labels.csv")
    found = outcome(made.root, tmp_path / "labels.csv")
    assert {found[path] for path in made.labels if "optm1" in path} == {"unknown_cell"}
    assert any(f": an event of another name: a text of {len(name)} characters" in line for line in report.lines())


@pytest.mark.parametrize("event", [{"left_opinion": None, "right_opinion": ""}, {"L": {"1": {"Notes": "seen"}}}, "Y"])
def test_an_event_of_an_unknown_name_without_an_opinion_says_nothing(event: object, tmp_path: Path) -> None:
    made = omi_db.write(tmp_path / "archive")
    for path in made.root.rglob("nbss_*.json"):
        held = json.loads(path.read_text())
        for episode in held.values():
            if isinstance(episode, dict):
                episode["Letter"] = event
        path.write_text(json.dumps(held))
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected


def test_one_event_under_two_spellings_of_its_name_leaves_out_the_woman(tmp_path: Path) -> None:
    made = omi_db.write(tmp_path / "archive")
    path = made.root / "data/optm1/nbss_optm1.json"
    event = '"BiopsyWide": {"left_opinion": "ON", "right_opinion": "ON"}'
    path.write_text(path.read_text().replace('"BIOPSYWIDE"', f'{event}, "BIOPSYWIDE"'))
    scanned(made.root, tmp_path / "labels.csv")
    found = outcome(made.root, tmp_path / "labels.csv")
    assert {found[path] for path in made.labels if "optm1" in path} == {"unknown_cell"}


def test_a_cancer_in_an_episode_of_another_number_that_no_study_names_counts_too(tmp_path: Path) -> None:
    made = omi_db.write(tmp_path / "archive")
    path = made.root / "data/optm2/nbss_optm2.json"
    event = '"Episode 7": {"BIOPSYWIDE": {"left_opinion": "OM", "right_opinion": null}}'
    path.write_text(path.read_text().replace('"Label"', f'{event}, "Label"'))
    scanned(made.root, tmp_path / "labels.csv")
    found = outcome(made.root, tmp_path / "labels.csv")
    assert {found[path] for path in made.labels if "optm2" in path} == {"label_prior", "label_contralateral"}
