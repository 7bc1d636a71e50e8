"""How a script fails: the value its parent gets, the text and traceback that people get, and what counts as a
denial."""

from __future__ import annotations

from luspool.sandbox import codec
from luspool.scheduler.protocol import Failure


def value(failure):
    return codec.decode(failure.value)[0]


def test_a_string_has_its_position_and_a_traceback(lus):
    failure = lus("local function f()\n  error('wrong')\nend\nf()").failure()
    assert failure.kind == "error"
    assert value(failure) == failure.message == "main.lus:2: wrong"
    assert failure.traceback.splitlines()[2:] == ["\tmain.lus:2: in local 'f'", "\tmain.lus:4: in main chunk"]


def test_a_table_stays_a_table(lus):
    failure = lus("error({code = 5, {1, 2}})").failure()
    assert value(failure) == {"code": 5, 1: [1, 2]}
    assert failure.message == "(error object is a table value)"


def test_the_text_of_an_object_is_its_tostring(lus):
    failure = lus("error(setmetatable({7}, {__tostring = function(t) return 'seven ' .. t[1] end}))").failure()
    assert failure.message == "seven 7"
    assert value(failure) == [7]


def test_an_error_in_tostring_is_left_alone(lus):
    failure = lus("error(setmetatable({}, {__tostring = function() error('again') end}))").failure()
    assert failure.message == "(error object is a table value)"


def test_an_object_that_cannot_be_copied_is_told_as_text(lus):
    assert value(lus("error(print)").failure()) == "(error object is a function value)"
    assert value(lus("error(io.stdout)").failure()).startswith("file (0x")


def test_other_values_are_told_as_they_are(lus):
    assert (value(lus("error(12)").failure()), value(lus("error(false)").failure())) == (12, False)
    assert lus("error(nil)").failure().message == "<no error object>"


def test_any_bytes_may_be_an_error(lus):
    failure = lus(r"error('\xff\0\u{7fffffff}', 0)").failure()
    assert failure.message.encode("utf-8", "surrogateescape") == b"\xff\0\xfd\xbf\xbf\xbf\xbf\xbf"


def test_a_stack_overflow_is_an_error_like_any_other(lus):
    assert "stack overflow" in lus("local function f() return 1 + f() end f()").failure().message
    assert (
        "C stack overflow"
        in lus(
            "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] .. '' end print(t.x)"
        )
        .failure()
        .message
    )


def test_tracebacks_show_nothing_of_the_library(lus):
    failure = lus("local co = coroutine.wrap(function() io.open({}) end)\nlocal x = pcall(print)\nco()").failure()
    # What `wrap` gives is a function in C, as in Lua, where it is not the portable preemption's.
    frames = [line for line in failure.traceback.splitlines()[1:] if line != "\t[C]: in local 'co'"]
    assert frames == ["\tmain.lus:3: in main chunk"]


def test_a_chunk_with_language_helpers_is_a_main_chunk_in_tracebacks(lus):
    failure = lus("local s = `a`\nerror(s .. s)").failure()
    assert failure.traceback.splitlines()[-1] == "\tmain.lus:2: in main chunk"


def test_an_uncaught_denial_is_a_denial(lus):
    failure = lus("io.open('/etc/passwd')").failure()
    assert failure.kind == "denied"
    assert 'permission "fs:read" denied' in failure.message
    assert "main.lus:1" in failure.message


def test_a_denial_that_is_raised_again_is_a_denial(lus):
    assert lus("local ok, e = pcall(io.open, '/etc/passwd') error(e, 0)").failure().kind == "denied"
    assert lus("local ok, e = pcall(io.open, '/etc/passwd') error(e)").failure().kind == "denied"


def test_a_caught_denial_makes_no_later_error_one(lus):
    assert lus("pcall(io.open, '/etc/passwd') error('other')").failure().kind == "error"


def test_a_denial_with_a_huge_name_is_one(lus):
    assert lus("os.getenv(('x'):rep(1 << 20))").failure().kind == "denied"


def test_a_childs_denial_is_the_parents_if_nobody_catches_it(lus):
    script = lus("local w = worker.create('/x') worker.receive(w)", held=("load", "fs:read"))
    script.waits_for()
    text = "main.lus:1: no permission at all"
    script.port.items[1].append(Failure("denied", codec.encode(text), text, "", "/x"))
    failure = script.failure()
    assert (failure.kind, value(failure)) == ("denied", text)


def test_a_childs_error_is_thrown_as_it_was(lus, printed):
    script = lus(
        "local w = worker.create('/x') local ok, e = pcall(worker.receive, w) print(type(e), e.code)",
        held=("load", "fs:read"),
    )
    script.waits_for()
    script.port.items[1].append(Failure("error", codec.encode({"code": 5}), "", "", "/x"))
    script.end()
    assert script.port.lines == ["table\t5"]


def test_a_script_that_cannot_start_fails_with_the_reason_whatever_its_name_is(lus):
    name = b"caf\xe9.lus".decode("utf-8", "surrogateescape")
    failure = lus("x = = 1", path=name).failure()
    assert (failure.kind, failure.script) == ("load", name)
    assert codec.decode(failure.value, text=False)[0].startswith(b"caf\\xe9.lus:1:5: ")
    missing = lus(None, path=name, problem=f"cannot read {name}")
    assert codec.decode(missing.failure().value, text=False) == (b"cannot read caf\xe9.lus",)
