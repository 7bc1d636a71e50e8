"""Pledge sets: what each call of `pledge` returns and what is held afterwards."""

import pytest

from luspool.permissions import MAX_RULES, Origin, Pledge, PledgeLimitError, PledgeSet, PledgeSyntaxError, Reason, Rule

CALL = Origin.call("main.lus:3")


def rule(text, flag="-P"):
    return Rule(Pledge.parse(text, command_line=True).bind("/"), Origin.flag(flag, text))


def root(*held, allow=()):
    return PledgeSet.root([rule(text) for text in held], [rule(text, "--allow") for text in allow])


def pledge(pledges, *texts):
    """What the script's `pledge(…)` does: the new set and one boolean per argument."""
    answers = []
    for text in texts:
        pledges, answer = pledges.request(Pledge.parse(text).bind("/"), CALL)
        answers.append(answer)
    return pledges, answers


def test_nothing_given_is_nothing_held():
    """A root without flags may do nothing and pledge nothing."""
    pledges, answers = pledge(root(), "load", "fs:read=/a", "env")
    assert answers == [False, False, False]
    assert not any(pledges.allows(name) for name in pledges.grants)


def test_a_pledge_flag_is_held_at_once():
    """`-P` puts a permission into ceiling and held."""
    pledges = root("load", "fs:read=/a")
    assert pledges.allows("load")
    assert pledges.allows("fs:read", "/a/b")
    assert not pledges.allows("fs:read", "/ab")
    assert not pledges.allows("fs:write", "/a/b")


def test_an_allow_flag_must_be_pledged_first():
    """`--allow` puts a permission into the ceiling only."""
    pledges = root(allow=["fs:read=/a"])
    assert not pledges.allows("fs:read", "/a")
    pledges, answers = pledge(pledges, "fs:read=/b", "fs:read=/a/x")
    assert answers == [False, True]
    assert pledges.allows("fs:read", "/a/x")
    assert not pledges.allows("fs:read", "/a/y")


def test_all_is_everything_that_can_be_granted():
    """`-P all` grants every elementary permission but exec and network."""
    pledges = root("all")
    allowed = {name for name in pledges.grants if pledges.allows(name)}
    assert allowed == {"load", "fs:read", "fs:write", "env", "host"}


def test_the_first_pledge_narrows_and_further_ones_add():
    """The first pledge of what was given replaces it, later ones add up to the ceiling again."""
    pledges, answers = pledge(root("fs:read=/a", "fs:read=/b"), "fs:read=/a/x")
    assert answers == [True]
    assert not pledges.allows("fs:read", "/a/y")
    assert not pledges.allows("fs:read", "/b")
    pledges, answers = pledge(pledges, "fs:read=/b", "fs:read=/c")
    assert answers == [True, False]
    assert pledges.allows("fs:read", "/a/x")
    assert pledges.allows("fs:read", "/b")


def test_a_refused_pledge_narrows_nothing():
    """Asking beyond the ceiling changes nothing, and does not count as the first pledge."""
    given = root("fs:read=/a")
    pledges, answers = pledge(given, "fs:read=/b", "fs:read")
    assert (pledges, answers) == (given, [False, False])


def test_narrowing_fs_by_reading_leaves_writing():
    """`fs` is reading and writing: a pledge of one narrows that one only."""
    pledges, _ = pledge(root("fs"), "fs:read=/a")
    assert not pledges.allows("fs:read", "/b")
    assert pledges.allows("fs:write", "/b")


def test_fs_is_granted_whole_or_not_at_all():
    """`fs=/a` asks for both: with reading alone in the ceiling, or writing rejected, nothing is granted."""
    pledges, answers = pledge(root(allow=["fs:read=/a"]), "fs=/a")
    assert answers == [False]
    assert not pledges.allows("fs:read", "/a")
    _, answers = pledge(root("fs"), "~fs:write", "fs", "fs:read")
    assert answers == [True, False, True]


def test_all_paths_and_the_root_are_the_same():
    """`fs:read` and `fs:read=/` lie within each other."""
    assert pledge(root("fs:read=/"), "fs:read")[1] == [True]
    assert pledge(root("fs:read"), "fs:read=/")[1] == [True]


