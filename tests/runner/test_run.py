from __future__ import annotations

import csv
import hashlib
import json
import random
from copy import deepcopy
from datetime import datetime

import numpy as np
import pytest
import torch

import clrun
from clrun.metrics import METRICS
from clrun.runner.prepare import prepare
from clrun.runner.run import run as run_prepared

NOT_REPEATED = ("seconds", "wall_seconds", "rss_peak_bytes")


def repeatable(results: dict) -> str:
    """results.json without what depends on the clock and on what else the process did."""
    kept = deepcopy(results)
    for name in ("wall_seconds", "cpu_seconds", "peak_rss_bytes"):
        del kept["cost"][name]
    return json.dumps(kept)


def test_a_run_folder_holds_these_files_and_no_others(finished):
    folder = finished().folder

    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == {
        ".hydra/config.yaml",
        ".hydra/overrides.yaml",
        ".lock",
        "accuracy_matrix.csv",
        "checkpoints/model.safetensors",
        *("checkpoints/state-000000001.json", "checkpoints/state-000000001.safetensors"),
        "metrics.jsonl",
        "results.json",
        "run.json",
    }


def test_results_have_a_row_for_each_experience_and_a_column_for_each_test_set(finished):
    results = finished().results

    assert [len(row) for row in results["accuracy_matrix"]] == [5] * 5
    assert [len(row) for row in results["class_accuracy"]] == [10] * 5
    assert len(results["initial_accuracy"]) == 5
    assert results["schema"] == 1
    assert [e["classes"] for e in results["experiences"]] == [[2 * k, 2 * k + 1] for k in range(5)]
    assert sum(e["train_rows"] for e in results["experiences"]) == 1442
    assert sum(e["test_rows"] for e in results["experiences"]) == 355
    rows = [*results["accuracy_matrix"], *results["class_accuracy"], results["initial_accuracy"]]
    assert all(0 <= value <= 1 for row in rows for value in row)


def test_results_have_the_metrics_costs_and_memory_of_the_contract(finished):
    results = finished().results

    assert list(results["metrics"]) == [metric.key for metric in METRICS]
    unknown = [key for key, value in results["metrics"].items() if value is None]
    assert list(results["notes"]) == [*unknown, "energy_joules_estimate"]
    assert unknown == [
        *("intransigence", "relative_forgetting", "min_acc", "wc_acc"),
        *("wf10", "wf100", "wp10", "wp100", "stability_gap", "gap_recovery"),
    ]
    assert set(results["cost"]) == {
        *("wall_seconds", "cpu_seconds", "train_steps", "patterns_seen", "replayed_patterns"),
        *("evaluated_patterns", "train_macs", "eval_macs", "peak_rss_bytes", "peak_device_bytes"),
        *("memory_bytes", "state_bytes", "energy_joules_estimate"),
    }
    phases = ["setup", "train", "memory", "eval", "checkpoint"]
    assert list(results["cost"]["wall_seconds"]) == phases
    assert list(results["cost"]["cpu_seconds"]) == phases
    assert results["cost"]["cpu_seconds"]["train"] > 0
    assert results["memory"]["rows"] == 200
    assert results["memory"]["per_experience"] == {str(k): 40 for k in range(5)}
    assert sum(results["memory"]["per_class"].values()) == 200
    assert results["cost"]["memory_bytes"] == results["memory"]["bytes"] == 200 * (64 + 24)


def test_replay_on_digits_learns_and_remembers(finished):
    results = finished().results

    assert results["metrics"]["learning_accuracy"] > 0.9
    assert results["metrics"]["acc_final"] > 0.8
    assert max(results["initial_accuracy"]) < 0.6


def test_run_json_tells_how_the_run_went(finished):
    record = finished().record

    assert (record["status"], record["error"]) == ("completed", None)
    assert record["config_hash"] == finished().results["config_hash"]
    assert record["run_id"] == "run"
    assert (record["device"], record["threads"]) == ("cpu", 1)
    started, ended = (datetime.fromisoformat(record[key]) for key in ("started", "ended"))
    assert started <= ended
    assert record["seconds"] >= finished().lines[-1]["seconds"]
    assert record["seconds"] < finished().lines[-1]["seconds"] + 60


