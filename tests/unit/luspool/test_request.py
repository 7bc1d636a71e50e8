"""A request survives the way to a host, and nothing else passes for one."""

import pytest
from msgspec.structs import replace

from luspool.errors import UsageError
from luspool.request import Request
from luspool.run import pledge_set


def request(**changes) -> Request:
    fields = {
        "path": "main.lus",
        "source": b"print(...)",
        "arguments": (b"", b"\xff", b"-P"),
        "pledges": pledge_set(("load", "fs:read=."), ("env",)),
        "strict_globals": True,
    }
    return Request.of(**{**fields, **changes})


def test_what_is_unpacked_is_what_was_packed():
    sent = request(path=b"caf\xe9.lus".decode("utf-8", "surrogateescape"))
    received = Request.unpack(sent.pack())
    assert received == sent
    assert received.pledge_set() == pledge_set(("load", "fs:read=."), ("env",))


def test_of_the_environment_goes_along_what_may_ever_be_read():
    everything = {"A": "1", "B": "\udcff", "C": ""}
    for held, ceiling, wanted in [
        ((), (), {}),
        (("env=A",), (), {"A": "1"}),
        ((), ("env=B",), {"B": "\udcff"}),
        (("env", "~env=A"), (), {"B": "\udcff", "C": ""}),
    ]:
        sent = request(pledges=pledge_set(held, ceiling), environment=everything)
        assert Request.unpack(sent.pack()).environment() == wanted


def test_a_variable_without_a_value_is_refused():
    with pytest.raises(ValueError, match="zip"):
        replace(request(), variables=("A",)).environment()


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_a_request_that_lost_bytes_is_refused(cut):
    with pytest.raises(ValueError, match="does not fit"):
        Request.unpack(request().pack()[:cut])


def test_the_flags_decide_what_is_held_and_what_may_be_pledged():
    pledges = pledge_set(("load",), ("env=HOME",))
    assert pledges.allows("load")
    assert not pledges.allows("env", "HOME")
    assert "env=HOME" in {str(rule.pledge) for rule in pledges.grants["env"].ceiling}


@pytest.mark.parametrize(
    ("held", "ceiling"), [(("fs:raed",), ()), (("network",), ()), ((), ("~load",)), ((), ("seal",))]
)
def test_a_pledge_that_cannot_be_given_is_a_usage_error(held, ceiling):
    with pytest.raises(UsageError, match="pledge"):
        pledge_set(held, ceiling)