def test_environment_names_are_exact():
    """`env=NAME` grants one variable; only `env` grants asking for all."""
    pledges = root("env=HOME")
    assert pledges.allows("env", "HOME")
    assert not pledges.allows("env", "HOM")
    assert not pledges.allows("env")
    assert pledge(pledges, "env=PATH", "env", "env=HOME")[1] == [False, False, True]
    assert root("env").allows("env")


def test_functions_are_granted_by_name_or_all_together():
    """`host:NAME` grants one function, `host` all; a script may narrow the one to the other."""
    pledges = root("host:log")
    assert pledges.allows("host", "log")
    assert not pledges.allows("host", "lo")
    assert pledge(pledges, "host:now", "host", "host:log")[1] == [False, False, True]
    assert root("host").allows("host", "log")
    narrowed, answers = pledge(root("host"), "host:log", "host:now", "~host:now")
    assert answers == [True, True, True]
    assert [narrowed.allows("host", name) for name in ("log", "now", "other")] == [True, False, False]


def test_what_no_state_of_a_tree_may_ever_do():
    """Beyond the root's ceiling nothing is ever allowed; within it, also what the root has yet to pledge."""
    pledges = root("host:log", "~host:now", allow=["host:mail", "host:now"])
    assert [pledges.may_ever_allow("host", name) for name in ("log", "mail", "now", "x")] == [True, True, False, False]
    assert root("all").may_ever_allow("host", "x")
    assert not root("all", "~host").may_ever_allow("host", "x")


def test_rejection_is_for_good():
    """`~x` returns true, beats what is held, refuses what it covers whole, and passes to children."""
    pledges, answers = pledge(root("fs:read=/a"), "~fs:read=/a/secret", "fs:read=/a/secret/x", "fs:read=/a")
    assert answers == [True, False, True]
    for state in (pledges, pledges.inherit(), pledges.inherit().inherit()):
        assert state.allows("fs:read", "/a/open")
        assert not state.allows("fs:read", "/a/secret/x")
        assert state.decide("fs:read", "/a/secret").reason is Reason.REJECTED


def test_a_rejection_denies_asking_for_everything():
    """With one value rejected, asking for all values at once is denied."""
    assert not root("env", "~env=KEY").allows("env")


def test_a_rejected_permission_cannot_come_back():
    """Rejecting a permission without a value ends it."""
    pledges, answers = pledge(root("load", "fs"), "~load", "load", "~fs", "fs:read=/a")
    assert answers == [True, False, True, False]
    assert not pledges.allows("load")


def test_reject_takes_a_pledge_of_either_sign():
    """`reject` is the same with and without the `~`."""
    for text in ("fs=/a", "~fs=/a"):
        pledges, answer = root("fs").reject(Pledge.parse(text), CALL)
        assert answer
        assert not pledges.allows("fs:write", "/a/b")


def test_a_seal_ends_all_changes():
    """`seal` returns true once; afterwards every call returns false and changes nothing."""
    sealed, answers = pledge(root("load", allow=["env"]), "seal")
    assert answers == [True]
    after, answers = pledge(sealed, "seal", "env", "load", "~load")
    assert answers == [False] * 4
    assert after == sealed
    assert after.allows("load")


def test_a_child_of_a_sealed_state_may_narrow():
    """A seal stays with its state: a worker starts unsealed, within what its parent holds."""
    sealed, _ = pledge(root("fs:read=/a", allow=["env"]), "seal")
    child, answers = pledge(sealed.inherit(), "env", "fs:read=/a/x", "seal")
    assert answers == [False, True, True]
    assert not child.allows("fs:read", "/a/y")


def test_a_root_may_be_sealed_and_limited_from_outside():
    """`-P seal` and `-P ~x` hold from the first instruction, in any order of the flags."""
    pledges = root("seal", "~fs:read=/a/b", "fs:read=/a", allow=["env"])
    assert pledges.allows("fs:read", "/a")
    assert not pledges.allows("fs:read", "/a/b")
    assert pledge(pledges, "env")[1] == [False]


