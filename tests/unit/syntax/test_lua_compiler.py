"""Lua's own compiler, as the front end uses it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from luspool.sandbox.syntax import CompileError, Stop, TranslationStoppedError, compile_lua, lua_compiler

LONG = b"x = 1 " * 20_000


def test_a_text_that_is_refused_changes_nothing_for_the_next():
    before = compile_lua(b"return 1", b"@t", Stop())
    with pytest.raises(CompileError, match="t:1: unexpected symbol"):
        compile_lua(b"x = = 1", b"@t", Stop())
    assert compile_lua(b"return 1", b"@t", Stop()) == before


@pytest.mark.parametrize("text", [b"return 1", LONG, b"x = = 1"])
def test_a_compilation_that_nobody_wants_any_more_is_none(text):
    stop = Stop()
    stop.requested = True
    with pytest.raises(TranslationStoppedError):
        compile_lua(text, b"@t", stop)


def test_threads_that_compile_at_the_same_time_get_each_their_own():
    texts = [b"return %d" % number for number in range(200)]
    alone = [compile_lua(text, b"@t", Stop()) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: compile_lua(text, b"@t", Stop()), texts)) == alone


def test_an_interpreter_is_used_again_unless_the_text_was_long():
    lua_compiler._idle.clear()
    compile_lua(b"return 1", b"@t", Stop())
    (kept,) = lua_compiler._idle
    compile_lua(b"return 2", b"@t", Stop())
    assert list(lua_compiler._idle) == [kept]
    compile_lua(LONG, b"@t", Stop())
    assert not lua_compiler._idle
