"""The Slurm profile against a real Slurm: a sweep, failures, ends by force, and a chapter."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from tests.workflow.cluster.slurm import wait_for
from workflow.drive import PROFILES
from workflow.project import HOME
from workflow.settings import Settings, train
from workflow.sweep import plan

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

GRID = """
settings: {count: 40, steps: 10, log_every: 10}
grid: {learning_rate: [0.01, 1.0e+200]}
seeds: 2
"""
# One run after another in one job, longer than it takes to start the sweep again.
LONG = """
settings: {count: 40, steps: 1000, log_every: 500}
seeds: 10
"""
# Ask often: this Slurm has nothing else to do.
HASTE = ["--", "--slurm-init-seconds-before-status-checks", "2"]
CHAPTER = "03-theorem-1"


class Sweep:
    def __init__(self, cluster, folder, text):
        self.cluster, self.grid, self.output = cluster, folder / "grid.yaml", folder / "out"
        self.grid.write_text(text)
        self.log = self.output / "logs" / "snakemake.log"

    def start(self, *options):
        command = [sys.executable, "-m", "workflow.sweep", str(self.grid)]
        command += ["--output", str(self.output), "--profile", "slurm", *options, *HASTE]
        return start(self.cluster, command)

    def run(self, *options):
        return finish(self.start(*options))

    def records(self):
        return {path.stem: path.stat().st_mtime_ns for path in self.output.glob("runs/*.json")}

    def name(self):
        """What Snakemake calls its jobs in Slurm."""
        return re.search(r"SLURM run ID: (\S+)", self.log.read_text())[1]


def start(cluster, command):
    return subprocess.Popen(
        command,
        cwd=HOME,
        env=os.environ | cluster.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


def ended(cluster, name):
    """Slurm's own list of the ended jobs of that name: it is written soon after they end."""
    wait_for(lambda: not cluster.ask("squeue", "-h", f"--name={name}"), 30)
    return [job for job in cluster.ended() if job["Name"] == name]


def test_a_sweep_through_slurm_is_complete_and_a_failed_run_does_not_stop_the_rest(
    cluster, tmp_path
):
    sweep = Sweep(cluster, tmp_path, GRID)
    status, output = sweep.run("--cores", "2", "--group", "2")
    assert status == 1, output
    assert len(re.findall(r"-000\d failed: ValueError: training diverged", output)) == 2
    assert "[2/4 runs]" in output and "2 of 4 runs are in" in output, output
    jobs = ended(cluster, sweep.name())
    assert sorted(job["JobState"] for job in jobs) == ["COMPLETED", "FAILED"]
    profile = yaml.safe_load((PROFILES / "slurm" / "config.yaml").read_text())
    asked = profile["default-resources"]
    for job in jobs:
        assert int(job["TimeLimit"]) == asked["runtime"]
        assert f"mem={asked['mem_mb']}M" in job["Tres"]
    for run in plan(sweep.grid):
        path = sweep.output / "runs" / f"{run['id']}.json"
        assert path.is_file() == (run["settings"]["learning_rate"] < 1)
        if path.is_file():
            here = train(Settings(**run["settings"]), run["seed"]).to_json()
            assert json.loads(path.read_text())["run"] == json.loads(json.dumps(here))


@pytest.mark.parametrize("with_snakemake", [False, True], ids=["driver", "driver-and-snakemake"])
def test_a_killed_sweep_goes_on_where_it_was(cluster, tmp_path, with_snakemake):
    sweep = Sweep(cluster, tmp_path, LONG)
    process = sweep.start("--cores", "1")
    wait_for(lambda: len(sweep.records()) >= 2 or process.poll() is not None, 300)
    (os.killpg if with_snakemake else os.kill)(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(sweep.records()) >= 2, sweep.log.read_text()
    first = sweep.name()
    if not with_snakemake:  # Snakemake then cancels the job; else the next sweep does
        (job,) = ended(cluster, first)
        assert job["JobState"] == "CANCELLED"
    kept = sweep.records()
    assert 2 <= len(kept) < 10
    status, output = sweep.run("--cores", "1")
    assert status == 0, output
    assert f"10 runs: {len(kept)} done before" in output or with_snakemake
    assert [job["JobState"] for job in ended(cluster, first)] == ["CANCELLED"]
    assert [job["JobState"] for job in ended(cluster, sweep.name())] == ["COMPLETED"]
    assert kept.items() <= sweep.records().items() and len(sweep.records()) == 10
    assert not list(sweep.output.glob("runs/.*"))  # nothing half-written


def test_a_chapter_through_slurm_makes_the_claims_of_this_machine(cluster, tmp_path):
    # A profile of one's own: the shipped one, with a partition, a GPU and other limits.
    own = tmp_path / "own"
    shutil.copytree(PROFILES / "slurm", own)
    profile = yaml.safe_load((own / "config.yaml").read_text())
    profile["default-resources"] = {
        "slurm_partition": "main",
        "gres": "gpu:1",
        "mem_mb": 1500,
        "runtime": 7,
    }
    (own / "config.yaml").write_text(yaml.safe_dump(profile))
    made = {}
    for place, options in {"here": [], "there": ["--profile", str(own), *HASTE]}.items():
        command = [sys.executable, "-m", "workflow.book", "--chapters", CHAPTER, "--tier", "smoke"]
        command += ["--output", str(tmp_path / place), *options]
        status, output = finish(start(cluster, command))
        assert status == 0, output
        build = tmp_path / place / "smoke"
        made[place] = claims(build / "executed" / f"{CHAPTER}.ipynb")
    assert f"[1/1 chapters] {CHAPTER}" in output
    assert made["there"] and made["there"] == made["here"]
    log = (build / "logs" / "snakemake.log").read_text()
    (job,) = ended(cluster, re.search(r"SLURM run ID: (\S+)", log)[1])
    assert (job["JobState"], job["Partition"], job["TimeLimit"]) == ("COMPLETED", "main", "7")
    assert "mem=1500M" in job["Tres"]
    shown = cluster.ask("scontrol", "show", "job", job["JobId"])
    assert re.search(r"TresPerNode=gres[:/]gpu:1\b", shown), shown


def claims(path):
    """Name and value of every claim that an executed chapter has made."""
    outputs = [o for c in json.loads(path.read_text())["cells"] for o in c.get("outputs", [])]
    found = [o.get("data", {}).get("application/vnd.companion.claim+json") for o in outputs]
    return {claim["id"]: claim["value"] for claim in found if claim}


def test_what_a_job_costs(cluster, tmp_path):
    """The seconds from submission to Snakemake's notice, less the runs' own: told, not judged."""
    sweep = Sweep(cluster, tmp_path, GRID.replace(", 1.0e+200", ""))
    began = time.monotonic()
    status, output = sweep.run("--cores", "1")
    assert status == 0, output
    whole = time.monotonic() - began
    (job,) = ended(cluster, sweep.name())
    inside = seconds(job["EndTime"]) - seconds(job["StartTime"])
    runs = sum(json.loads(p.read_text())["seconds"] for p in sweep.output.glob("runs/*.json"))
    print(f"\none job of two runs: {whole:.1f} s, {inside} s of it in Slurm, {runs:.1f} s training")
    assert runs < inside + 1 and inside < whole + 1


def seconds(text):
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
