/*
** Runs of plain values in JSON, for json_decode.lua and json_encode.lua: numbers, words, and strings; in writing, also small
** tables of these. What is not plain, or wrong, ends a run and is left to Lua, which also has the words for errors. A run is
** bounded, as C can't be interrupted.
**
** Any call of Lua may leave this code by an error, so nothing here is held that only C knows of.
*/

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"

enum {
    MOST_VALUES = 4096,   /* of a run */
    MOST_KEYS = 100000,   /* looked at */
    MOST_BYTES = 1 << 20, /* read or written, after which a run ends with the next value */
    MOST_ESCAPED = 1024,  /* bytes of a string with escapes; longer ones are rare, and Lua's affair */
    MOST_DIGITS = 18,     /* of a number that surely is an integer of Lua's */
    MOST_LEVELS = 8,      /* of tables inside each other that are written at once */
    MOST_MEMBERS = 64,    /* of an object among these; they are sorted by insertion */
    NUMBER_ROOM = 64      /* bytes that take any number as text */
};

/* --- Reading: `end` is where Lua has put a zero byte -------------------------------------------------------------- */

static const char *skip_space(const char *at) {
    while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') at++;
    return at;
}

/* The number of four hexadecimal digits; -1 if they are none. */
static int hexadecimal(const char *at) {
    int number = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0) return -1;
        number = number << 4 | digit;
    }
    return number;
}

/* The character that the escape behind a backslash stands for, in UTF-8; moves `*at` behind the escape. NULL: none. */
static char *put_escape(char *to, const char **at) {
    static const char plain[256] = {['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};
    unsigned char c = (unsigned char)**at;
    if (plain[c]) {
        *to = plain[c];
        ++*at;
        return to + 1;
    }
    int code = c == 'u' ? hexadecimal(*at + 1) : -1;
    if (code < 0) return NULL;
    *at += 5;
    if (code >= 0xD800 && code < 0xE000) {
        int low = code < 0xDC00 && (*at)[0] == '\\' && (*at)[1] == 'u' ? hexadecimal(*at + 2) : -1;
        if (low < 0xDC00 || low > 0xDFFF) return NULL;
        *at += 6;
        code = 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF));
    }
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    if (code < 0x800) {
        *to++ = (char)(0xC0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *to++ = (char)(0xE0 | code >> 12);
        } else {
            *to++ = (char)(0xF0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 0x3F));
        }
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
    }
    *to++ = (char)(0x80 | (code & 0x3F));
    return to;
}

/* Each `push` function pushes what begins at `at` and gives the place behind it, or pushes nothing and gives NULL. */

static const char *push_string(lua_State *L, const char *at) {
    const char *from = ++at;
    while (*at != '"' && *at != '\\' && (unsigned char)*at >= ' ') at++;
    if (*at == '"') {
        lua_pushlstring(L, from, (size_t)(at - from));
        return at + 1;
    }
    char text[MOST_ESCAPED];
    if (*at != '\\' || at - from > MOST_ESCAPED) return NULL;
    memcpy(text, from, (size_t)(at - from));
    char *to = text + (at - from);
    while (*at != '"') {
        if (to > text + MOST_ESCAPED - 4) return NULL;
        if (*at == '\\') {
            at++;
            to = put_escape(to, &at);
            if (to == NULL) return NULL;
        } else if ((unsigned char)*at >= ' ') {
            *to++ = *at++;
        } else {
            return NULL;
        }
    }
    lua_pushlstring(L, text, (size_t)(to - text));
    return at + 1;
}

static int is_digit(char c) {
    return c >= '0' && c <= '9';
}

