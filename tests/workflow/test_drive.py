"""Profiles, what jobs on other machines report, and the parts of the Slurm tests without Slurm."""

import argparse
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import threading
import time
from importlib.util import find_spec

import pytest

from tests.workflow.cluster import slurm
from workflow import book, drive, progress, sweep
from workflow.drive import PROFILES, Profile
from workflow.progress import Problem
from workflow.project import HOME, sealed, write


def own(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(text)
    return str(folder)


def test_a_profile_is_one_of_ours_or_a_folder(tmp_path):
    local, ours = Profile.find("local"), Profile.find("slurm")
    assert not local.remote and ours.remote
    assert local.arguments(3)[-2:] == ["--cores", "3"] and local.width(None) >= 1
    assert ours.arguments(None) == ["--workflow-profile", str(PROFILES / "slurm")]
    assert ours.arguments(3)[-2:] == ["--jobs", "3"] and ours.width(3) == 3
    theirs = Profile.find(own(tmp_path / "mine", "executor: slurm\njobs: 7\n"))
    assert theirs.width(None) == 7 and theirs.remote
    many = Profile.find(own(tmp_path / "many", "executor: slurm\njobs: unlimited\n"))
    assert many.width(None) > 10**6


@pytest.mark.parametrize(
    ("text", "sentence"),
    [(None, "choose one of local, slurm, or name"), ("a: [", "not readable"), ("- a", "must map")],
)
def test_a_profile_that_cannot_be_used_is_refused(tmp_path, text, sentence):
    name = own(tmp_path / "bad", text) if text else "slum"
    with pytest.raises(Problem, match=sentence):
        Profile.find(name)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in PROFILES.glob("*/*.yaml")))
def test_the_profiles_hold_options_that_snakemake_has(name):
    from snakemake.cli import get_argument_parser

    known = {option.lstrip("-") for option in get_argument_parser()._option_string_actions}
    settings = set(Profile.find(name).settings)
    if find_spec("snakemake_executor_plugin_slurm") is None:  # `make setup-cluster` brings it
        settings -= {option for option in settings if option.startswith("slurm-")}
    assert settings and settings <= known


def test_snakemake_ends_without_waiting_for_the_timer_it_leaves(monkeypatch):
    timer = threading.Timer(99, print)

    def main(arguments):
        timer.start()
        sys.exit(3)

    monkeypatch.setattr("snakemake.cli.main", main)
    for name in (progress.DRIVER, progress.REPORTS):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(HOME / "workflow" / "engine.py"), run_name="__main__")
    timer.join(9)
    assert ended.value.code == 3 and not timer.is_alive()


def test_what_follows_two_dashes_goes_to_snakemake(capsys):
    options = book._options(["--tier", "smoke", "--profile", "slurm", "--", "--jobs", "2"])
    assert (options.tier, options.profile, options.cores) == ("smoke", "slurm", None)
    assert options.snakemake == ["--jobs", "2"]
    assert sweep._options(["grid.yaml"]).snakemake == []
    with pytest.raises(SystemExit):
        drive.parse(argparse.ArgumentParser(), ["--jobs"])
    with pytest.raises(SystemExit):
        book._options(["--cores", "0"])
    assert "--cores must be at least 1: found 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("slurm", []),
        ("local", ["--executor", "slurm"]),
        ("local", ["-e=slurm"]),
        ("local", ["--slurm-account=me"]),
        ("slurm-partition: long", []),
    ],
)
def test_without_its_plugin_slurm_is_refused_in_one_sentence(
    tmp_path, monkeypatch, capsys, profile, words
):
    """Whether the profile asks for it, or what follows -- on the command line."""
    monkeypatch.setattr(drive, "find_spec", lambda name: None)
    monkeypatch.setenv(progress.LOCK, "")
    grid = tmp_path / "grid.yaml"
    grid.write_text("settings: {count: 30, steps: 2}\n")
    profile = own(tmp_path / "mine", profile) if ":" in profile else profile
    given = [str(grid), "--output", str(tmp_path / "out"), "--profile", profile, "--", *words]
    assert sweep.main(given) == 2
    _, sentence = capsys.readouterr().err.splitlines()  # the first counts the runs
    assert sentence.startswith("What submits to slurm is not installed: `make setup-cluster`")
    Profile.find("local").check(["--forceall", "--executor=dryrun"])


def test_slices_are_all_runs_and_none_twice(capsys):
    runs = list(range(11))
    taken = [run for number in range(4) for run in runs[sweep.part(f"{number}/4")]]
    assert sorted(taken) == runs
    for text in ("4/4", "1", "a/b", "-1/4", "0/0"):
        with pytest.raises(SystemExit):
            sweep._options(["grid.yaml", f"--slice={text}"])
    assert "must be I/N with 0 ≤ I < N: found '0/0'" in capsys.readouterr().err


