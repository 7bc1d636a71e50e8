/*
** Calls of the library that would stay inside one loop of C for as long as they are told to. What is ordinary is done by
** Lua's own function, in the same call, so that it costs a comparison and its errors are what they were. The rest goes
** to sandbox/lua/bounded.lua, which does it in pieces. The same way, formats that would show an address go to
** sandbox/lua/identity.lua.
*/

#include <stdatomic.h>
#include <string.h>

#include "native.h"

/* More steps than this in one go are too many: a tenth of a second, or less. */
enum { MANY = 500000 };

/* Lua's own functions: the same in all states of the process, since they share one library. */
static struct { _Atomic(lua_CFunction) insert, remove, move, concat, sort, rep, format; } own;

#define DO_IT(name) atomic_load_explicit(&own.name, memory_order_relaxed)(L)

static int done(lua_State *L, int status, lua_KContext unused) {
    (void)status, (void)unused;
    return lua_gettop(L);
}

static int otherwise(lua_State *L, const char *name) {
    lua_pushvalue(L, FIRST_UPVALUE);  /* the library's, which takes the name before the arguments */
    lua_pushstring(L, name);
    lua_rotate(L, 1, 2);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, done);
    return done(L, LUA_OK, 0);
}

/* Whether the argument is a table whose length is what a metamethod says. */
static int has_any_length(lua_State *L) {
    if (lua_type(L, 1) != LUA_TTABLE || !lua_getmetatable(L, 1)) return 0;
    lua_pushvalue(L, UPVALUE(2));  /* "__len", which takes twice as long to push from C */
    int type = lua_rawget(L, -2);
    lua_settop(L, -3);
    return type != LUA_TNIL;
}

static int is_integer(lua_State *L, int argument, long long *value) {
    int good;
    *value = lua_tointegerx(L, argument, &good);
    return good;
}

static int is_absent(lua_State *L, int argument) {
    return lua_type(L, argument) <= LUA_TNIL;
}

static int guarded_insert(lua_State *L) {
    long long position;
    if (lua_gettop(L) == 3 && has_any_length(L) && is_integer(L, 2, &position)) return otherwise(L, "insert");
    return DO_IT(insert);
}

static int guarded_remove(lua_State *L) {
    long long position;
    if (lua_gettop(L) >= 2 && has_any_length(L) && is_integer(L, 2, &position)) return otherwise(L, "remove");
    return DO_IT(remove);
}

static int guarded_move(lua_State *L) {
    long long first, last, target, length;
    if (is_integer(L, 2, &first) && is_integer(L, 3, &last) && first <= last &&
        !__builtin_sub_overflow(last, first, &length) && length > MANY &&
        is_integer(L, 4, &target) && length < LLONG_MAX && target <= LLONG_MAX - length &&
        lua_type(L, 1) == LUA_TTABLE && (is_absent(L, 5) || lua_type(L, 5) == LUA_TTABLE)) {
        lua_settop(L, 5);
        return otherwise(L, "move");
    }
    return DO_IT(move);
}

static int guarded_concat(lua_State *L) {
    long long first, last = 0;
    if ((lua_gettop(L) >= 4 && is_integer(L, 4, &last) && last > MANY) || has_any_length(L)) {
        if (lua_type(L, 1) == LUA_TTABLE && (is_absent(L, 2) || lua_isstring(L, 2)) &&
            (is_absent(L, 3) || is_integer(L, 3, &first)) && (is_absent(L, 4) || is_integer(L, 4, &last)))
            return otherwise(L, "concat");
    }
    return DO_IT(concat);
}

static int guarded_sort(lua_State *L) {
    if ((lua_rawlen(L, 1) > MANY || has_any_length(L)) && lua_type(L, 1) == LUA_TTABLE &&
        (is_absent(L, 2) || lua_type(L, 2) == LUA_TFUNCTION))
        return otherwise(L, "sort");
    return DO_IT(sort);
}

/* A string that can't fit is refused before the work, as an error like Lua's own for one beyond its own limit. */
static int guarded_rep(lua_State *L) {
    size_t length, separator = 0;
    long long count;
    if (lua_isstring(L, 1) && is_integer(L, 2, &count) && count > 0) {
        lua_tolstring(L, 1, &length);
        if (lua_isstring(L, 3)) lua_tolstring(L, 3, &separator);
        if (!make_room(L, (double)length * (double)count + (double)separator * (double)(count - 1)))
            return luaL_error(L, "resulting string too large");
    }
    return DO_IT(rep);
}

/* Whether a conversion would show an address: %s of an object, %p of what has one. (What is wrong with a format, Lua says.) */
static int shows_address(lua_State *L) {
    size_t length;
    const char *at = lua_tolstring(L, 1, &length), *end = at + length;
    int argument = 1, count = lua_gettop(L);
    while (argument < count && (at = memchr(at, '%', (size_t)(end - at))) != NULL) {
        if (++at < end && *at == '%') {
            at++;
            continue;
        }
        while (at < end && *at != '\0' && strchr("-+ #.0123456789", *at) != NULL) at++;
        if (at == end) return 0;
        int type = lua_type(L, ++argument);
        if ((*at == 's' && type > LUA_TSTRING) || (*at == 'p' && type > LUA_TNUMBER)) return 1;
        at++;
    }
    return 0;
}

static int guarded_format(lua_State *L) {
    if (lua_type(L, 1) == LUA_TSTRING && shows_address(L)) return otherwise(L, "format");
    return DO_IT(format);
}

/* guard(name, Lua's own function, the library's): the guarded function. */
static int make_guard(lua_State *L) {
    static const struct { const char *name; lua_CFunction function; _Atomic(lua_CFunction) *own; } guards[] = {
        {"insert", guarded_insert, &own.insert}, {"remove", guarded_remove, &own.remove},
        {"move", guarded_move, &own.move},       {"concat", guarded_concat, &own.concat},
        {"sort", guarded_sort, &own.sort},       {"rep", guarded_rep, &own.rep},
        {"format", guarded_format, &own.format},
    };
    const char *name = luaL_checklstring(L, 1, NULL);
    for (size_t i = 0; i < sizeof guards / sizeof *guards; i++) {
        if (strcmp(guards[i].name, name) != 0) continue;
        atomic_store(guards[i].own, lua_tocfunction(L, 2));
        lua_settop(L, 3);
        lua_pushstring(L, "__len");
        lua_pushcclosure(L, guards[i].function, 2);
        return 1;
    }
    return luaL_error(L, "no guard for %s", name);
}

void add_guard(lua_State *L) {
    lua_pushcclosure(L, make_guard, 0);
    lua_setfield(L, -2, "guard");
}