static const char *push_number(lua_State *L, const char *from) {
    const char *at = from + (*from == '-'), *digits = at;
    long long value = 0;
    if (!is_digit(*at)) return NULL;
    if (*at == '0') {
        at++;
    } else {
        for (; is_digit(*at); at++) if (at - digits < MOST_DIGITS) value = 10 * value + (*at - '0');
    }
    if (*at != '.' && (*at | 32) != 'e') {
        if (at - digits > MOST_DIGITS) return NULL;
        lua_pushinteger(L, *from == '-' ? -value : value);
        return at;
    }
    if (*at == '.') {
        if (!is_digit(*++at)) return NULL;
        while (is_digit(*at)) at++;
    }
    if ((*at | 32) == 'e') {
        at++;
        if (*at == '+' || *at == '-') at++;
        if (!is_digit(*at)) return NULL;
        while (is_digit(*at)) at++;
    }
    char *end;
    double number = strtod(from, &end);  /* what Lua itself uses */
    if (end != at) return NULL;
    lua_pushnumber(L, number);
    return at;
}

static const char *push_value(lua_State *L, const char *at) {
    switch (*at) {
    case '"':
        return push_string(L, at);
    case 't':
        if (strncmp(at, "true", 4) != 0) return NULL;
        lua_pushboolean(L, 1);
        return at + 4;
    case 'f':
        if (strncmp(at, "false", 5) != 0) return NULL;
        lua_pushboolean(L, 0);
        return at + 5;
    case 'n':
        if (strncmp(at, "null", 4) != 0) return NULL;
        lua_pushnil(L);
        return at + 4;
    default:
        return push_number(L, at);
    }
}

/* read_values(text, at, array, n): reads elements with a comma behind them, from `at` on, into array[n + 1...]. Gives the new
** n, and where the next element begins. */
static int read_values(lua_State *L) {
    const char *text = luaL_checklstring(L, 1, NULL), *start = text + lua_tointegerx(L, 2, NULL) - 1, *at = start;
    long long n = lua_tointegerx(L, 4, NULL), most = n + MOST_VALUES;
    lua_settop(L, 3);
    while (n < most && at - start < MOST_BYTES) {
        const char *after = push_value(L, at);
        if (after == NULL || *(after = skip_space(after)) != ',') break;
        if (lua_type(L, 4) != LUA_TNIL) lua_rawseti(L, 3, n + 1);  /* else it is a hole */
        lua_settop(L, 3);
        n++;
        at = skip_space(after + 1);
    }
    lua_pushinteger(L, n);
    lua_pushinteger(L, at - text + 1);
    return 2;
}

/* read_members(text, at, object): reads members from `at` on, where the quote of the first key is. Gives where the next
** member begins, and false; or the place behind the object, and true. */
static int read_members(lua_State *L) {
    const char *text = luaL_checklstring(L, 1, NULL), *start = text + lua_tointegerx(L, 2, NULL) - 1, *at = start;
    int is_over = 0;
    lua_settop(L, 3);
    for (int count = 0; !is_over && count < MOST_VALUES && at - start < MOST_BYTES; count++) {
        const char *after = *at == '"' ? push_string(L, at) : NULL;
        if (after != NULL) after = *(after = skip_space(after)) == ':' ? push_value(L, skip_space(after + 1)) : NULL;
        if (after != NULL) after = skip_space(after);
        if (after == NULL || (*after != ',' && *after != '}')) break;
        lua_rawset(L, 3);
        is_over = *after == '}';
        at = is_over ? after + 1 : skip_space(after + 1);
    }
    lua_settop(L, 3);
    lua_pushinteger(L, at - text + 1);
    lua_pushboolean(L, is_over);
    return 2;
}

/* first_control(text): the position of the first control character that is no white space; nothing if there is none. */
static int first_control(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < ' ' && c != '\n' && c != '\r' && c != '\t') {
            lua_pushinteger(L, (long long)i + 1);
            return 1;
        }
    }
    return 0;
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

/* A buffer of Lua's, and before it one of our own: adding to Lua's takes a call, and its part of the stack on top.
**
** A table within a run is written as a whole, or not at all. It has to fit the stage: from there it can be taken back,
** Lua's buffer isn't needed while the table is on the stack, and whatever hangs on it, be it itself, is soon too much. No
** memory is taken meanwhile and no function called, so nothing can change. */
struct output {
    luaL_Buffer buffer;
    lua_State *L;
    size_t written, held;
    int count;      /* of values */
    int is_inside;  /* a table */
    int is_full;    /* something has not fitted, inside a table */
    char stage[8192];
};

