"""Laws of pledge sets, over random histories of a root and its workers."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from luspool.permissions import Origin, Pledge, PledgeSet, Rule, from_wire, to_wire
from luspool.permissions.paths import PathPattern

PATHS = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/a/b.pem", "/b", "/b/a", "/b.pem"]
VALUES = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/b", "/a*", "/a/*", "/*.pem", "/a/?", "/?/b"]
CALL = Origin.call("main.lus:1")
FLAG = Origin.flag("-P", "x")

reads = st.sampled_from([Pledge("fs:read"), *(Pledge("fs:read", value) for value in VALUES)])
anything = reads | st.sampled_from(
    [
        *(Pledge("fs", "/a"), Pledge("fs"), Pledge("fs:write", "/a/b")),
        *(Pledge("env", "HOME"), Pledge("env"), Pledge("host", "log"), Pledge("host"), Pledge("load")),
    ]
)
requests = anything | anything.map(lambda pledge: Pledge(pledge.permission, pledge.value, True))
QUESTIONS = [
    *(("fs:read", path) for path in PATHS),
    *(("fs:write", path) for path in PATHS),
    *(("env", name) for name in ("HOME", "PATH", None)),
    *(("host", name) for name in ("log", "now", None)),
    ("load", None),
]


def allowed(pledges):
    return {question for question in QUESTIONS if pledges.allows(*question)}


def named_by(pledge):
    """The questions that a pledge is about, by the meaning of its parts and no more of the set's own code."""
    covered = {
        (name, value)
        for name, value in QUESTIONS
        if name in pledge.record.covers
        and (pledge.value is None or (value is not None and _matches(name, pledge.value, value)))
    }
    if pledge.rejected:  # asking for all names at once meets every rejection of one
        covered |= {(name, value) for name, value in QUESTIONS if value is None and name in pledge.record.covers}
    return covered


def _matches(name, pattern, value):
    return pattern == value if name in ("env", "host") else PathPattern(pattern).matches(value)


class Histories(RuleBasedStateMachine):
    """A root and workers of workers that pledge, reject, seal and create in any order."""

    states = Bundle("states")

    def __init__(self):
        super().__init__()
        self.sets = []
        self.limits = []  # for each state, what it may ever be allowed: fixed when it is created
        self.rejected = []  # for each state, what a call rejected in it or in a parent before

    def _add(self, pledges, limit, rejected):
        self.sets.append(pledges)
        self.limits.append(limit)
        self.rejected.append(set(rejected))
        return len(self.sets) - 1

    @initialize(target=states, held=st.lists(anything, max_size=4), ceiling=st.lists(anything, max_size=4))
    def start(self, held, ceiling):
        pledges = PledgeSet.root([Rule(pledge, FLAG) for pledge in held], [Rule(pledge, FLAG) for pledge in ceiling])
        self.first = pledges
        assert allowed(pledges) == set().union(*map(named_by, held))
        return self._add(pledges, set().union(*map(named_by, held + ceiling)), ())

    @rule(target=states, parent=states)
    def create(self, parent):
        """A worker is allowed exactly what its parent is now, and never more than that."""
        child = self.sets[parent].inherit()
        assert allowed(child) == allowed(self.sets[parent])
        return self._add(child, allowed(self.sets[parent]), self.rejected[parent])

    @rule(state=states, pledge=requests)
    def call(self, state, pledge):
        before = self.sets[state]
        after, answer = before.request(pledge, CALL)
        self.sets[state] = after
        if not answer:
            assert after == before
        elif pledge.rejected:
            assert allowed(after) == allowed(before) - named_by(pledge)
            self.rejected[state] |= named_by(pledge)
        else:
            first = not before.grants[pledge.record.covers[0]].pledged
            about = {question for question in QUESTIONS if question[0] in pledge.record.covers}
            wanted = named_by(pledge) - self.rejected[state]
            assert wanted <= allowed(after) <= self.limits[state]
            assert allowed(after) - about == allowed(before) - about
            if first and len(pledge.record.covers) == 1:
                assert allowed(after) & about == wanted

    @rule(state=states)
    def seal(self, state):
        sealed, answer = self.sets[state].seal(CALL)
        assert answer is (self.sets[state].sealed_by is None)
        assert allowed(sealed) == allowed(self.sets[state])
        for text in ("load", "~load", "seal"):
            assert sealed.request(Pledge.parse(text), CALL) == (sealed, False)

    @invariant()
    def no_state_exceeds_what_it_was_created_with(self):
        """The ceiling of every state stays what it was, and what is rejected stays denied."""
        for pledges, limit, rejected in zip(self.sets, self.limits, self.rejected, strict=True):
            assert allowed(pledges) <= limit - rejected

    @invariant()
    def nothing_is_allowed_that_the_root_may_never_allow(self):
        for pledges in self.sets:
            for permission, value in allowed(pledges):
                assert value is None or self.first.may_ever_allow(permission, value)

    @invariant()
    def what_is_held_lies_within_the_ceiling(self):
        for pledges in self.sets:
            for grants in pledges.grants.values():
                assert all(any(limit.contains(held) for limit in grants.ceiling) for held in grants.held)

    @invariant()
    def every_set_survives_the_wire(self):
        for pledges in self.sets[-2:]:
            assert from_wire(json.loads(json.dumps(to_wire(pledges)))) == pledges


Histories.TestCase.settings = settings(max_examples=300, stateful_step_count=20)
test_histories = Histories.TestCase


@given(st.lists(anything, max_size=6), requests)
def test_asking_again_changes_nothing_that_is_allowed(held, pledge):
    """A call that was granted is granted again, with the same effect."""
    pledges = PledgeSet.root(Rule(given_, FLAG) for given_ in held)
    once, answer = pledges.request(pledge, CALL)
    if answer:
        twice, again = once.request(pledge, CALL)
        assert again
        assert allowed(twice) == allowed(once)


@given(st.lists(anything, max_size=5), st.lists(anything, max_size=5))
def test_every_answer_names_the_rule_that_gave_it(held, rejected):
    """An allowed decision carries a held rule that matches, a rejected one a rejection that matches."""
    rules = [Rule(pledge, FLAG) for pledge in held]
    rules += [Rule(Pledge(pledge.permission, pledge.value, True), FLAG) for pledge in rejected]
    pledges = PledgeSet.root(rules)
    for question in QUESTIONS:
        decision = pledges.decide(*question)
        if decision.allowed:
            assert decision.rule in rules
            assert question in named_by(decision.rule.pledge)
            assert not decision.rule.pledge.rejected
        elif decision.rule:
            assert decision.rule.pledge.rejected
            assert question in named_by(decision.rule.pledge)