def test_a_child_starts_with_what_its_parent_holds_then():
    """A child's ceiling is what its parent held at creation: later changes of the parent do not reach it."""
    narrowed, _ = pledge(root("fs:read=/a", "fs:read=/b"), "fs:read=/a")
    child = narrowed.inherit()
    assert pledge(child, "fs:read=/b")[1] == [False]
    widened, _ = pledge(narrowed, "fs:read=/b")
    assert widened.allows("fs:read", "/b")
    assert not child.allows("fs:read", "/b")
    assert widened.inherit().allows("fs:read", "/b")


def test_a_childs_first_pledge_narrows_again():
    """A child narrows anew: what its parent pledged is something that it was given."""
    parent, _ = pledge(root("fs:read"), "fs:read=/a", "fs:read=/b")
    child, answers = pledge(parent.inherit(), "fs:read=/a/x")
    assert answers == [True]
    assert not child.allows("fs:read", "/b")


def test_known_words_that_cannot_be_granted_are_refused():
    """`exec` and `network` return false when pledged, true when rejected, and are errors as flags."""
    pledges, answers = pledge(root("all"), "exec", "network", "network:http=example.com", "~exec", "exec")
    assert answers == [False, False, False, True, False]
    assert pledges.decide("network:tcp", "example.com").reason is Reason.UNGRANTABLE
    assert pledges.decide("exec").reason is Reason.REJECTED
    for arguments in ([rule("exec")], []), ([], [rule("network:udp")]):
        with pytest.raises(PledgeSyntaxError, match="cannot be granted here"):
            PledgeSet.root(*arguments)


@pytest.mark.parametrize("text", ["~load", "seal"])
def test_a_ceiling_only_allows(text):
    """`--allow` takes no rejection and no seal."""
    with pytest.raises(PledgeSyntaxError, match="use -P"):
        root(allow=[text])


def test_rules_are_bounded():
    """A script cannot pile up rules: one too many is an error, and what is already covered adds none."""
    pledges, _ = pledge(root("fs:read"), *(f"fs:read=/{number}" for number in range(MAX_RULES)))
    assert pledge(pledges, "fs:read=/1/x")[0] == pledges
    with pytest.raises(PledgeLimitError, match="more than 256"):
        pledge(pledges, "fs:read=/one-more")
    for number in range(MAX_RULES):
        pledges, _ = pledge(pledges, f"~fs:read=/{number}")
    with pytest.raises(PledgeLimitError, match="directory or a pattern"):
        pledge(pledges, "~fs:read=/one-more")
    whole, answers = pledge(pledges, "fs:read")
    assert answers == [True]
    assert len(whole.grants["fs:read"].held) == 1


def test_a_tree_must_be_granted_whole():
    """A decision about a tree is denied where anything in it may be rejected or is not granted."""
    pledges = root("fs=/a", "~fs:read=/a/b/secret", "~fs:write=/a/*.lock")
    assert pledges.decide_tree("fs:read", "/a/c").reason is Reason.HELD
    assert pledges.decide_tree("fs:read", "/a/b").reason is Reason.REJECTED
    assert pledges.decide_tree("fs:read", "/a/b/secret/x").reason is Reason.REJECTED
    assert pledges.decide_tree("fs:write", "/a/c").reason is Reason.REJECTED
    assert pledges.decide_tree("fs:read", "/").reason is Reason.REJECTED
    assert pledges.decide_tree("fs:read", "/ab").reason is Reason.BEYOND
    assert root("fs:read=/a/*.txt").decide_tree("fs:read", "/a/b.txt").reason is Reason.BEYOND
    assert root("fs:read").decide_tree("fs:read", "/").allowed
    assert root(allow=["fs:read"]).decide_tree("fs:read", "/").reason is Reason.UNPLEDGED


def test_decisions_are_about_elementary_permissions_and_real_paths():
    """Everything else is a mistake of the caller, and never an answer."""
    pledges = root("all")
    for permission, value in [("fs", "/a"), ("nonsense", None), ("fs:read", "a"), ("fs:read", "/a\0b"), ("seal", None)]:
        with pytest.raises(ValueError, match="not a"):
            pledges.decide(permission, value)
    with pytest.raises(ValueError, match="not a real path"):
        pledges.decide_tree("fs:read", "a")


def test_an_unbound_path_is_no_rule():
    """A path that was not made canonical is refused before it can decide anything."""
    with pytest.raises(ValueError, match="canonical"):
        root("fs:read").request(Pledge.parse("fs:read=../x"), CALL)