static void flush(struct output *out) {
    luaL_addlstring(&out->buffer, out->stage, out->held);
    out->written += out->held;
    out->held = 0;
}

static void put(struct output *out, const char *text, size_t size) {
    if (size > sizeof out->stage - out->held) {
        if (out->is_inside) {
            out->is_full = 1;
            return;
        }
        flush(out);
        if (size > sizeof out->stage) {
            luaL_addlstring(&out->buffer, text, size);
            out->written += size;
            return;
        }
    }
    memcpy(out->stage + out->held, text, size);
    out->held += size;
}

/* Whether it is UTF-8: no surrogate, nothing beyond U+10FFFF, nothing longer than it need be. */
static int is_utf8(const char *text, size_t size) {
    const unsigned char *at = (const unsigned char *)text, *end = at + size;
    while (at < end) {
        unsigned char c = *at++;
        if (c < 0x80) continue;
        int more = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
        if (c < 0xC2 || c > 0xF4 || end - at < more) return 0;
        unsigned char least = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
        unsigned char most = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
        if (*at < least || *at > most) return 0;
        for (at++; --more > 0; at++) if (*at < 0x80 || *at > 0xBF) return 0;
    }
    return 1;
}

static int needs_escape(unsigned char c) {
    return c < ' ' || c == '"' || c == '\\';
}

static void put_string(struct output *out, const char *text, const char *end) {
    static const char names[' '] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    put(out, "\"", 1);
    while (text < end) {
        const char *from = text;
        while (text < end && !needs_escape((unsigned char)*text)) text++;
        put(out, from, (size_t)(text - from));
        if (text == end) break;
        unsigned char c = (unsigned char)*text++;
        if (c >= ' ' || names[c]) {
            char escape[2] = {'\\', c >= ' ' ? (char)c : names[c]};
            put(out, escape, sizeof escape);
        } else {
            char escape[6] = {'\\', 'u', '0', '0', (char)('0' + (c >> 4)), "0123456789abcdef"[c & 15]};
            put(out, escape, sizeof escape);
        }
    }
    put(out, "\"", 1);
}

static void put_integer(struct output *out, long long value) {
    char digits[NUMBER_ROOM], *at = digits + sizeof digits;
    unsigned long long left = value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value;
    do *--at = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (value < 0) *--at = '-';
    put(out, at, (size_t)(digits + sizeof digits - at));
}

/* As Lua itself writes it. */
static void put_float(struct output *out, double value) {
    char text[NUMBER_ROOM];
    if (value - value != 0) {
        put(out, "null", 4);
        return;
    }
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value) snprintf(text, sizeof text, "%.17g", value);
    if (text[strspn(text, "-0123456789")] == '\0') strcat(text, ".0");
    put(out, text, strlen(text));
}

static int put_table(struct output *out, int levels);

