"""The examples that the golden tests can't run: a batch, and a program in Python; the index has all examples."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_each_item_of_the_batch_comes_to_the_end_that_it_is_to_show(luspool):
    shutil.copytree(EXAMPLES / "batch", luspool.directory, dirs_exist_ok=True)
    done = luspool("batch", "--items", "items.jsonl", "--allow", "fs:read=.", "--json")
    items = sorted(map(json.loads, done.stdout.splitlines()), key=lambda item: item["number"])
    assert [(item["script"], item["status"], item["exit_status"]) for item in items] == [
        ("lines.lus", "completed", 0),
        ("lines.lus", "denied", 77),
        ("endless.lus", "timeout", 124),
    ]
    assert done.returncode == 1
    assert luspool("batch", "results", "--output").stdout == "short.txt\t3\n"
    _, causes = luspool("batch", "status").stdout.split("failures by cause:\n")
    denied = f"{luspool.directory.resolve()}/items.jsonl"
    assert [line.strip() for line in causes.splitlines()] == [
        f"1  denied: permission \"fs:read\" denied for '{denied}' (lines.lus)",
        "1  timeout: cpu limit exceeded: 100 ms allowed (endless.lus)",
    ]


def test_the_program_in_python_prints_what_it_says_at_its_head():
    program = EXAMPLES / "python/jobs.py"
    shown = re.findall(r"^    (.*\n)", program.read_text(encoding="utf-8").split('"""')[1], re.MULTILINE)
    done = subprocess.run([sys.executable, program], capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("".join(shown), "")


def test_the_index_has_all_examples():
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    linked = {Path(target).parts[0] for target in re.findall(r"\]\(([^)]+)\)", index)}
    assert linked == {path.name for path in EXAMPLES.iterdir()} - {"README.md"}
