"""What follows from deaths: who is replaced, who is not run again, what is reported, what goes on."""

import pytest

from luspool.scheduler import wire
from luspool.scheduler.blame import RestartPolicy
from luspool.scheduler.limits import Limits, StateLimits

from .rig import KILL, Scene, Stage, write

DIES_IN_PRINT = "before(port.StatePort, 'write')"


def test_an_error_of_a_crash_that_nobody_receives_is_reported_with_its_kind():
    write(
        main="local w = worker.create('w.lus') while worker.status(w) == 'running' do end",
        w="print('never')",
    )
    stage = Stage(Scene(doomed={1: (DIES_IN_PRINT, KILL)})).run()
    (failure,) = stage.listener.failures
    assert (failure.kind, failure.script, failure.is_root) == ("crashed", "w.lus", False)
    assert failure.message == f"w.lus: the process that ran it {KILL.how}"


def test_children_of_the_dead_get_what_was_sent_to_them_and_end():
    write(
        main="print(pcall(worker.receive, worker.create('w.lus')))",
        w="local w = worker.create('leaf.lus') worker.send(w, 1) worker.send(w, 2) worker.receive(w) print('never')",
        leaf="worker.message('begun') while worker.peek() do end",
    )
    # The root's host begins the leaf; what it says of that is all that the doomed one waits for.
    stage = Stage(Scene(doomed={1: (DIES_IN_PRINT, KILL)})).run()
    assert stage.listener.lines == [f"false\tw.lus: the process that ran it {KILL.how}"]
    assert stage.ended == wire.TreeEnded(False, 0)
    assert not stage.listener.failures


def test_a_script_that_has_killed_two_hosts_is_not_started_a_third_time():
    write(
        main="""
            local one, two = worker.create("w.lus"), worker.create("w.lus")
            worker.send(one, "die")  -- both have their hosts, of which none is dead
            worker.send(two, "die")
            print(pcall(worker.receive, one))
            print(pcall(worker.receive, two))
            print(pcall(worker.receive, worker.create("w.lus")))
        """,
        w="worker.peek() print('never')",
    )
    doomed = dict.fromkeys((1, 2), (DIES_IN_PRINT, KILL))
    stage = Stage(Scene(hosts=3, doomed=doomed, policy=RestartPolicy(restarts=0))).run()
    crashed = f"false\tw.lus: the process that ran it {KILL.how}"
    banned = f"false\tw.lus: not started: 2 processes have died while they ran it (the last one {KILL.how})"
    assert stage.listener.lines == [crashed, crashed, banned]


def test_with_no_restart_left_the_program_goes_on_with_the_hosts_that_are_left():
    write(
        main="""
            print(pcall(worker.receive, worker.create("w.lus")))
            for i = 1, 3 do print(worker.receive(worker.create("other.lus"))) end
        """,
        w="print('never')",
        other="worker.message('here')",
    )
    stage = Stage(Scene(doomed={1: (DIES_IN_PRINT, KILL)}, policy=RestartPolicy(restarts=0))).run()
    assert stage.listener.lines == [f"false\tw.lus: the process that ran it {KILL.how}", "here", "here", "here"]
    assert stage.listener.deaths == [
        f"one of 2 processes {KILL.how} while it ran w.lus; it is not replaced, too many have died"
    ]


def test_the_root_starts_although_a_host_never_comes():
    """It waits for all before it spreads its workers, and nobody takes the place of this one."""
    write(main="print(worker.receive(worker.create('w.lus')))", w="worker.message('here')")
    stage = Stage(Scene(doomed={1: ("die()", KILL)}, policy=RestartPolicy(restarts=0))).run()
    assert stage.listener.lines == ["here"]


def test_a_host_that_can_not_be_replaced_is_tried_again():
    write(main="print(worker.receive(worker.create('w.lus')))", w="worker.message('here')")

    class Refused(Stage):
        tries = 0

        def start_host(self):
            if len(self.processes) == 2:
                self.tries += 1
                if self.tries < 3:
                    raise OSError(11, "no more processes")
            return super().start_host()

    stage = Refused(Scene(doomed={1: ("die()", KILL)})).run()
    assert stage.listener.lines == ["here"]
    assert stage.tries == 3
    text = (
        "no process could be started in the place of one that died: [Errno 11] no more processes; that is tried again"
    )
    assert stage.listener.deaths[1:] == [text, text]


def test_nobody_hears_of_the_end_of_a_state_before_the_end_of_all_below_it_is_asked_for():
    """Else those below it would go on if its host died in between."""
    write(
        main="print(pcall(worker.receive, worker.create('w.lus')))",
        w="worker.receive(worker.create('leaf.lus')) while true do end",
        leaf="worker.message('begun') worker.peek()",
    )
    limits = Limits(StateLimits(cpu=100_000_000))
    dies_asking = "before(host_process.EventSender, 'end_below')"
    stage = Stage(Scene(doomed={1: (dies_asking, KILL)}, limits=limits)).run()
    assert stage.listener.lines == [f"false\tw.lus: the process that ran it {KILL.how}"]


LIES = {
    "written": "it._links[1]._writer._stream._words[0] = 1 << 40; it._links[1]._writer._bell.ring()",
    "taken": "it._links[1].reader._stream._words[16] = 1 << 40; ring.RingReader.get = lambda it: []",
    "letters": "it._links[1]._letters.append(b'nonsense'); it._links[1].flush()",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_host_that_lies_in_its_ring_is_told_of_and_what_it_was_given_runs_elsewhere(lie):
    write(
        main="local w = worker.create('w.lus') worker.send(w, ('x'):rep(3000000)) print(worker.receive(w))",
        w="worker.message(#worker.peek())",
    )
    # It never begins what it is given, or there might be nothing left to lie about.
    prelude = f"""
def lie(it, host):
    {LIES[lie]}
spread_dispatcher.SpreadDispatcher.before_first_step = lambda it, state: time.sleep(1000)
after(courier.Courier, "_join", lie)
"""
    stage = Stage(Scene(doomed={1: (prelude, KILL)})).run()
    assert stage.listener.lines == ["3000000"]
    (death,) = stage.listener.deaths
    assert "was ended, because it wrote to another what no host writes" in death