/* Pops the value on top of the stack, which a table goes on holding, and writes it: behind a comma, if `is_next`, and behind
** `name`; if it is a table, of so many levels at most. 0, and nothing is written: it is not plain, or too big a table. */
static int put_value(struct output *out, int is_next, const char *name, size_t size, int levels) {
    lua_State *L = out->L;
    int type = lua_type(L, -1), is_true = lua_toboolean(L, -1), is_integer = lua_isinteger(L, -1);
    out->count++;
    if (type == LUA_TTABLE) {
        int top = lua_gettop(L), was_inside = out->is_inside;
        size_t before = out->held;
        out->is_inside = 1;
        if (is_next) put(out, ",", 1);
        put(out, name, size);
        int is_done = put_table(out, levels) && !out->is_full;
        lua_settop(L, top - 1);
        out->is_inside = was_inside;
        out->is_full = 0;
        if (!is_done) out->held = before;
        return is_done;
    }
    long long integer = is_integer ? lua_tointegerx(L, -1, NULL) : 0;
    double number = type == LUA_TNUMBER && !is_integer ? lua_tonumberx(L, -1, NULL) : 0;
    size_t length = 0;
    const char *text = type == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
    lua_settop(L, -2);  /* the buffer's part of the stack must be on top, to add to it */
    if (out->is_inside && length > sizeof out->stage) return 0;
    if (type != LUA_TBOOLEAN && type != LUA_TNUMBER && (text == NULL || !is_utf8(text, length))) return 0;
    if (is_next) put(out, ",", 1);
    put(out, name, size);
    if (text != NULL) put_string(out, text, text + length);
    else if (is_integer) put_integer(out, integer);
    else if (type == LUA_TNUMBER) put_float(out, number);
    else if (is_true) put(out, "true", 4);
    else put(out, "false", 5);
    return 1;
}

/* The two that follow: the table is on the stack, and on it its first key and value. They leave things there. */

/* An array, if its keys come in order. */
static int put_array(struct output *out, int levels) {
    lua_State *L = out->L;
    int table = lua_gettop(L) - 2;
    long long count = 0;
    put(out, "[", 1);
    do {
        if (!lua_isinteger(L, -2) || lua_tointegerx(L, -2, NULL) != count + 1) return 0;
        if (!put_value(out, count > 0, "", 0, levels) || out->is_full) return 0;
        count++;
    } while (lua_next(L, table));
    put(out, "]", 1);
    return 1;
}

struct member {
    const char *name;
    int length, value;  /* `value`: its place on the stack */
};

static int is_before(const struct member *a, const struct member *b) {
    int order = memcmp(a->name, b->name, (size_t)(a->length < b->length ? a->length : b->length));
    return order != 0 ? order < 0 : a->length < b->length;
}

/* An object, if its keys are strings; all of them fit the stage, which bounds the time that comparing them takes. */
static int put_object(struct output *out, int levels) {
    struct member members[MOST_MEMBERS];
    lua_State *L = out->L;
    int table = lua_gettop(L) - 2, count = 0;
    size_t room = sizeof out->stage, length;
    do {
        if (count == MOST_MEMBERS || lua_type(L, -2) != LUA_TSTRING) return 0;
        const char *name = lua_tolstring(L, -2, &length);
        if (length > room || !is_utf8(name, length)) return 0;
        room -= length;
        struct member new = {name, (int)length, lua_gettop(L)};
        int place = count++;
        for (; place > 0 && is_before(&new, &members[place - 1]); place--) members[place] = members[place - 1];
        members[place] = new;
        lua_pushvalue(L, -2);  /* for `next`, which takes it; the key stays */
    } while (lua_next(L, table));
    for (int i = 0; i < count; i++) {
        put(out, i > 0 ? "," : "{", 1);
        put_string(out, members[i].name, members[i].name + members[i].length);
        put(out, ":", 1);
        lua_pushvalue(L, members[i].value);
        if (!put_value(out, 0, "", 0, levels) || out->is_full) return 0;
    }
    put(out, "}", 1);
    return 1;
}

/* The table on top of the stack, on which it leaves things. 0: it has a metatable, or is not as above; or Lua is to go on, as
** looking for the first key of a table may take long. */
static int put_table(struct output *out, int levels) {
    lua_State *L = out->L;
    if (levels <= 0 || is_pause_due() || !lua_checkstack(L, 2 * MOST_MEMBERS + 4) || lua_getmetatable(L, -1)) return 0;
    lua_pushnil(L);
    if (!lua_next(L, -2)) {
        put(out, "[]", 2);
        return 1;
    }
    return lua_type(L, -2) == LUA_TSTRING ? put_object(out, levels - 1) : put_array(out, levels - 1);
}

