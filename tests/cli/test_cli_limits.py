"""Each limit as a user meets it: at the root, in a worker whose parent goes on, and where nothing but a kill helps."""

import re

import pytest

RIGHTS = ("-P", "load", "-P", "fs:read")
LOOP = "while true do end"
EAT = "local t = {} for i = 1, math.huge do t[i] = {i} end"
STUCK = "string.format('%q', ('\\0'):rep(1000):rep(40000))"
"""One call of a library function that nothing interrupts and that takes a second or two, given the memory."""

RECEIVE = """
local w = worker.create("w.lus")
local is_good, problem = pcall(worker.receive, w)
print(is_good, problem, worker.status(w))
print("goes on")
"""


ENDED = r"false\tw\.lus(:\d)?: {} limit exceeded: .*\tdead\ngoes on\n"
"""What it prints when the worker exceeds a limit of this kind."""


def run(luspool, *arguments: str):
    return luspool("run", *RIGHTS, *arguments)


AT_THE_ROOT = {
    "memory": ("4M", EAT, 137, "memory limit exceeded: more than 4 MiB of memory"),
    "cpu": ("50ms", LOOP, 124, "cpu limit exceeded: .* of processor time, 50 ms allowed"),
    "time": ("50ms", LOOP, 124, "time limit exceeded: more than 50 ms of wall time"),
    "message": ("1K", 'worker.create("w.lus", ("x"):rep(2000))', 123, "message limit exceeded: .*1 KiB.*"),
    "source": ("1K", 'load(("x"):rep(2000))', 123, "source limit exceeded: .*1 KiB.*"),
    "states": ("3", 'for i = 1, 3 do worker.create("w.lus") end', 123, "states limit exceeded: 4 states, 3 allowed.*"),
    "depth": ("0", 'worker.create("w.lus")', 123, "depth limit exceeded: .* 0 allowed.*"),
    "output": ("1K", "while true do print(1) end", 123, "output limit exceeded: more than 1 KiB of output.*"),
    "total-memory": ("4M", EAT, 137, "memory limit exceeded: .*4 MiB.*"),
    "total-cpu": ("50ms", LOOP, 124, "cpu limit exceeded: .*50 ms allowed for the whole program"),
    "timeout": ("50ms", LOOP, 124, "time limit exceeded: more than 50 ms of wall time for the whole program"),
}


@pytest.mark.parametrize("form", ["{}", "pcall(function() {} end)\nwhile true do end"], ids=["plain", "protected"])
@pytest.mark.parametrize("limit", AT_THE_ROOT)
def test_a_root_that_exceeds_a_limit_ends_the_program_whatever_it_catches(luspool, limit, form):
    value, script, status, said = AT_THE_ROOT[limit]
    luspool.write(main=form.format(script), w="worker.peek()")
    result = run(luspool, "-q", f"--{limit}", value, "main.lus")
    expected = rf"luspool: main\.lus(:\d)?: {said} \(raise it with --{limit}\)\n"
    assert re.fullmatch(expected, result.stderr), result.stderr
    assert result.returncode == status


IN_A_WORKER = {
    "memory": ("4M", EAT),
    "cpu": ("50ms", LOOP),
    "message": ("1K", 'worker.message(("x"):rep(2000))'),
    "source": ("1K", 'load(("x"):rep(2000))'),
    "states": ("3", 'for i = 1, 2 do worker.create("idle.lus") end'),
    "depth": ("1", 'worker.create("idle.lus")'),
}


@pytest.mark.parametrize("limit", IN_A_WORKER)
def test_a_worker_that_exceeds_a_limit_is_an_error_to_its_parent_which_goes_on(luspool, limit):
    value, script = IN_A_WORKER[limit]
    luspool.write(main=RECEIVE, w=f"pcall(function() {script} end)\nwhile true do end", idle="worker.peek()")
    result = run(luspool, f"--{limit}", value, "main.lus")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(rf"false\tw\.lus(:\d)?: {limit} limit exceeded: .*\tdead\ngoes on\n", result.stdout), (
        result.stdout
    )


