/*
** string.find, match, gmatch and gsub, as the reference manual describes them, on a matcher that gives up in time.
**
** Any call of Lua may leave this code by an error, so nothing here is held that only C knows of: what must last lies on
** Lua's stack.
*/

#define _GNU_SOURCE
#include <string.h>

#include "matcher.h"
#include "native.h"

/* Where in the subject a search begins, counted from 0, for the argument of the script's; beyond its end: length + 1. */
static size_t first_place(lua_State *L, int argument, size_t length) {
    long long given = luaL_optinteger(L, argument, 1), size = (long long)length;
    if (given > size) return given - 1 > size ? length + 1 : (size_t)(given - 1);
    if (given > 0) return (size_t)(given - 1);
    return given == 0 || given < -size ? 0 : (size_t)(size + given);
}

/* --- Captures ----------------------------------------------------------------------------------------------------- */

/* Pushes capture `index` of the match [s, e): the whole match where a pattern without captures is asked for the first. */
static void push_capture(struct matcher *m, int index, const char *s, const char *e) {
    if (index >= m->level) {
        if (index != 0) luaL_error(m->L, "invalid capture index %%%d", index + 1);
        lua_pushlstring(m->L, s, (size_t)(e - s));
        return;
    }
    uint32_t bit = (uint32_t)1 << index;
    const char *start = m->captures[index].start;
    if (m->unfinished & bit) luaL_error(m->L, "unfinished capture");
    if (m->positions & bit) lua_pushinteger(m->L, start - m->begin + 1);
    else lua_pushlstring(m->L, start, (size_t)(m->captures[index].end - start));
}

static int push_captures(struct matcher *m) {
    luaL_checkstack(m->L, m->level, "too many captures");
    for (int i = 0; i < m->level; i++) push_capture(m, i, NULL, NULL);
    return m->level;
}

static int push_captures_or_match(struct matcher *m, const char *s) {
    if (m->level > 0) return push_captures(m);
    lua_pushlstring(m->L, s, (size_t)(m->match_end - s));
    return 1;
}

/* --- find and match ----------------------------------------------------------------------------------------------- */

static int has_specials(const char *pattern, size_t length) {
    static const char special[256] = {['^'] = 1, ['$'] = 1, ['*'] = 1, ['+'] = 1, ['?'] = 1,
                                      ['.'] = 1, ['('] = 1, ['['] = 1, ['%'] = 1, ['-'] = 1};
    for (size_t i = 0; i < length; i++) if (special[(unsigned char)pattern[i]]) return 1;
    return 0;
}

/* memmem takes linear time, and some to get ready, which short texts don't repay: the first places are tried before. */
static const char *find_text(const char *from, size_t length, const char *text, size_t size) {
    if (size == 0) return from;
    for (int tries = 8; tries > 0 && length >= size; tries--) {
        const char *place = memchr(from, *text, length - size + 1);
        if (place == NULL || memcmp(place, text, size) == 0) return place;
        length -= (size_t)(place + 1 - from);
        from = place + 1;
    }
    return length < size ? NULL : memmem(from, length, text, size);
}

static int push_plain(lua_State *L, const char *subject, size_t length, size_t from, const char *text, size_t size) {
    const char *found = find_text(subject + from, length - from, text, size);
    if (found == NULL) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, found - subject + 1);
    lua_pushinteger(L, found - subject + (long long)size);
    return 2;
}

static int find_or_match(lua_State *L, int find) {
    size_t length, pattern_length;
    const char *subject = luaL_checklstring(L, 1, &length);
    const char *pattern = luaL_checklstring(L, 2, &pattern_length);
    size_t from = first_place(L, 3, length);
    if (from > length) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || !has_specials(pattern, pattern_length)))
        return push_plain(L, subject, length, from, pattern, pattern_length);
    struct item items[FEW_ITEMS];
    struct matcher m;
    int anchored = pattern_length > 0 && *pattern == '^';
    start_matcher(&m, L, subject, length, pattern, pattern_length, items, FEW_ITEMS, 0);
    m.anchored = anchored;
    m.next += anchored;
    const char *found = search(&m, subject + from, NULL);
    if (found == NULL) {
        lua_pushnil(L);
        return 1;
    }
    if (!find) return push_captures_or_match(&m, found);
    lua_pushinteger(L, found - subject + 1);
    lua_pushinteger(L, m.match_end - subject);
    return push_captures(&m) + 2;
}

static int string_find(lua_State *L) {
    return find_or_match(L, 1);
}

static int string_match(lua_State *L) {
    return find_or_match(L, 0);
}

/* --- gmatch --------------------------------------------------------------------------------------------------------- */

struct iteration {
    struct matcher matcher;
    const char *from, *last;
    struct item items[];
};