static void begin(struct output *out, lua_State *L) {
    out->L = L;
    out->written = out->held = 0;
    out->count = out->is_inside = out->is_full = 0;
    luaL_buffinit(L, &out->buffer);
}

/* Whether one more value may be added; what is held leaves room for a table then. */
static int goes_on(struct output *out) {
    if (out->held > sizeof out->stage / 2) flush(out);
    return out->count < MOST_VALUES && out->written < MOST_BYTES;
}

static int levels_of(lua_State *L, int argument) {
    long long levels = lua_tointegerx(L, argument, NULL);
    return levels < MOST_LEVELS ? (int)levels : MOST_LEVELS;
}

static int end_run(struct output *out, long long next) {
    flush(out);
    luaL_pushresult(&out->buffer);
    lua_pushinteger(out->L, next);
    return 2;
}

/* sequence(table, count): how far the keys that `next` gives behind `count` (0: from the first) count on by one; and whether
** the table has no more. */
static int sequence(lua_State *L) {
    long long count = lua_tointegerx(L, 2, NULL), most = count + MOST_KEYS;
    int is_more = 1;
    lua_settop(L, 1);
    if (count > 0) lua_pushinteger(L, count);
    else lua_pushnil(L);
    while (count < most && (is_more = lua_next(L, 1))) {
        if (!lua_isinteger(L, 2) || lua_tointegerx(L, 2, NULL) != count + 1) break;
        count++;
        lua_settop(L, 2);
    }
    lua_pushinteger(L, count);
    lua_pushboolean(L, !is_more);
    return 2;
}

/* write_values(array, from, to, levels): the elements with commas between them, up to the first that is not plain, and its
** index. `levels`: how many tables may lie inside each other. */
static int write_values(lua_State *L) {
    long long from = lua_tointegerx(L, 2, NULL), to = lua_tointegerx(L, 3, NULL), i = from;
    int levels = levels_of(L, 4);
    struct output out;
    lua_settop(L, 1);
    begin(&out, L);
    for (; i <= to && goes_on(&out); i++) {
        lua_rawgeti(L, 1, i);
        if (!put_value(&out, i > from, "", 0, levels)) break;
    }
    return end_run(&out, i);
}

/* write_members(object, order, i, levels): the members whose keys are order[i], order[i + 2]..., and what is written for these
** keys behind each; with commas between them, up to the first that is not plain, and its place in the order. */
static int write_members(lua_State *L) {
    long long from = lua_tointegerx(L, 3, NULL), to = (long long)lua_rawlen(L, 2), i = from;
    int levels = levels_of(L, 4), is_next = 0;
    struct output out;
    lua_settop(L, 2);
    begin(&out, L);
    for (; i < to && goes_on(&out); i += 2) {
        size_t length;
        lua_rawgeti(L, 2, i + 1);
        const char *name = lua_tolstring(L, -1, &length);  /* a string, which the order holds */
        lua_settop(L, -2);
        lua_rawgeti(L, 2, i);
        lua_rawget(L, 1);
        if (lua_type(L, -1) == LUA_TNIL) {  /* it has gone since */
            lua_settop(L, -2);
            out.count++;
        } else if (put_value(&out, is_next, name, length, levels)) {
            is_next = 1;
        } else {
            break;
        }
    }
    return end_run(&out, i);
}

/* --- The functions, in a table that is made when it is asked for: most states never do ------------------------------- */

static int make_functions(lua_State *L) {
    static const struct { const char *name; lua_CFunction function; } functions[] = {
        {"read_values", read_values},   {"read_members", read_members},   {"first_control", first_control},
        {"sequence", sequence},
        {"write_values", write_values}, {"write_members", write_members},
    };
    lua_createtable(L, 0, sizeof functions / sizeof *functions);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcclosure(L, functions[i].function, 0);
        lua_setfield(L, -2, functions[i].name);
    }
    return 1;
}

void add_json(lua_State *L) {
    lua_pushcclosure(L, make_functions, 0);
    lua_setfield(L, -2, "json");
}
