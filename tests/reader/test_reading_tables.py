"""The tables of a reader study show what was planted into simulated readers."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mammogan.errors import UserError
from mammogan.reader.config import Unsure
from mammogan.reader.observers import PRESETS, Ability, Observer
from mammogan.reader.statistics.accuracy_tables import between_sessions, table3
from mammogan.reader.statistics.answers import Answer, check_readers, write_imrmc
from mammogan.reader.statistics.detection import detection_of
from mammogan.reader.statistics.further_tables import agreement_table, detection_table, readers_as_sample, time_table
from mammogan.reader.statistics.same_images import same_images_table
from mammogan.reader.statistics.table import Table, Value, shown
from mammogan.statistics.clustered import clustered_share, wilson

Read = Callable[..., list[Answer]]
NAMES = ("guesser", "skilled", "learner", "confused")


def read_by(observers: dict[str, Observer], n: int = 60, seed: int = 0) -> list[Answer]:
    """Sessions 2 (n originals), 3 and 5 (n originals, n fakes each) as the observers answer them."""
    draws = np.random.default_rng(seed)
    cases = draws.standard_normal((6, 2, n))
    answers = []
    for reader, observer in observers.items():
        for session, kinds in ((2, ("real",)), (3, ("real", "fake")), (5, ("real", "fake"))):
            order = draws.permutation([(kind, i) for kind in range(len(kinds)) for i in range(n)])
            for position, (kind, i) in enumerate(order):
                said = observer.says(session, bool(kind), cases[session, kind, i], draws)
                label = "positive" if i % 5 == 0 else "negative"
                key, spent = f"{session}-{kind}-{i}", int(1000 * observer.pace(draws))
                answers.append(
                    Answer(
                        *(reader, session, position, key, f"p{i // 2}", kinds[kind], label),  # type: ignore[arg-type]
                        *(said, spent, spent + 500, True),
                    )
                )
    return answers


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(12))
def test_every_number_of_every_table_is_a_number_or_absent_however_few_have_answered(seed: int) -> None:
    draws = np.random.default_rng(seed)
    # Small readings with readers who are always or never right, guess, or have answered a part.
    observers = {"right": Observer(Ability(9.0)), "border": Observer(Ability(0.0), looks_at_border=True)}
    chosen = {f"R{i}": draws.choice([*observers.values(), PRESETS["guesser"]]) for i in range(draws.integers(1, 5))}
    read = read_by(chosen, n=int(draws.integers(1, 7)), seed=seed)
    answers = [answer for answer in read if draws.random() < (1.0 if seed % 2 else 0.7)]
    tables = [table3(answers), between_sessions(answers, groups=2), detection_table(answers), agreement_table(answers)]
    tables += [readers_as_sample(answers), time_table(answers), same_images_table(answers, answers, ("a", "b"))]
    for table in tables:
        json.dumps([*table.rows, *table.for_people], allow_nan=False)
        assert "nan" not in table.markdown()


def test_three_readers_without_a_fault_have_no_p_and_the_table_says_why() -> None:
    read = read_by({"R1": Observer(Ability(9.0)), "R2": Observer(Ability(9.0)), "R3": Observer(Ability(9.0))}, n=6)
    table = readers_as_sample(read)
    (row, *_) = [row for row in table.rows if row["figure"] == "AUC"]
    assert (row["F"], row["p"], row["low"], row["session 3"]) == (None, None, None, "1.00")
    assert "exactly alike" in table.notes[-1]


@pytest.fixture(scope="module")
def answers() -> list[Answer]:
    return read_by({name: PRESETS[name] for name in NAMES})


def test_table_3_counts_right_answers_by_what_was_shown_and_how_it_looks(answers: list[Answer]) -> None:
    table = table3(answers)
    rows = {(r["reader"], r["shown"], r["images"], r["session"]): r for r in table.rows}
    row = rows["skilled", "fake", "positive-looking (inserted)", 3]
    own = [a for a in answers if (a.reader, a.session, a.shown, a.label) == ("skilled", 3, "fake", "negative")]
    assert (row["n"], row["correct"]) == (len(own), sum(a.answer == "not real" for a in own))
    assert ("skilled", "fake", "all", 2) not in rows, "session 2 has no fakes"
    assert "simulated" in table.caption
    assert all(r["low"] <= r["accuracy"] <= r["high"] for r in table.rows)  # type: ignore[operator]


def test_the_change_between_sessions_is_found_in_the_reader_who_learned(answers: list[Answer]) -> None:
    rows = {(r["reader"], r["shown"]): r for r in between_sessions(answers).rows if r["images"] == "all"}
    learned, guessed = rows["learner", "fake"], rows["guesser", "fake"]
    assert float(learned["change"] or 0) > 0 and float(learned["p (Holm)"] or 1) >= float(learned["p (Fisher)"] or 1)
    assert float(guessed["p (Holm)"] or 0) > 0.05
    assert float(guessed["smallest visible"] or 0) > 0.2, "60 images show no smaller change"


@pytest.mark.parametrize(("unsure", "worth"), [("wrong", 0.0), ("half", 0.5), ("left out", None)])
def test_the_interval_over_patients_counts_unsure_as_the_accuracy_beside_it_does(
    answers: list[Answer], unsure: Unsure, worth: float | None
) -> None:
    [row] = [r for r in table3(answers, unsure).rows if [*r.values()][:4] == ["guesser", "fake", "all", 3]]
    own = [a for a in answers if (a.reader, a.session, a.shown) == ("guesser", 3, "fake")]
    counted = [a for a in own if a.answer != "unsure" or worth is not None]
    low, high = row["low by patient"], row["high by patient"]
    assert float(low or 1) < float(row["accuracy"] or 0) < float(high or 0)
    if worth != 0.5:
        right = np.array([answer.correct for answer in counted])
        figure = clustered_share(right, np.ones_like(right), [answer.patient for answer in counted], "no images")
        assert (low, high) == (figure.low, figure.high) and row["accuracy"] == figure.value


def test_where_all_answers_are_unsure_each_patient_is_one_outcome(answers: list[Answer]) -> None:
    doubting = [replace(answer, answer="unsure") for answer in answers]
    expected: tuple[tuple[Unsure, float | None], ...] = (("wrong", 0.0), ("half", 0.5), ("left out", None))
    for unsure, accuracy in expected:
        rows = [row for row in table3(doubting, unsure).rows if row["images"] == "all"]
        assert {row["accuracy"] for row in rows} == {accuracy}
        interval = (None, None) if accuracy is None else wilson(accuracy, 30)
        assert {(row["low by patient"], row["high by patient"]) for row in rows} == {interval}


def test_the_comparison_of_sessions_follows_unsure_as_far_as_its_test_can(answers: list[Answer]) -> None:
    def of(unsure: Unsure) -> tuple[Value, Value, str]:
        table = between_sessions(answers, unsure=unsure)
        [row] = [r for r in table.rows if [*r.values()][:3] == ["guesser", "fake", "all"]]
        return row["session 3"], row["change"], " ".join(table.notes)

    decided = [a for a in answers if a.answer != "unsure" and (a.reader, a.shown) == ("guesser", "fake")]
    third, fifth = ([a.correct for a in decided if a.session == session] for session in (3, 5))
    assert of("left out")[:2] == (f"{sum(third)} of {len(third)}", pytest.approx(np.mean(fifth) - np.mean(third)))
    assert "left out of numerator and denominator" in of("left out")[2]
    assert of("half")[:2] == of("wrong")[:2] and of("wrong")[0] == f"{sum(third)} of 60"
    assert "as not recognised." in of("wrong")[2] and "unlike in Table 3: Fisher's test" in of("half")[2]


def test_the_confused_reader_changes_the_criterion_and_not_the_skill() -> None:
    answers = read_by({"confused": PRESETS["confused"]}, n=2000)
    before, after = (row for row in detection_table(answers).rows)
    assert abs(float(after["d'"] or 0) - float(before["d'"] or 0)) < 0.15
    assert float(after["criterion"] or 0) < float(before["criterion"] or 0) - 0.5


def test_planted_sensitivities_are_within_their_intervals_over_twenty_seeds() -> None:
    planted = {f"R{d_prime}": Observer(Ability(d_prime)) for d_prime in (0.0, 0.5, 1.0, 1.5)}
    covered = []
    for seed in range(20):
        answers = read_by(planted, n=100, seed=seed)
        for name, observer in planted.items():
            for session in (3, 5):
                found = detection_of([a for a in answers if (a.reader, a.session) == (name, session)])
                assert found
                covered.append(found.low <= observer.ability.d_prime <= found.high)
    assert np.mean(covered) >= 0.88


def test_readers_as_a_sample_need_three_readers(answers: list[Answer]) -> None:
    few = [answer for answer in answers if answer.reader in NAMES[:2]]
    assert not readers_as_sample(few).rows and "3 are needed" in readers_as_sample(few).notes[0]
    rows = {row["figure"]: row for row in readers_as_sample(answers).rows}
    assert set(rows) == {"AUC", "AUC, DeLong", "accuracy on originals", "accuracy on fakes"}
    row = rows["accuracy on fakes"]
    assert float(row["low"] or 0) < float(row["change"] or 0) < float(row["high"] or 0)


def test_other_tables_have_a_row_for_each_session_or_reader(answers: list[Answer]) -> None:
    assert [row["session"] for row in agreement_table(answers).rows] == [2, 3, 5]
    times = time_table(answers).rows
    assert len(times) == 3 * len(NAMES)
    assert all(5 < float(row["seconds (median)"] or 0) < 20 for row in times)


def test_simulated_readers_and_people_are_not_put_into_one_table(answers: list[Answer]) -> None:
    check_readers(answers)
    with pytest.raises(UserError, match=r"simulated: guesser.*people: person"):
        check_readers([answers[0], replace(answers[1], reader="person", simulated=False)])


def test_a_table_is_the_same_in_csv_json_and_markdown(answers: list[Answer], tmp_path: Path) -> None:
    table = table3(answers)
    table.write(tmp_path)
    with open(tmp_path / "table3.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    saved = json.loads((tmp_path / "table3.json").read_text(encoding="utf-8"))
    assert [float(row["accuracy"]) for row in rows] == [row["accuracy"] for row in saved["rows"]]
    text = (tmp_path / "table3.md").read_text(encoding="utf-8")
    assert text.count("\n| ") == len(table.for_people) + 1 and table.caption in text
    assert Table("none", "Nothing", []).markdown().count("Nothing") == 2
    assert [shown(v) for v in (None, 0.00004, 0.5, 0.0, 12)] == ["n/a", "<.001", "0.50", "0.00", "12"]


def read_twice(d_primes: tuple[float, float], readers: int = 4) -> tuple[list[Answer], list[Answer]]:
    """Sessions 3 and 5 of the same images as read at two resolutions, with another d' at each."""
    both = []
    for number, d_prime in enumerate(d_primes):
        observers = {f"R{i}": Observer(Ability(d_prime)) for i in range(1, readers + 1)}
        both.append([answer for answer in read_by(observers, n=100, seed=number) if answer.session != 2])
    return both[0], both[1]


