"""`luspool run --policy` as a user meets it."""

import pytest

POLICY = """\
default = "report"

[set.base]
pledge = ["load", "fs:read=lib"]
limits = { timeout = "20s" }

[set.report]
extends = ["base"]
pledge = ["fs:read=arg:1", "~fs=lib/keys.lua"]
allow = ["env=HOME"]

[set.report.limits]
output = "1K"
"""

PROBES = """
local files = { ... }
for _, path in ipairs(files) do print(path, (catch io.open(path))) end
print(pledge("env=HOME"), pledge("env=USER"))
"""


@pytest.fixture
def policy(luspool):
    """Writes policies/team.toml, beside a folder lib."""
    folder = luspool.directory / "policies"
    folder.joinpath("lib").mkdir(parents=True)
    for name in ("policies/lib/a.lua", "policies/lib/keys.lua", "in.csv", "other.csv", "*"):
        luspool.directory.joinpath(name).write_text("text")

    def write(text: str = POLICY) -> None:
        folder.joinpath("team.toml").write_text(text, encoding="utf-8")

    write()
    return write


def test_a_set_grants_what_it_and_those_that_it_extends_say_and_no_more(luspool, policy):
    luspool.write(main=PROBES)
    files = ("in.csv", "other.csv", "policies/lib/a.lua", "policies/lib/keys.lua")
    result = luspool("run", "--policy", "policies/team.toml", "main.lus", *files)
    assert (result.stderr, result.returncode) == ("", 0)
    assert [line.split("\t")[1] for line in result.stdout.splitlines()] == ["true", "false", "true", "false", "false"]
    base = luspool("run", "--policy", "policies/team.toml:base", "main.lus", *files)
    assert [line.split("\t")[1] for line in base.stdout.splitlines()] == ["false", "false", "true", "true", "false"]


def test_an_argument_with_wildcards_is_the_file_of_that_name(luspool, policy):
    luspool.write(main=PROBES)
    result = luspool("run", "--policy", "policies/team.toml", "main.lus", "*", "in.csv")
    assert result.stdout == "*\ttrue\nin.csv\tfalse\ntrue\tfalse\n"


@pytest.mark.parametrize(
    ("probe", "because"),
    [
        ('io.open("in.csv")', "no pledge grants it (grant it with -P fs:read={0}/in.csv)"),
        (
            'io.open("policies/lib/keys.lua")',
            'rejected by "~fs={0}/policies/lib/keys.lua" (policies/team.toml:9)',
        ),
        (
            'os.getenv("HOME")',
            'allowed by "env=HOME" (policies/team.toml:10), but not pledged '
            "(pledge it in the script, or grant it with -P env=HOME)",
        ),
        (
            'pledge("fs:read=policies/lib/a.lua") io.open(...)',
            'narrowed by "fs:read={0}/policies/lib/a.lua" (pledge at main.lus:1), and not pledged since',
        ),
    ],
)
def test_a_denial_says_which_line_of_the_policy_decided(luspool, policy, probe, because):
    luspool.write(main=probe)
    result = luspool("run", "-q", "--policy", "policies/team.toml", "main.lus", "other.csv")
    assert result.stderr.endswith(f": {because.format(luspool.directory)}\n")
    assert result.returncode == 77


def test_flags_add_to_a_policy_and_its_rejections_stay(luspool, policy):
    luspool.write(main=PROBES)
    flags = ("-P", "fs:read", "--allow", "env=USER")
    result = luspool("run", "--policy", "policies/team.toml", *flags, "main.lus", "in.csv", "policies/lib/keys.lua")
    assert result.stdout == "in.csv\ttrue\npolicies/lib/keys.lua\tfalse\ntrue\ttrue\n"