def test_a_job_elsewhere_reports_in_words_and_in_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(progress.DRIVER, raising=False)
    monkeypatch.setenv(progress.REPORTS, str(tmp_path))
    progress.report("ran", chapter="one", seconds=2.0)
    assert capsys.readouterr().out == "ran: chapter one, seconds 2.0\n"
    reports = progress.Reports(tmp_path)
    assert reports.new() == [{"event": "ran", "chapter": "one", "seconds": 2.0}]
    (path,) = tmp_path.iterdir()
    line = progress.MARK + json.dumps({"event": "ran", "chapter": "two"}) + "\n"
    with path.open("a") as file:
        file.write(line[:20])
    assert reports.new() == []  # half a line
    with path.open("a") as file:
        file.write(line[20:])
    assert [event["chapter"] for event in reports.new()] == ["two"]
    assert reports.new() == []
    monkeypatch.setenv(progress.REPORTS, str(tmp_path / "absent"))
    progress.report("ran", chapter="three")  # a report that cannot be left is no reason to fail
    assert "chapter three" in capsys.readouterr().out


def test_reports_are_shown_while_they_are_written_and_to_the_last(tmp_path):
    shown = []
    with drive._following(tmp_path, shown.append):
        (tmp_path / "a").write_text(f'{progress.MARK}{{"event": "ran"}}\n')
        assert slurm.wait_for(lambda: shown, 10)
        (tmp_path / "b").write_text(f'{progress.MARK}{{"event": "failed"}}\nwords\n')
    assert [event["event"] for event in shown] == ["ran", "failed"]


def test_slurm_listens_on_loopback_and_keeps_to_its_folder():
    text = slurm.configuration(
        "/folder", host="node", controller=1001, node=1002, cpus=2, memory_mb=900
    )
    lines = dict(line.split("=", 1) for line in text.splitlines() if " " not in line)
    assert lines["SlurmctldHost"] == "node(127.0.0.1)" and lines["SlurmctldPort"] == "1001"
    assert lines["CommunicationParameters"] == "NoCtldInAddrAny,NoInAddrAny"
    folders = [lines[n] for n in ("StateSaveLocation", "SlurmdSpoolDir", "JobCompLoc")]
    assert all(path.startswith("/folder/") for path in folders)
    assert "NodeName=node NodeAddr=127.0.0.1 CPUs=2 RealMemory=900" in text
    assert len(set(slurm.free_ports(3))) == 3


def test_without_root_or_apt_the_reason_is_told(monkeypatch):
    monkeypatch.setattr(slurm.os, "geteuid", lambda: 1000)
    with pytest.raises(slurm.Unavailable, match="takes root: run 'sudo make test-slurm'"):
        slurm.install()
    monkeypatch.setattr(slurm.os, "geteuid", lambda: 0)
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    with pytest.raises(slurm.Unavailable, match=r"munged, slurmctld.* there is no apt-get"):
        slurm.install()


def test_the_records_of_slices_make_one_sweep(tmp_path, capsys):
    grid = tmp_path / "grid.yaml"
    grid.write_text("settings: {steps: 10}\nseeds: 5\n")
    runs, names = sweep.plan(grid), ["step", *sweep.FINAL]
    for number in range(2):
        for run in runs[sweep.part(f"{number}/2")]:
            trained = run | {"columns": names, "maximum": None}
            trained |= {"rows": [[step, *range(4)] for step in (0, 10)]}
            path = tmp_path / "parts" / str(number) / "runs" / f"{run['id']}.json"
            write(path, sealed({"key": sweep.key(run), "run": trained}))
    whole = tmp_path / "whole"
    (whole / "runs").mkdir(parents=True)
    for path in (tmp_path / "parts").glob("*/runs/*.json"):
        shutil.copy(path, whole / "runs")
    assert sweep.main([str(grid), "--output", str(whole)]) == 0
    said = capsys.readouterr().err
    assert "5 runs: 5 done before" in said and "5 of 5 runs are in" in said
    half = tmp_path / "parts" / "1"
    assert sweep.main([str(grid), "--slice", "1/2", "--output", str(half)]) == 0
    assert "2 runs: 2 done before" in capsys.readouterr().err


@pytest.mark.parametrize("page", ["rerun.md", "scale.md"])
def test_the_commands_in_the_prose_are_understood(page):
    text = (HOME / "book" / page).read_text("utf-8").replace("I/N", "0/2").replace("\\\n", "")
    commands = re.findall(r"-m workflow\.(book|sweep)\b([^#|`\n]*)", text)
    assert len(commands) >= 3
    for module, words in commands:
        {"book": book, "sweep": sweep}[module]._options(shlex.split(words))


def test_a_new_snakemake_waits_for_the_one_before(tmp_path):
    with drive._alone(tmp_path / "lock") as lock:
        before = subprocess.Popen(["sleep", "1.5"], pass_fds=[lock.fileno()])
    began = time.monotonic()
    with drive._alone(tmp_path / "lock"):
        assert time.monotonic() - began > 0.5
    assert before.wait(5) == 0