def test_the_same_images_read_twice_are_compared_image_by_image() -> None:
    first, second = read_twice((2.5, 0.0))
    table = same_images_table(first, second, ("low", "study"))
    row = {(r["reader"], r["shown"]): r for r in table.rows}["R1", "fake"]
    own = [{a.key: a.correct for a in answers if (a.reader, a.shown) == ("R1", "fake")} for answers in (first, second)]
    assert (row["images"], row["right in low"]) == (200, sum(own[0].values()))
    assert row["only in low"] == sum(own[0][key] and not own[1][key] for key in own[0])
    assert 0 < float(row["p (McNemar)"] or 0) < float(row["p (Holm)"] or 0) < 1e-6
    assert "the AUC in low minus that in study is 0." in table.notes[1] and "4 readers, 400 images" in table.notes[1]


def test_the_same_images_read_equally_well_show_no_difference_and_two_readers_speak_for_themselves() -> None:
    table = same_images_table(*read_twice((1.0, 1.0), readers=2), ("low", "study"))
    assert all(float(row["p (Holm)"] or 0) > 0.05 for row in table.rows)
    assert "2 readers have read 400 images twice; 3 readers" in table.notes[1]


def test_people_are_not_compared_with_simulated_readers() -> None:
    first, second = read_twice((1.0, 1.0))
    with pytest.raises(UserError, match="never put into one table"):
        same_images_table(first, [replace(answer, simulated=False) for answer in second], ("low", "study"))


def test_imrmc_gets_a_truth_for_each_case_and_a_score_for_each_answer(answers: list[Answer], tmp_path: Path) -> None:
    write_imrmc(answers, tmp_path / "answers.imrmc", "phantom mammograms")
    head, rows = (tmp_path / "answers.imrmc").read_text(encoding="utf-8").split("BEGIN DATA:\n")
    assert "phantom mammograms" in head
    lines = rows.splitlines()
    truth = dict(line.split(",")[1::2] for line in lines if line.startswith("truth,"))
    assert len(truth) == 60 + 4 * 60 and set(truth.values()) == {"0", "1"}
    scores = [line.split(",") for line in lines if not line.startswith("truth,")]
    assert len(scores) == len(answers) and {line[3] for line in scores} == {"0", "1", "2"}
    assert all(line[1] in truth for line in scores)