@pytest.mark.parametrize(
    ("narrowed", "script", "kind"),
    [("cpu = 0.05", LOOP, "cpu"), ('time = "50ms"', LOOP, "time"), ('memory = "2M"', EAT, "memory")],
)
def test_a_parent_may_allow_its_workers_less_than_itself(luspool, narrowed, script, kind):
    luspool.write(main=f"worker.limit{{ {narrowed} }} {RECEIVE}", w=script)
    result = run(luspool, "main.lus")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(rf"false\tw\.lus(:\d)?: {kind} limit exceeded: .*\tdead\ngoes on\n", result.stdout), (
        result.stdout
    )


def test_output_is_bounded_to_the_byte_and_ends_who_writes_more(luspool):
    luspool.write(
        main='local w = worker.create("w.lus") local is_good = pcall(worker.receive, w) os.exit(is_good and 8 or 7)',
        w='while true do io.stderr:write("12345678") print("1234567") end',
    )
    result = run(luspool, "--output", "100", "main.lus")
    assert result.returncode == 7
    assert len(result.stdout) + len(result.stderr) == 100


@pytest.mark.parametrize(
    ("limit", "value", "status"), [("total-cpu", "200ms", 124), ("timeout", "200ms", 124), ("total-memory", "4M", 137)]
)
def test_a_limit_of_the_whole_program_ends_it_whoever_used_it_up(luspool, limit, value, status):
    luspool.write(
        main='for i = 1, 8 do worker.create("w.lus") end io.read() while true do end',
        w='local s = ("x"):rep(1 << 20) while true do end',
    )
    result = run(luspool, "-q", f"--{limit}", value, "main.lus")
    assert result.returncode == status
    said = rf"luspool: main\.lus(:\d)?: .* limit exceeded: .* for the whole program \(raise it with --{limit}\)\n"
    assert re.fullmatch(said, result.stderr), result.stderr


def test_all_below_an_offender_end_with_it(luspool):
    """The one below waits for input that never comes: the program would not be over while it lives."""
    luspool.write(main=RECEIVE, w='worker.create("below.lus") while true do end', below="io.read()")
    process = luspool.start("run", *RIGHTS, "--cpu", "50ms", "main.lus")
    assert process.wait(timeout=60) == 0
    assert process.communicate()[1] == b""


def test_a_worker_that_was_ended_counts_as_failed_where_nobody_receives_its_error(luspool):
    luspool.write(main='worker.create("w.lus") print("done")', w=LOOP)
    result = run(luspool, "--cpu", "50ms", "main.lus")
    assert (result.returncode, result.stdout) == (1, "done\n")
    said = (
        r"luspool: .*worker.* was ended, and nobody received its error: w\.lus(:1)?: cpu limit exceeded: .* allowed\n"
    )
    assert re.fullmatch(said, result.stderr), result.stderr


def test_a_cancelled_worker_is_no_error(luspool):
    luspool.write(
        main='local w = worker.create("w.lus") print(worker.receive(w)) worker.cancel(w) print(worker.receive(w))',
        w='worker.message("up") while true do end',
    )
    result = run(luspool, "main.lus")
    assert (result.returncode, result.stdout, result.stderr) == (0, "up\nnil\n", "")


@pytest.mark.parametrize(("limit", "of_tree"), [("cpu", ""), ("timeout", " for the whole program")])
def test_a_state_that_cannot_be_stopped_costs_its_process_and_what_was_printed_is_there(luspool, limit, of_tree):
    luspool.write(main=f'print("before") {STUCK}')
    result = run(luspool, f"--{limit}", "500ms", "--memory", "unlimited", "main.lus")
    assert (result.returncode, result.stdout) == (124, "before\n")
    first, second = result.stderr.splitlines()
    assert re.fullmatch(rf"luspool: .* limit exceeded: .*{of_tree} \(raise it with --{limit}\)", first), first
    assert second == "  It did not come out of one long call of a library function, so the whole program was ended."


def test_a_worker_that_cannot_be_stopped_ends_the_program(luspool):
    luspool.write(main=RECEIVE, w=STUCK)
    result = run(luspool, "-q", "--hosts", "1", "--cpu", "150ms", "--memory", "unlimited", "main.lus")
    assert (result.returncode, result.stdout) == (124, "")
    assert re.fullmatch(r"luspool: a worker: cpu limit exceeded: .* 150 ms allowed\n", result.stderr), result.stderr