def test_the_table_holds_the_accuracy_matrix(finished):
    with (finished().folder / "accuracy_matrix.csv").open() as file:
        _, *lines = csv.reader(file)

    matrix = [[float(cell) for cell in line[1:]] for line in lines]
    np.testing.assert_allclose(matrix, finished().results["accuracy_matrix"], atol=5e-7)


def test_the_same_command_gives_the_same_results(finished, run):
    again = run()

    assert repeatable(again.results) == repeatable(finished().results)
    for line, line_again in zip(finished().lines, again.lines, strict=True):
        assert {k: v for k, v in line.items() if k not in NOT_REPEATED} == {
            k: v for k, v in line_again.items() if k not in NOT_REPEATED
        }


def test_another_seed_gives_other_results(finished):
    results, other = finished().results, finished("seed=1").results

    assert other["initial_accuracy"] != results["initial_accuracy"]
    assert other["accuracy_matrix"] != results["accuracy_matrix"]
    assert other["config_hash"] != results["config_hash"]


def classes(run) -> list[list[int]]:
    return [e["classes"] for e in run.results["experiences"]]


def test_the_class_order_and_everything_else_vary_apart(finished):
    shuffled = "benchmark.class_order=shuffled"
    one = finished(shuffled, "benchmark.class_order_seed=5")
    other_seed = finished(shuffled, "benchmark.class_order_seed=5", "seed=1")
    other_order = finished(shuffled, "benchmark.class_order_seed=6")

    assert classes(one) == classes(other_seed) != classes(other_order)
    untrained = [run.lines[0]["class_accuracy"] for run in (one, other_seed, other_order)]
    assert untrained[0] == untrained[2] != untrained[1]


def test_without_a_seed_of_its_own_the_class_order_follows_the_seed(finished):
    orders = [
        classes(finished("benchmark.class_order=shuffled", f"seed={seed}", "strategy=naive"))
        for seed in (0, 1)
    ]

    assert orders[0] != orders[1]


def test_joint_training_has_one_row_and_all_rows(finished):
    joint = finished("strategy=joint")

    assert [len(row) for row in joint.results["accuracy_matrix"]] == [5]
    assert joint.of_kind("experience")[0]["train_rows"] == 1442
    assert joint.of_kind("experience")[0]["classes"] == list(range(10))
    assert joint.results["metrics"]["acc_final"] > 0.8
    assert joint.results["metrics"]["bwt"] is None
    assert "1 evaluation of 5 experiences" in joint.results["notes"]["bwt"]


def test_the_display_shows_every_experience_and_how_far_the_run_is(config_of, tmp_path, noted):
    results = run_prepared(prepare(config_of("log_every=1")), tmp_path / "run", noted)

    assert noted.rows == [(i, 5, row) for i, row in enumerate(results.accuracy_matrix)]
    done = [pace.done for pace in noted.paces]
    steps = results.cost["train_steps"]
    assert done == [n / steps for n in range(1, steps + 1)]
    assert noted.paces[-1].images == results.cost["patterns_seen"]
    assert (noted.paces[-1].experience, noted.paces[-1].experiences) == (4, 5)
    assert (noted.paces[-1].epoch, noted.paces[-1].epochs) == (1, 2)


