"""`luspool audit report`, `derive` and `check` as a user meets them. What they say is under tests/golden/audit-*."""

import json

import pytest

from ..unit.luspool_audit.logs import LogMaker, running_log, small_log


@pytest.fixture
def log(luspool):
    """Writes run.jsonl into the directory of the command, and tells its name."""

    def write(maker: LogMaker, name: str = "run.jsonl") -> str:
        return maker.write(luspool.directory / name).name

    return write


def test_report_reads_several_logs(luspool, log):
    log(small_log(), "a")
    log(running_log(run="00000000000000bb"), "b")
    result = luspool("audit", "report", "a", "b")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("State of") == 2
    data = json.loads(luspool("audit", "report", "--json", "a", "b").stdout)
    assert [run["file"] for run in data["runs"]] == ["a", "b"]


def test_a_report_is_in_whatever_the_locale_can_write(luspool, log):
    log(small_log(script="\u4e00\udcff"))
    luspool.environment["PYTHONIOENCODING"] = "latin-1"
    result = luspool("audit", "report", "run.jsonl")
    assert (result.returncode, result.stderr) == (0, "")
    assert "\\u4e00\\udcff" in result.stdout


def test_derive_writes_a_file_once_with_paths_relative_to_it(luspool, log):
    home = str(luspool.directory)
    log(LogMaker().state().decision("fs:read", f"{home}/in/a.csv").footer())
    luspool.directory.joinpath("policies").mkdir()
    made = luspool("audit", "derive", "-o", "policies/p.toml", "run.jsonl")
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    text = luspool.directory.joinpath("policies/p.toml").read_text(encoding="utf-8")
    assert f'"fs:read={home}/in/a.csv"' in text
    assert luspool("audit", "derive", "-o", "p.toml", "run.jsonl").returncode == 0
    assert '"fs:read=in/a.csv"' in luspool.directory.joinpath("p.toml").read_text(encoding="utf-8")
    again = luspool("audit", "derive", "-o", "policies/p.toml", "run.jsonl")
    assert (again.returncode, again.stdout) == (2, "")
    assert "the policy policies/p.toml is there already (remove it, or write another one" in again.stderr
    assert luspool.directory.joinpath("policies/p.toml").read_text(encoding="utf-8") == text


def test_a_derived_policy_is_enough_to_run_the_script(luspool, log):
    home = str(luspool.directory)
    luspool.write(main="print(io.open('a.csv'):read('a'), os.getenv('A'))")
    luspool.directory.joinpath("a.csv").write_text("text", encoding="utf-8")
    luspool.environment["A"] = "set"
    log(LogMaker().state().decision("fs:read", f"{home}/a.csv").decision("env", "A", resolved=None).footer())
    assert luspool("audit", "derive", "-o", "p.toml", "run.jsonl").returncode == 0
    result = luspool("run", "--policy", "p.toml", "main.lus")
    assert (result.stdout, result.stderr) == ("text\tset\n", "")


def test_what_can_not_be_granted_is_said_and_is_no_success(luspool, log):
    log(LogMaker().state().decision("env", "a=b\x1b", resolved=None).footer())
    result = luspool("audit", "derive", "run.jsonl")
    assert result.returncode == 1
    assert result.stderr == "luspool: not granted, since no pledge can say it: env=a=b\\x1b\n"
    assert "[set.derived]" in result.stdout


def test_check_tells_of_scripts_that_are_wrong(luspool):
    luspool.write(main="x = = 1", good="os.getenv('A')")
    luspool.directory.joinpath("p.toml").write_text("set.a = {}", encoding="utf-8")
    result = luspool("audit", "check", "--policy", "p.toml", "main.lus", "good.lus")
    assert result.returncode == 126
    assert result.stderr == "luspool: main.lus:1:5: expected an expression, got '='\n  x = = 1\n      ^\n"
    assert "env=A  os.getenv at good.lus:1:1  no pledge grants it" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("report",), 2, "Usage: luspool audit report"),
        (("report", "none.jsonl"), 2, "cannot read the audit log none.jsonl: No such file"),
        (("report", "--jsn", "run.jsonl"), 2, "No such option"),
        (("derive",), 2, "Usage: luspool audit derive"),
        (("derive", "none.jsonl"), 2, "cannot read the audit log none.jsonl: No such file"),
        (("derive", "run.jsonl"), 1, "these runs were denied something"),
        (
            ("derive", "--ignore-denials", "-o", "no/p.toml", "run.jsonl"),
            2,
            "cannot write the policy no/p.toml: No such",
        ),
        (("derive", "--verify", "run.jsonl"), 2, "--verify takes the program behind --"),
        (("derive", "run.jsonl", "--", "main.lus"), 2, "--verify takes the program behind --"),
        (("derive", "--", "main.lus"), 2, "Usage: luspool audit derive"),
        (("check",), 2, "Usage: luspool audit check"),
        (("check", "main.lus"), 2, "name what to compare with"),
        (("check", "--policy", "none.toml", "main.lus"), 2, "cannot read the policy none.toml"),
    ],
)
def test_wrong_command_lines(luspool, log, arguments, status, said):
    log(small_log())
    result = luspool("audit", *arguments)
    assert (result.returncode, result.stdout) == (status, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr
