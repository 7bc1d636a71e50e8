"""What `luspool doctor` finds out, against what can be known otherwise."""

import importlib
import json
import os

import pytest

from luspool import doctor, preemption
from luspool.errors import UsageError
from luspool.sandbox.preemption import VARIABLE, mechanism
from luspool.sandbox.wall import Layer, landlock


@pytest.fixture
def _chosen_anew():
    """The mechanism of this process is chosen again, in and after this test."""
    mechanism.cache_clear()
    yield
    mechanism.cache_clear()


def test_people_and_programs_are_told_the_same_facts():
    facts = doctor.examine()
    told = json.loads(doctor.as_json(facts))
    assert told.pop("v") == 1
    lines = doctor.as_text(facts).splitlines()
    assert [line for line in lines if not line.startswith(" ")] == list(told)
    names = [name for section in told.values() for name in section]
    assert [line.split()[0] for line in lines if line.startswith(" ")] == names


def test_the_facts_are_those_of_this_machine():
    told = json.loads(doctor.as_json(doctor.examine()))
    assert told["machine"]["processors"] == len(os.sched_getaffinity(0))
    assert told["preemption"]["mechanism"] == mechanism().name
    assert told["limits"]["memory"] == 64 * 1024**2
    assert told["limits"]["time"] is None
    assert told["versions"]["lua"] == "5.5"


def test_the_wall_is_that_of_this_kernel():
    """Landlock and seccomp are on the machines that run these tests."""
    told = json.loads(doctor.as_json(doctor.examine()))["wall"]
    assert told["by-default"] == "strict"
    assert told["landlock-abi"] == landlock.abi()
    assert None not in told.values()


def test_a_layer_that_is_missing_is_null_for_programs_and_a_reason_for_people(monkeypatch):
    monkeypatch.setattr(doctor, "trial", lambda: (Layer("no new privileges", True, "x"), Layer("Landlock", False, "y")))
    facts = doctor.examine()
    told = json.loads(doctor.as_json(facts))["wall"]
    assert (told["by-default"], told["no-new-privileges"], told["landlock"]) == ("best-effort", "x", None)
    assert "missing: y" in doctor.as_text(facts)


@pytest.mark.usefixtures("_chosen_anew")
def test_a_wish_is_the_reason_for_the_mechanism(monkeypatch):
    monkeypatch.setenv(VARIABLE, "hook")
    told = doctor.examine()["preemption"]
    assert (told["mechanism"].value, told["reason"].value) == ("hook", f"{VARIABLE} asks for it")


@pytest.mark.usefixtures("_chosen_anew")
def test_a_wish_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setenv(VARIABLE, "prayer")
    with pytest.raises(UsageError, match="LUSPOOL_PREEMPTION is 'prayer'; it can be"):
        doctor.examine()


@pytest.mark.usefixtures("_chosen_anew")
def test_without_the_native_module_the_reason_says_so_and_a_wish_for_it_is_refused(monkeypatch):
    def no_module(wish: str) -> object:
        if wish == "signal":
            raise ImportError("no such thing")
        return importlib.import_module("luspool.sandbox.preemption_hook").CountingHook()

    monkeypatch.setattr("luspool.sandbox.preemption.choose", no_module)
    monkeypatch.setattr(preemption, "choose", no_module)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert preemption.why_chosen() == "the native module is not to be had: no such thing"
    monkeypatch.setenv(VARIABLE, "signal")
    with pytest.raises(UsageError, match="installed without its native module"):
        preemption.chosen_mechanism()
