/*
** Coroutines, for scripts: as Lua's own, but they pass suspensions on (preempt.c). And the Lua module, by which a state gets
** all that is native.
*/

#include "preempt.h"

#include <stdlib.h>

static lua_State *check_coroutine(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    if (co == NULL) luaL_typeerror(L, 1, "thread");
    return co;
}

static void publish_again(struct thread *me, lua_State *L, struct resumer *outer) {
    me->current = L;
    me->resumers = outer;
    if (me->pending && !me->suspension) arm(L);
}

/* Moves `count` values from L to co and runs co. As lua_resume, but for -1: they don't fit, the message is on L. */
static int run(lua_State *L, lua_State *co, int count, int *results) {
    struct thread *me = stepping(L);
    if (!lua_checkstack(co, count)) {
        lua_pushstring(L, "too many arguments to resume");
        return -1;
    }
    int blocked = !lua_isyieldable(L);
    struct resumer here = {L, me->resumers};
    lua_xmove(L, co, count);
    me->resumers = &here;
    me->blocked += blocked;
    publish(me, co);
    int status = lua_resume(co, L, count, results);
    publish_again(me, L, here.outer);
    me->blocked -= blocked;
    if (status == LUA_YIELD && me->suspension) return status;
    if (status == LUA_OK || status == LUA_YIELD) {
        if (lua_checkstack(L, *results + 1)) return status;
        lua_settop(co, -*results - 1);
        lua_pushstring(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, 1);
    return status;
}

static int suspended(int status) {
    return status == LUA_YIELD && self->suspension;
}

static int resume_more(lua_State *L, int status, lua_KContext unused);

static int resume_with(lua_State *L, int count) {
    lua_State *co = lua_tothread(L, 1);
    int results, status = run(L, co, count, &results);
    if (suspended(status)) return lua_yieldk(L, 0, 0, resume_more);
    if (status == LUA_OK || status == LUA_YIELD) {
        lua_pushboolean(L, 1);
        lua_xmove(co, L, results);
        return results + 1;
    }
    lua_pushboolean(L, 0);
    lua_rotate(L, -2, 1);
    return 2;
}

static int resume_more(lua_State *L, int status, lua_KContext unused) {
    (void)status, (void)unused;
    return resume_with(L, 0);
}

static int co_resume(lua_State *L) {
    check_coroutine(L);
    return resume_with(L, lua_gettop(L) - 1);
}

/* lua_closethread with the coroutine published: it runs the __close metamethods of co, on co. */
static int close_coroutine(lua_State *L, lua_State *co) {
    struct thread *me = stepping(L);
    struct resumer here = {L, me->resumers};
    if (co != L) me->resumers = &here;
    publish(me, co);
    int status = lua_closethread(co, L);  /* does not return where co closes itself */
    publish_again(me, L, here.outer);
    return status;
}

static int wrap_more(lua_State *L, int status, lua_KContext unused);

static int wrap_with(lua_State *L, int count) {
    lua_State *co = lua_tothread(L, FIRST_UPVALUE);
    int results, status = run(L, co, count, &results);
    if (suspended(status)) return lua_yieldk(L, 0, 0, wrap_more);
    if (status == LUA_OK || status == LUA_YIELD) {
        lua_xmove(co, L, results);
        return results;
    }
    status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        status = close_coroutine(L, co);
        lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {  /* as Lua does: the caller's position before it */
        luaL_where(L, 1);
        lua_rotate(L, -2, 1);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int wrap_more(lua_State *L, int status, lua_KContext unused) {
    (void)status, (void)unused;
    return wrap_with(L, 0);
}

static int wrap_call(lua_State *L) {
    return wrap_with(L, lua_gettop(L));
}

static int co_wrap(lua_State *L) {
    if (lua_type(L, 1) != LUA_TFUNCTION) return luaL_typeerror(L, 1, "function");
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, wrap_call, 1);
    return 1;
}

static int co_yield(lua_State *L) {
    if (L == stepping(L)->state->main) return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yieldk(L, lua_gettop(L), 0, NULL);
}

static int co_close(lua_State *L) {
    lua_State *co = lua_gettop(L) == 0 ? L : check_coroutine(L);
    lua_Debug function;
    if (co == stepping(L)->state->main) return luaL_error(L, "cannot close the main coroutine");
    if (co != L && lua_status(co) == LUA_OK && lua_getstack(co, 0, &function))
        return luaL_error(L, "cannot close a normal coroutine");
    if (close_coroutine(L, co) == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_xmove(co, L, 1);
    return 2;
}

static int suspend_more(lua_State *L, int status, lua_KContext unused) {
    (void)status, (void)unused;
    lua_pushboolean(L, 1);
    return 1;
}

/* A third of what a state is born with is garbage, and it may wait for long without making more. One that is large by now has
** made, and will collect, much more than that. */
static void collect_at_first(struct state *st, lua_State *L) {
    enum { MOST = 128 };  /* KB */
    if (st->has_waited) return;
    st->has_waited = 1;
    if (lua_gc(L, LUA_GCCOUNT) < MOST) lua_gc(L, LUA_GCCOLLECT);
}

/* Leaves the step, WAITING; true when the state runs on. False at once where Lua can't suspend what is running. */
static int co_suspend(lua_State *L) {
    struct thread *me = stepping(L);
    if (me->blocked || !lua_isyieldable(L)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    collect_at_first(me->state, L);
    me->suspension = WAITING;
    return lua_yieldk(L, 0, 0, suspend_more);
}

static int await_more(lua_State *L, int status, lua_KContext unused) {
    (void)status, (void)unused;
    return push_brought(L);
}

/* await(from, asked): leaves the step, WAITING for mail of the parent (0) or of a child, if the host was asked and had none, or
** if it is known that there was none when this step began. Gives what `brought` does when the state runs on, nil: it is to
** ask. False where it has asked, and Lua can't suspend what is running. */
static int co_await(lua_State *L) {
    struct thread *me = stepping(L);
    long long from = lua_tointegerx(L, 1, NULL);
    int asked = lua_toboolean(L, 2);
    if (me->blocked || !lua_isyieldable(L) || (!asked && from != me->state->drained)) {
        if (asked) lua_pushboolean(L, 0);
        else lua_pushnil(L);
        return 1;
    }
    collect_at_first(me->state, L);
    me->state->awaited = from;
    me->suspension = WAITING;
    return lua_yieldk(L, 0, 0, await_more);
}

/* Ends the state before the next instruction of L, whatever it is inside of. */
static int co_leave(lua_State *L) {
    struct thread *me = stepping(L);
    end_by(me->state, STOPPED);
    me->pending = 1;
    arm(L);
    return 0;
}

/* Takes the script's main coroutine, which the caller keeps alive, and gives the number that makes a Stepper. */
static int co_adopt(lua_State *L) {
    struct state *st = lua_touserdata(L, FIRST_UPVALUE);
    st->main = lua_tothread(L, 1);
    lua_pushinteger(L, (long long)(intptr_t)st);
    return 1;
}

/* --- The Lua module: `package.loadlib(file, "luspool_open")()` ------------------------------------------------------ */

/* Gives a table of functions; from now on the state's memory is counted. */
__attribute__((visibility("default"))) int luspool_open(lua_State *L) {
    static const struct { const char *name; lua_CFunction function; } functions[] = {
        {"resume", co_resume}, {"wrap", co_wrap}, {"yield", co_yield}, {"close", co_close}, {"suspend", co_suspend},
        {"leave", co_leave}, {"sent", co_sent}, {"await", co_await},
    };
    void *unused;
    if (lua_getallocf(L, &unused) != luaL_alloc) return luaL_error(L, "the state has an allocator of its own");
    struct state *st = calloc(1, sizeof *st);
    if (st == NULL) return luaL_error(L, "not enough memory");
    lua_createtable(L, 0, 16);
    st->home = L;
    st->limit = st->alarm = SIZE_MAX;
    st->used = (size_t)lua_gc(L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB);
    lua_setallocf(L, allocate, st);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcclosure(L, functions[i].function, 0);
        lua_setfield(L, -2, functions[i].name);
    }
    add_patterns(L);
    add_guard(L);
    add_json(L);
    add_codec(L);
    lua_pushlightuserdata(L, st);
    lua_pushcclosure(L, co_adopt, 1);
    lua_setfield(L, -2, "adopt");
    return 1;
}