def test_with_several_hosts_a_worker_that_cannot_be_stopped_costs_its_own(luspool):
    luspool.write(main=RECEIVE, w=STUCK)
    flags = ("--hosts", "2", "--threads", "1", "--placement", "spread", "--cpu", "150ms", "--memory", "unlimited")
    result = run(luspool, *flags, "main.lus")
    assert result.returncode == 0
    assert re.fullmatch(r"false\tw\.lus: cpu limit exceeded: .* 150 ms allowed\tdead\ngoes on\n", result.stdout)
    assert result.stderr == (
        "luspool: one of 2 processes was ended, because a script did not come out of one long call while it ran w.lus; "
        "another takes its place\n"
    )


def test_a_cancelled_worker_that_cannot_be_stopped_ends_the_program(luspool):
    """One that is cancelled just before its call is stopped like any other: so it goes on until one is inside."""
    luspool.write(
        main='while true do local w = worker.create("w.lus") worker.receive(w) worker.cancel(w) end',
        w=f'worker.message("up") {STUCK}',
    )
    result = run(luspool, "-q", "--hosts", "1", "--threads", "2", "--memory", "unlimited", "main.lus")
    assert (result.returncode, result.stdout, result.stderr) == (123, "", "luspool: a worker: it was cancelled\n")


def test_every_limit_can_be_lifted(luspool):
    luspool.write(main=RECEIVE, w='error("boom", 0)')
    flags = [word for option in (*AT_THE_ROOT, "mailbox") for word in (f"--{option}", "unlimited")]
    result = run(luspool, *flags, "main.lus")
    assert (result.returncode, result.stdout, result.stderr) == (0, "false\tboom\tdead\ngoes on\n", "")


def test_a_full_mailbox_is_no_error(luspool):
    luspool.write(
        main='local w, n = worker.create("w.lus"), 0 while worker.receive(w) do n = n + 1 end print(n)',
        w="for i = 1, 1000 do worker.message(i) end",
    )
    assert run(luspool, "--mailbox", "0", "main.lus").stdout == "1000\n"


@pytest.mark.parametrize("length", ["0", "1ms", "unlimited"])
def test_slices_may_be_short_or_without_end(luspool, length):
    luspool.write(main=RECEIVE, w='for i = 1, 1000000 do local s = i end error("boom", 0)')
    result = run(luspool, "--slice", length, "main.lus")
    assert (result.returncode, result.stdout, result.stderr) == (0, "false\tboom\tdead\ngoes on\n", "")


def test_help_shows_every_limit_with_its_default(luspool):
    shown = luspool("run", "--help").stdout
    limits = shown[shown.index("Limits") :]
    for option in (*AT_THE_ROOT, "mailbox"):
        assert re.search(rf"^  --{option} (SIZE|TIME|N) .*\[.+\]$", limits, re.MULTILINE), option


CHAIN = "('x = ' .. ('y and '):rep(150000) .. 'y')"
"""Lua's own compiler takes most of a minute for it, and is asked for it when its time is long over."""


@pytest.mark.parametrize("script", [f"load{CHAIN}", "x = " + "y and " * 150000 + "y"], ids=["loaded", "started"])
def test_a_worker_whose_text_takes_long_to_compile_ends_alone(luspool, script):
    luspool.write(main="worker.limit{ cpu = '100ms' }" + RECEIVE, w=script)
    result = run(luspool, "main.lus")
    assert re.fullmatch(ENDED.format("cpu"), result.stdout), result.stdout + result.stderr
    assert result.returncode == 0


@pytest.mark.parametrize("layout", [("--hosts", "1"), ("--hosts", "2", "--placement", "spread")], ids=["one", "spread"])
def test_who_hears_one_message_of_each_of_many_workers_holds_none_of_the_others(luspool, layout):
    """What a receiver has begun of messages that were sent together is in its own heap."""
    workers, messages = 1500, 60
    hears = f"""
        local ws, total = {{}}, 0
        for i = 1, {workers} do ws[i] = worker.create("w.lus") end
        for _ = 1, {messages} do for i = 1, #ws do total = total + #worker.receive(ws[i]) end end
        print(total)
    """
    luspool.write(main=hears, w=f"local s = ('x'):rep(1000) for _ = 1, {messages} do worker.message(s) end")
    run = luspool("run", *RIGHTS, *layout, "--memory", "16M", "main.lus")
    assert (run.returncode, run.stdout) == (0, f"{workers * messages * 1000}\n"), run.stderr