def test_a_run_leaves_no_trace_in_the_process(config_of, tmp_path):
    def settings() -> tuple:
        return (
            torch.get_rng_state().tolist(),
            random.getstate(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002 - nobody should draw from it
            torch.get_num_threads(),
            torch.get_deterministic_debug_mode(),
            torch.is_grad_enabled(),
        )

    before = settings()

    clrun.run(config_of("model.dropout=0.5", "benchmark.augment=crop"), tmp_path / "run")

    assert settings() == before


def test_costs_count_new_and_replayed_rows(finished):
    naive, replay = (finished(f"strategy={name}").results["cost"] for name in ("naive", "replay"))

    assert (naive["patterns_seen"], naive["replayed_patterns"]) == (2 * 1442, 0)
    assert replay["patterns_seen"] - replay["replayed_patterns"] == 2 * 1442
    assert replay["replayed_patterns"] > 1442
    macs = naive["train_macs"] // naive["patterns_seen"]
    assert replay["train_macs"] == macs * replay["patterns_seen"]


def test_evaluations_cost_a_forward_pass_of_each_row(finished):
    cost = finished("strategy=naive").results["cost"]

    # 355 test rows of 64 pixels, before training and after each of 5 experiences; 32 hidden units
    assert cost["evaluated_patterns"] == 6 * 355
    assert cost["eval_macs"] == 6 * 355 * (64 * 32 + 32 * 10)


def test_what_a_method_keeps_is_told_apart(finished):
    naive, replay = (
        finished(f"strategy={name}").results["cost"]["state_bytes"] for name in ("naive", "replay")
    )

    parameters = 4 * (64 * 32 + 32 + 32 * 10 + 10)
    assert naive == {"rows": 0, "parameters": parameters, "statistics": 0}
    assert replay == {**naive, "rows": 200 * (64 + 24)}


def test_the_energy_is_estimated_where_the_watts_are_known(finished):
    with_watts, without = finished("strategy=naive", "watts=40"), finished("strategy=naive")

    cost = with_watts.results["cost"]
    assert cost["energy_joules_estimate"] == pytest.approx(
        40 * sum(cost["wall_seconds"].values()), abs=0.2
    )
    assert without.results["notes"]["energy_joules_estimate"] == (
        "watts=null does not say what the machine draws"
    )
    assert with_watts.record["config_hash"] == without.record["config_hash"]


def test_each_evaluation_says_what_learning_had_cost(finished):
    run = finished("strategy=naive")

    lines = run.of_kind("eval")
    first, last = lines[0], lines[-1]
    assert (first["patterns_seen"], first["train_macs"]) == (0, 0)
    assert [last[key] for key in ("patterns_seen", "train_macs")] == [
        run.results["cost"][key] for key in ("patterns_seen", "train_macs")
    ]


def test_a_run_of_ar1_costs_what_its_layers_and_rows_add_up_to(run):
    """Two experiences of 40 rows each, 10 latents stored after the first."""
    cost = run(
        *("strategy=ar1", "model=mlp", "model.hidden=[64,32]", "benchmark.n_experiences=2"),
        *("benchmark.limit_per_class=8", "strategy.latent_layer=features.relu0"),
        *("strategy.train_mb_size=20", "strategy.rm_sz=10"),
    ).results["cost"]

    lower, upper = 64 * 64, 64 * 32 + 32 * 10
    # all learns: forward and weights, and back through all layers but the first
    first = 2 * 40 * (2 * lower + 3 * upper)
    # the lower part is frozen: each row's latents are computed once, and nothing goes back to them
    second = 40 * lower + (2 * 40 + 24) * (2 * 64 * 32 + 3 * 32 * 10)
    stored = 10 * lower  # of the first; of the second they are there already
    # in each of 2 x 3 minibatches 4 stored rows are beside 16 new ones, or 8 in the last
    assert (cost["patterns_seen"], cost["replayed_patterns"]) == (2 * 80 + 24, 2 * 3 * 4)
    assert cost["train_macs"] == first + stored + second


def test_the_record_has_the_file_of_initial_weights_and_its_checksum(config_of, run, tmp_path):
    torch.save(prepare(config_of()).model.state_dict(), tmp_path / "weights.pt")

    record = run(f"model.pretrained={tmp_path}/weights.pt").record

    sha256 = hashlib.sha256((tmp_path / "weights.pt").read_bytes()).hexdigest()
    assert record["weights"] == {"file": str(tmp_path / "weights.pt"), "sha256": sha256}