static int gmatch_next(lua_State *L) {
    struct iteration *it = lua_touserdata(L, UPVALUE(1));
    it->matcher.L = L;  /* it may be another coroutine each time */
    if (it->from > it->matcher.end) return 0;
    refill(&it->matcher);
    const char *found = search(&it->matcher, it->from, it->last);
    if (found == NULL) return 0;
    it->from = it->last = it->matcher.match_end;
    return push_captures_or_match(&it->matcher, found);
}

static int string_gmatch(lua_State *L) {
    size_t length, pattern_length;
    const char *subject = luaL_checklstring(L, 1, &length);
    const char *pattern = luaL_checklstring(L, 2, &pattern_length);
    size_t from = first_place(L, 3, length);
    int room = pattern_length < FEW_ITEMS ? (int)pattern_length + 1 : FEW_ITEMS;
    struct iteration *it = lua_newuserdatauv(L, sizeof *it + (size_t)room * sizeof *it->items, 0);
    start_matcher(&it->matcher, L, subject, length, pattern, pattern_length, it->items, room, UPVALUE(4));
    it->from = subject + from;
    it->last = NULL;
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_pushnil(L);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* --- gsub ----------------------------------------------------------------------------------------------------------- */

/* Adds a replacement string to the result, its "%" sequences replaced. */
static void add_expanded(struct matcher *m, luaL_Buffer *result, const char *s) {
    size_t length;
    const char *text = lua_tolstring(m->L, 3, &length), *end = text + length, *percent;
    while ((percent = memchr(text, '%', (size_t)(end - text))) != NULL) {
        luaL_addlstring(result, text, (size_t)(percent - text));
        char what = percent[1];  /* at the end: the zero that ends every string of Lua's */
        if (what == '%') {
            luaL_addlstring(result, percent, 1);
        } else if (what == '0') {
            luaL_addlstring(result, s, (size_t)(m->match_end - s));
        } else if (what >= '1' && what <= '9') {
            push_capture(m, what - '1', s, m->match_end);
            luaL_addvalue(result);
        } else {
            luaL_error(m->L, "invalid use of '%%' in replacement string");
        }
        text = percent + 2;
    }
    luaL_addlstring(result, text, (size_t)(end - text));
}

/* Adds what the script's function or table gives for the match at s. Gives whether that is something new. */
static int add_answer(struct matcher *m, luaL_Buffer *result, const char *s, int type) {
    lua_State *L = m->L;
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_callk(L, push_captures_or_match(m, s), 1, 0, NULL);
        if (is_stopping()) luaL_error(L, "the state is ending");  /* it may have been a slow C function */
    } else {
        push_capture(m, 0, s, m->match_end);
        lua_gettable(L, 3);
    }
    if (!lua_toboolean(L, -1)) {
        lua_settop(L, -2);
        luaL_addlstring(result, s, (size_t)(m->match_end - s));
        return 0;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", lua_typename(L, lua_type(L, -1)));
    luaL_addvalue(result);
    return 1;
}

static int string_gsub(lua_State *L) {
    size_t length, pattern_length;
    const char *subject = luaL_checklstring(L, 1, &length);
    const char *pattern = luaL_checklstring(L, 2, &pattern_length);
    int type = lua_type(L, 3);
    long long most = luaL_optinteger(L, 4, (long long)length + 1), count = 0;
    if (type != LUA_TNUMBER && type != LUA_TSTRING && type != LUA_TFUNCTION && type != LUA_TTABLE)
        luaL_typeerror(L, 3, "string/function/table");
    int anchored = pattern_length > 0 && *pattern == '^', changed = 0;
    struct item items[FEW_ITEMS];
    struct matcher m;
    luaL_Buffer result;
    lua_settop(L, 4);  /* the fourth is of no use any more, and becomes the matcher's box */
    start_matcher(&m, L, subject, length, pattern, pattern_length, items, FEW_ITEMS, 4);
    m.anchored = anchored;
    m.next += anchored;
    luaL_buffinit(L, &result);
    const char *from = subject, *last = NULL, *found;
    while (count < most && (found = search(&m, from, last)) != NULL) {
        count++;
        luaL_addlstring(&result, from, (size_t)(found - from));
        if (type == LUA_TFUNCTION || type == LUA_TTABLE) {
            changed |= add_answer(&m, &result, found, type);
        } else {
            add_expanded(&m, &result, found);
            changed = 1;
        }
        from = last = m.match_end;
        if (anchored) break;
    }
    if (changed) {
        luaL_addlstring(&result, from, (size_t)(m.end - from));
        luaL_pushresult(&result);
    } else {
        lua_pushvalue(L, 1);
    }
    lua_pushinteger(L, count);
    return 2;
}

void add_patterns(lua_State *L) {
    static const struct { const char *name; lua_CFunction function; } functions[] = {
        {"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch}, {"gsub", string_gsub},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcclosure(L, functions[i].function, 0);
        lua_setfield(L, -2, functions[i].name);
    }
}