def test_a_worker_has_what_its_parent_holds_by_the_policy(luspool, policy):
    luspool.write(main='worker.receive(worker.create("w.lus", ...))', w="io.open(...) io.open('other.csv')")
    policy('[set.a]\npledge = ["load", "fs:read=arg:1",\n "fs:read=../w.lus", "~fs=../other.csv"]')
    result = luspool("run", "-q", "--policy", "policies/team.toml", "main.lus", "in.csv")
    assert 'rejected by "~fs=' in result.stderr
    assert "(policies/team.toml:3)" in result.stderr


@pytest.mark.parametrize(
    ("flag", "advice"),
    [((), "set at policies/team.toml:13; raise it there"), (("--output", "2K"), "set at policies/team.toml:13; raise")],
)
def test_a_limit_of_the_policy_binds_and_its_error_says_where_it_was_set(luspool, policy, flag, advice):
    luspool.write(main="while true do print(1) end")
    result = luspool("run", "-q", "--policy", "policies/team.toml", *flag, "main.lus")
    assert "more than 1 KiB of output for the whole program" in result.stderr
    assert advice in result.stderr
    assert result.returncode == 123


def test_a_stricter_flag_binds_and_is_the_one_to_raise(luspool, policy):
    luspool.write(main="while true do print(1) end")
    result = luspool("run", "-q", "--policy", "policies/team.toml", "--output", "512", "main.lus")
    assert result.stderr.endswith("more than 512 bytes of output for the whole program (raise it with --output)\n")


def test_a_policy_may_allow_more_than_the_defaults(luspool, policy):
    policy("set.a.limits = { source = '2M' }")
    luspool.write(main=f"print(1) --{'x' * (3 << 19)}")
    assert luspool("run", "main.lus").returncode == 126
    assert luspool("run", "--policy", "policies/team.toml", "main.lus").stdout == "1\n"
    policy("set.a.limits = { source = '1K' }")
    result = luspool("run", "--policy", "policies/team.toml", "main.lus")
    assert result.stderr.endswith("(set at policies/team.toml:1; raise it there)\n")


def test_a_script_that_may_write_its_own_policy_is_warned_of_and_run(luspool, policy):
    policy('set.a.pledge = ["fs=."]')
    luspool.write(main="print(1)")
    result = luspool("run", "--policy", "policies/team.toml", "main.lus")
    assert (result.stdout, result.returncode) == ("1\n", 0)
    folder = f"{luspool.directory}/policies"
    assert result.stderr == (
        f'luspool: warning: main.lus may write its own policy, {folder}/team.toml: "fs={folder}" '
        f"(policies/team.toml:1) covers it (reject it with -P '~fs={folder}/team.toml')\n"
    )


def test_verbose_names_the_set(luspool, policy):
    luspool.write(main="")
    result = luspool("run", "-v", "--policy", "policies/team.toml", "-P", "load", "main.lus")
    assert "with --policy policies/team.toml:report -P load\n" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--policy", "policies/none.toml"), "cannot read the policy policies/none.toml: No such file or directory"),
        (("--policy", "policies/team.toml:x"), "has no set 'x' (it has base, report)"),
        (("--policy", "policies/team.toml", "--policy", "policies/team.toml"), "given more than once"),
    ],
)
def test_a_policy_that_is_not_there_is_a_wrong_command_line(luspool, policy, options, message):
    luspool.write(main="print(1)")
    result = luspool("run", *options, "main.lus")
    assert message in result.stderr
    assert (result.stdout, result.returncode) == ("", 2)


def test_a_mistake_in_it_is_shown_with_its_line_and_nothing_is_run(luspool, policy):
    policy('[set.a]\npledge = ["load", "fs:raed=x"]')
    luspool.write(main="print(1)")
    result = luspool("run", "--policy", "policies/team.toml", "main.lus")
    assert (result.stdout, result.returncode) == ("", 2)
    assert result.stderr == (
        "luspool: policies/team.toml:2:20: unknown permission 'fs:raed' (did you mean \"fs:read\"?)\n"
        '  pledge = ["load", "fs:raed=x"]\n'
        f"  {' ' * 19}^\n"
    )
