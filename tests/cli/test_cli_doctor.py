"""`luspool doctor` as a command, and what the environment may wish for."""

import json

import pytest


def test_doctor_tells_people_and_programs(luspool):
    told = luspool("doctor")
    assert (told.returncode, told.stderr) == (0, "")
    assert "mechanism" in told.stdout
    assert json.loads(luspool("doctor", "--json").stdout)["limits"]["cpu"] == 60 * 10**9


@pytest.mark.parametrize("command", [["doctor"], ["run", "main.lus"]])
def test_a_mechanism_that_does_not_exist_is_refused(luspool, command):
    luspool.write(main="print('ran')")
    luspool.environment["LUSPOOL_PREEMPTION"] = "prayer"
    result = luspool(*command)
    expected = "luspool: LUSPOOL_PREEMPTION is 'prayer'; it can be 'signal', 'hook', or not set\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", expected)
