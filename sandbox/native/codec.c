/*
** Messages of scalars and of tables, at once: what lua/codec.lua, lua/codec_encode.lua and lua/codec_decode.lua do, and the
** same bytes (docs/messages.md). What is large or rare (functions, enums, vectors, tables as keys…), or wrong, is given up
** with nothing done, and Lua begins anew; it also has the words for errors. So is everything once the slice is over, for
** C can't be interrupted.
**
** Writing takes no memory before the last step, so no entry of a weak table goes meanwhile, and no function runs. Reading
** takes some at every step, and any of them may leave this code by an error: nothing here is held that only C knows of.
*/

#define _DEFAULT_SOURCE  /* endian.h */

#include <endian.h>
#include <string.h>

#include "bundle.h"
#include "native.h"

/* The format. */
enum { VERSION = 1, ONE = 0, LIST = 1, HEADER = 12, CHUNK = 120, MOST_IN_HEAD = 15, MOST_SHORT = 255 };
enum code { INT1 = 1, INT2, INT4, INT8, FLOAT, SHORT, LONG, BOOL, NEW, REF, OBJECT, NIL };
static const unsigned char widths[NIL + 1] = {
    [INT1] = 1, [INT2] = 2, [INT4] = 4, [INT8] = 8, [FLOAT] = 8, [SHORT] = 1, [LONG] = 4, [BOOL] = 1, [REF] = 4,
};

enum {
    MOST_TABLES = 2048,       /* of a message: they lie on Lua's stack, which grows with them */
    FEW_TABLES = 12,          /* for which the room on the stack that a function is born with is enough */
    MOST_WRITTEN = 64 << 10,  /* bytes: the buffer is on the C stack */
    MOST_READ = 1 << 20,      /* bytes */
    MOST_KEYS = 16 << 10,     /* bytes of a chunk's keys */
    SPARE = 8                 /* places on Lua's stack, beside tables and values */
};

/* What the functions know, as upvalues. */
enum { OTHERWISE = 1, LARGEST, DEEPEST, SEALED, SPECIAL };

static int done(lua_State *L, int status, lua_KContext unused) {
    (void)status, (void)unused;
    return lua_gettop(L);
}

static int otherwise(lua_State *L, const char *name) {
    lua_pushvalue(L, UPVALUE(OTHERWISE));
    lua_pushstring(L, name);
    lua_rotate(L, 1, 2);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, done);
    return done(L, LUA_OK, 0);
}

/* --- Writing: functions give 0 where they give up ----------------------------------------------------------------- */

/* Where runs are written. Numbers wait until their run is over, as the widest decides. */
struct writer {
    unsigned char *at, *end;
    unsigned char *head;    /* of a run of short strings; it is kept right */
    int code, count;        /* of the run that goes on, INT8 for integers of any width; 0: there is none */
    int64_t waiting[CHUNK];
};

static void start_writer(struct writer *w, unsigned char *room, size_t size) {
    w->at = room;
    w->end = room + size;
    w->code = w->count = 0;
}

static unsigned char *store(unsigned char *at, uint64_t value, int width) {
    value = htole64(value);
    memcpy(at, &value, (size_t)width);
    return at + width;
}

static int narrowest(const int64_t *values, int count) {
    int64_t low = values[0], high = low;
    for (int i = 1; i < count; i++) {
        if (values[i] < low) low = values[i];
        if (values[i] > high) high = values[i];
    }
    if (low >= INT8_MIN && high <= INT8_MAX) return INT1;
    if (low >= INT16_MIN && high <= INT16_MAX) return INT2;
    return low >= INT32_MIN && high <= INT32_MAX ? INT4 : INT8;
}

static int end_run(struct writer *w) {
    int code = w->code, count = w->count;
    w->code = w->count = 0;
    if (code == 0 || code == SHORT) return 1;
    if (code == INT8) code = narrowest(w->waiting, count);
    if (w->end - w->at < 2 + count * widths[code]) return 0;
    unsigned char *at = w->at;
    *at++ = (unsigned char)(code << 4 | (count <= MOST_IN_HEAD ? count : 0));
    if (count > MOST_IN_HEAD) *at++ = (unsigned char)count;
    const int64_t *values = w->waiting;
    switch (widths[code]) {
    case 1: for (int i = 0; i < count; i++) *at++ = (unsigned char)values[i]; break;
    case 2: for (int i = 0; i < count; i++) at = store(at, (uint64_t)values[i], 2); break;
    case 4: for (int i = 0; i < count; i++) at = store(at, (uint64_t)values[i], 4); break;
    case 8: for (int i = 0; i < count; i++) at = store(at, (uint64_t)values[i], 8); break;
    }
    w->at = at;
    return 1;
}

/* Nobody puts more than CHUNK values without end_run. */
static int put_number(struct writer *w, int code, int64_t value) {
    if (w->code != code) {
        if (!end_run(w)) return 0;
        w->code = code;
    }
    w->waiting[w->count++] = value;
    return 1;
}

static int put_string(struct writer *w, const char *text, size_t size) {
    int is_short = size <= MOST_SHORT;
    if ((!is_short || w->code != SHORT) && !end_run(w)) return 0;
    if (size + 5 > (size_t)(w->end - w->at)) return 0;
    if (!is_short) {
        *w->at++ = LONG << 4 | 1;
        w->at = store(w->at, size, 4);
    } else {
        if (w->count == 0) w->head = w->at++;
        w->code = SHORT;
        if (++w->count == MOST_IN_HEAD + 1) {  /* the head grows by the count */
            memmove(w->head + 2, w->head + 1, (size_t)(w->at - w->head - 1));
            w->head[0] = SHORT << 4;
            w->at++;
        }
        if (w->count <= MOST_IN_HEAD) w->head[0] = (unsigned char)(SHORT << 4 | w->count);
        else w->head[1] = (unsigned char)w->count;
        *w->at++ = (unsigned char)size;
    }
    memcpy(w->at, text, size);
    w->at += size;
    return 1;
}

static int put_nil(struct writer *w) {
    if (!end_run(w) || w->at == w->end) return 0;
    *w->at++ = NIL << 4 | 1;
    return 1;
}

static int64_t bits_of(double number) {
    int64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static int put_scalar(struct writer *w, lua_State *L, int index, int type) {
    size_t size;
    switch (type) {
    case LUA_TNIL:
        return put_nil(w);
    case LUA_TBOOLEAN:
        return put_number(w, BOOL, lua_toboolean(L, index));
    case LUA_TNUMBER:
        return lua_isinteger(L, index) ? put_number(w, INT8, lua_tointegerx(L, index, NULL))
                                       : put_number(w, FLOAT, bits_of(lua_tonumberx(L, index, NULL)));
    case LUA_TSTRING: {
        const char *text = lua_tolstring(L, index, &size);
        return put_string(w, text, size);
    }
    default:
        return 0;
    }
}

/* A message being written. The tables lie on Lua's stack in the order of their numbers, which is that of their bodies. */
struct message {
    lua_State *L;
    int base;       /* table number n is at base + n */
    int tables;     /* that have been mentioned */
    int room;       /* for tables, on Lua's stack */
    int is_crowded; /* it was too little */
    int depth;      /* of the tables whose bodies are being written */
    long long most_depth;
    const void *table[MOST_TABLES];   /* by number - 1 */
    uint16_t slots[2 * MOST_TABLES];  /* numbers by address, half full at most; 0: free */
    unsigned int mask;                /* of the slots that are in use */
    struct writer sizes, body, keys;
    unsigned char bytes[HEADER + 9 * MOST_TABLES + MOST_WRITTEN];  /* a size takes 4 bytes at most */
    unsigned char key_bytes[MOST_KEYS];
};

enum { FIRST_SLOTS = 32, SIZES_ROOM = HEADER + 9 * MOST_TABLES };

/* The slot where the table's number is, or belongs. */
static uint16_t *slot_of(struct message *m, const void *table) {
    unsigned int slot = (unsigned int)((uint64_t)(uintptr_t)table * 0x9E3779B97F4A7C15 >> 40) & m->mask;
    while (m->slots[slot] != 0 && m->table[m->slots[slot] - 1] != table) slot = (slot + 1) & m->mask;
    return &m->slots[slot];
}

static void use_slots(struct message *m, unsigned int count) {
    m->mask = count - 1;
    memset(m->slots, 0, count * sizeof *m->slots);
    for (int i = 0; i < m->tables; i++) *slot_of(m, m->table[i]) = (uint16_t)(i + 1);
}

/* Whether the table on top of the stack is a value of a private kind. */
static int is_private(lua_State *L) {
    if (!lua_getmetatable(L, -1)) return 0;
    lua_pushvalue(L, -1);
    int type = lua_rawget(L, UPVALUE(SEALED));
    if (type == LUA_TNIL) {
        lua_settop(L, -2);
        lua_pushvalue(L, -1);
        type = lua_rawget(L, UPVALUE(SPECIAL));
    }
    lua_settop(L, -3);
    return type != LUA_TNIL;
}

/* As put_value, for a table. One that is new goes below what is under it, to the others. */
static int put_mention(struct message *m) {
    lua_State *L = m->L;
    const void *table = lua_topointer(L, -1);
    uint16_t *slot = slot_of(m, table);
    if (*slot != 0) {
        lua_settop(L, -2);
        return put_number(&m->body, REF, *slot);
    }
    if (m->depth >= m->most_depth || is_private(L)) return 0;
    if (m->tables == m->room) {
        m->is_crowded = 1;
        return 0;
    }
    m->table[m->tables++] = table;
    if (2 * (unsigned int)m->tables > m->mask + 1) use_slots(m, 2 * (m->mask + 1));
    else *slot = (uint16_t)m->tables;
    lua_rotate(L, -2, 1);
    return put_number(&m->body, NEW, 0);
}

/* Takes the value on top of the stack, under which there is something that stays on top. */
static int put_value(struct message *m) {
    int type = lua_type(m->L, -1);
    if (type == LUA_TTABLE) return put_mention(m);
    int is_done = put_scalar(&m->body, m->L, -1, type);
    lua_settop(m->L, -2);
    return is_done;
}

/* Keys come behind the values of their chunk. */
static int end_chunk(struct message *m) {
    if (!end_run(&m->body) || !end_run(&m->keys)) return 0;
    size_t size = (size_t)(m->keys.at - m->key_bytes);
    if ((size_t)(m->body.end - m->body.at) < size) return 0;
    memcpy(m->body.at, m->key_bytes, size);
    m->body.at += size;
    m->keys.at = m->key_bytes;
    return 1;
}

static int put_body(struct message *m, int table) {
    lua_State *L = m->L;
    long long length = 0, others = 0;
    int is_more;
    lua_pushnil(L);
    while ((is_more = lua_next(L, table)) && lua_isinteger(L, -2) && lua_tointegerx(L, -2, NULL) == length + 1) {
        if (!put_value(m)) return 0;
        if (++length % CHUNK == 0 && (is_pause_due() || !end_run(&m->body))) return 0;
    }
    if (!end_run(&m->body)) return 0;
    while (is_more) {
        if (is_pause_due() || !put_scalar(&m->keys, L, -2, lua_type(L, -2)) || !put_value(m)) return 0;
        is_more = lua_next(L, table);
        if ((++others % CHUNK == 0 || !is_more) && !end_chunk(m)) return 0;
    }
    if (!put_number(&m->sizes, INT8, length) || !put_number(&m->sizes, INT8, others)) return 0;
    return m->sizes.count < CHUNK || end_run(&m->sizes);
}

/* Writes stack[first...] and what hangs on them, if bodies take no more than `most` bytes. Whatever it gives, there are things
** left on the stack. */
static int put_message(struct message *m, int first, int room, int most) {
    lua_State *L = m->L;
    int last = lua_gettop(L), level_end;
    m->base = last;
    m->tables = m->is_crowded = m->depth = 0;
    m->room = room;
    use_slots(m, FIRST_SLOTS);
    start_writer(&m->sizes, m->bytes + HEADER, SIZES_ROOM - HEADER);
    start_writer(&m->body, m->bytes + SIZES_ROOM, (size_t)most);
    start_writer(&m->keys, m->key_bytes, MOST_KEYS);
    lua_pushnil(L);  /* where there is a key later */
    for (int i = first; i <= last; i++) {
        lua_pushvalue(L, i);
        if (!put_value(m) || ((i - first) % CHUNK == CHUNK - 1 && !end_run(&m->body))) return 0;
    }
    lua_settop(L, -2);
    if (!end_run(&m->body)) return 0;
    level_end = m->tables;
    m->depth = 1;
    for (int number = 1; number <= m->tables; number++) {
        if (number > level_end) {
            m->depth++;
            level_end = m->tables;
        }
        if (is_pause_due() || !put_body(m, m->base + number)) return 0;
    }
    return end_run(&m->sizes);
}

/* Makes the message of stack[first...] in `m`, or gives NULL. */
static const char *make_message(struct message *m, lua_State *L, int first, int most, size_t *size) {
    int top = lua_gettop(L);
    m->L = L;
    m->most_depth = lua_tointegerx(L, UPVALUE(DEEPEST), NULL);
    int is_done = put_message(m, first, FEW_TABLES, most);
    if (!is_done && m->is_crowded && lua_checkstack(L, MOST_TABLES + SPARE)) {
        lua_settop(L, top);
        is_done = put_message(m, first, MOST_TABLES, most);
    }
    lua_settop(L, top);
    size_t head = (size_t)(m->sizes.at - m->bytes);
    *size = head + (size_t)(m->body.at - (m->bytes + SIZES_ROOM));
    if (!is_done || (long long)*size > lua_tointegerx(L, UPVALUE(LARGEST), NULL)) return NULL;
    unsigned char *start = m->bytes + SIZES_ROOM - head;
    memmove(start + HEADER, m->bytes + HEADER, head - HEADER);
    start[0] = VERSION;
    start[1] = LIST;
    store(start + 2, (uint64_t)(top - first + 1), 2);
    store(start + 4, (uint64_t)m->tables, 4);
    store(start + 8, 0, 4);
    return (const char *)start;
}

/* Pushes the message of stack[first...], or gives 0. Apart from what calls Lua, as its frame is large. */
static __attribute__((noinline)) int push_message(lua_State *L, int first) {
    struct message m;
    size_t size;
    const char *bytes = make_message(&m, L, first, MOST_WRITTEN, &size);
    if (bytes != NULL) lua_pushlstring(L, bytes, size);
    return bytes != NULL;
}

/* The message of a scalar: bytes, and after them the text of a string that is long. */
struct scalar {
    unsigned char bytes[7 + MOST_SHORT];
    size_t size, text_size;
    const char *text;
};

/* Makes the message of a scalar at the index, or gives 0. */
static int make_scalar(struct scalar *s, lua_State *L, int index) {
    unsigned char *at = s->bytes + 3;
    long long largest = lua_tointegerx(L, UPVALUE(LARGEST), NULL);
    const char *text;
    size_t size;
    s->bytes[0] = VERSION;
    s->bytes[1] = ONE;
    s->text_size = 0;
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        s->bytes[2] = BOOL << 4 | 1;
        *at++ = (unsigned char)lua_toboolean(L, index);
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            s->bytes[2] = INT8 << 4 | 1;
            at = store(at, (uint64_t)lua_tointegerx(L, index, NULL), 8);
        } else {
            s->bytes[2] = FLOAT << 4 | 1;
            at = store(at, (uint64_t)bits_of(lua_tonumberx(L, index, NULL)), 8);
        }
        break;
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &size);
        if ((long long)size > largest - 7) return 0;  /* nearly too large is rare enough for Lua */
        if (size > MOST_SHORT) {
            s->bytes[2] = LONG << 4 | 1;
            at = store(at, size, 4);
            s->text = text;
            s->text_size = size;
            break;
        }
        s->bytes[2] = SHORT << 4 | 1;
        *at++ = (unsigned char)size;
        memcpy(at, text, size);
        at += size;
        break;
    default:
        return 0;
    }
    s->size = (size_t)(at - s->bytes);
    return (long long)s->size <= largest;
}

static int push_scalar(lua_State *L, int index) {
    struct scalar s;
    if (!make_scalar(&s, L, index)) return 0;
    lua_pushlstring(L, (const char *)s.bytes, s.size);
    if (s.text_size != 0) {
        lua_pushvalue(L, index);
        lua_concat(L, 2);  /* copies it once */
    }
    return 1;
}

static int encode_one(lua_State *L) {
    lua_settop(L, 2);
    return push_scalar(L, 2) || push_message(L, 2) ? 1 : otherwise(L, "encode_one");
}

static int gather_scalar(lua_State *L, int index) {
    struct scalar s;
    char *room = make_scalar(&s, L, index) ? gather(L, s.size + s.text_size) : NULL;
    if (room == NULL) return 0;
    memcpy(room, s.bytes, s.size);
    if (s.text_size != 0) memcpy(room + s.size, s.text, s.text_size);
    return 1;
}

static __attribute__((noinline)) int gather_message(lua_State *L, int first) {
    struct message m;
    size_t size;
    const char *bytes = make_message(&m, L, first, LARGEST_GATHERED, &size);
    char *room = bytes != NULL ? gather(L, size) : NULL;
    if (room != NULL) memcpy(room, bytes, size);
    return room != NULL;
}

/* A long string goes to the host from where it lies: for the host to take it from a message in Lua, it is copied twice. */
static enum sent send_text(lua_State *L, long long to) {
    struct scalar s;
    if (lua_rawlen(L, 2) <= LARGEST_GATHERED || !make_scalar(&s, L, 2)) return NOT_SENT;
    return transmit(L, to, s.bytes, s.size, s.text, s.text_size);
}

/* post(to, value, ...): true if a message of the value was put to others that go out together (bundle.c), or sent. False: there
** is no room, wait and ask again. nil: nothing has been done, as where there is no value. */
static int post(lua_State *L) {
    if (lua_gettop(L) < 2) return 0;
    lua_settop(L, 2);
    long long to = lua_tointegerx(L, 1, NULL);
    int type = lua_type(L, 2);
    int is_done = may_gather(L, to) &&
                  (type == LUA_TTABLE || type == LUA_TNIL ? gather_message(L, 2) : gather_scalar(L, 2));
    enum sent sent = is_done ? SENT : type == LUA_TSTRING ? send_text(L, to) : NOT_SENT;
    if (sent == NOT_SENT) lua_pushnil(L);
    else lua_pushboolean(L, sent == SENT);
    return 1;
}

static int encode(lua_State *L) {
    int count = lua_gettop(L) - 1;
    return count <= UINT16_MAX && push_message(L, 2) ? 1 : otherwise(L, "encode");
}

/* --- Reading: functions give 0 where they give up ----------------------------------------------------------------- */

struct reader {
    lua_State *L;
    const unsigned char *at, *end;
    int code, count;        /* of the run that goes on: what is left of it */
    int tables, mentioned;  /* table number n is at 1 + n on the stack */
};

static uint64_t load(const unsigned char *at, int width) {
    uint64_t value = 0;
    memcpy(&value, at, (size_t)width);
    return le64toh(value);
}

static long long left_of(const struct reader *in) {
    return in->end - in->at;
}

/* Reads the head of a run of at most so many values. Their least width has been compared with what is left then. */
static int begin_run(struct reader *in, long long most, int least_code, int most_code) {
    if (in->at == in->end) return 0;
    in->code = *in->at >> 4;
    in->count = *in->at++ & 15;
    if (in->count == 0) {
        if (in->at == in->end || *in->at <= MOST_IN_HEAD) return 0;
        in->count = *in->at++;
    }
    return in->code >= least_code && in->code <= most_code && in->count <= most &&
           in->count * widths[in->code] <= left_of(in);
}

static long long read_integer(struct reader *in) {
    const unsigned char *at = in->at;
    in->at += widths[in->code];
    switch (in->code) {
    case INT1: return (int8_t)*at;
    case INT2: return (int16_t)load(at, 2);
    case INT4: return (int32_t)load(at, 4);
    default: return (int64_t)load(at, 8);
    }
}

static int push_string(struct reader *in, int width) {
    if (left_of(in) < width) return 0;
    uint64_t size = load(in->at, width);
    in->at += width;
    if (size > (uint64_t)left_of(in)) return 0;
    lua_pushlstring(in->L, (const char *)in->at, size);
    in->at += size;
    return 1;
}

/* Pushes the next value of the run. */
static int push_value(struct reader *in) {
    lua_State *L = in->L;
    uint64_t bits;
    double number;
    switch (in->code) {
    case INT1: case INT2: case INT4: case INT8:
        lua_pushinteger(L, read_integer(in));
        return 1;
    case FLOAT:
        bits = load(in->at, 8);
        in->at += 8;
        memcpy(&number, &bits, sizeof number);
        lua_pushnumber(L, number);
        return 1;
    case SHORT:
        return push_string(in, 1);
    case LONG:
        return push_string(in, 4);
    case BOOL:
        if (*in->at > 1) return 0;
        lua_pushboolean(L, *in->at++);
        return 1;
    case NEW:
        if (in->mentioned == in->tables) return 0;
        lua_pushvalue(L, 1 + ++in->mentioned);
        return 1;
    case REF:
        bits = load(in->at, 4);
        in->at += 4;
        if (bits == 0 || bits > (uint64_t)in->mentioned) return 0;
        lua_pushvalue(L, 1 + (int)bits);
        return 1;
    case NIL:
        lua_pushnil(L);
        return in->count == 1;
    default:
        return 0;
    }
}

static int push_values(struct reader *in, long long count, int most_code) {
    while (count > 0) {
        if (!begin_run(in, count, INT1, most_code)) return 0;
        count -= in->count;
        for (; in->count > 0; in->count--) if (!push_value(in)) return 0;
    }
    return 1;
}

static int read_sequence(struct reader *in, int table, long long length) {
    for (long long i = 0; i < length;) {
        if (is_pause_due() || !begin_run(in, length - i, INT1, REF)) return 0;
        for (; in->count > 0; in->count--) {
            if (!push_value(in)) return 0;
            lua_rawseti(in->L, table, ++i);
        }
    }
    return 1;
}

static int is_nan(lua_State *L) {
    double number = lua_tonumberx(L, -1, NULL);
    return number != number;
}

/* The keys may be such that Lua's table takes long for each. */
static int read_others(struct reader *in, int table, long long others) {
    lua_State *L = in->L;
    int top = lua_gettop(L);
    while (others > 0) {
        int count = others < CHUNK ? (int)others : CHUNK, next = top + 1;
        if (!push_values(in, count, REF)) return 0;
        while (next <= top + count) {
            if (!begin_run(in, top + count - next + 1, INT1, REF)) return 0;
            for (; in->count > 0; in->count--) {
                if (is_pause_due() || !push_value(in) || (in->code == FLOAT && is_nan(L))) return 0;
                lua_pushvalue(L, next++);
                lua_rawset(L, table);
            }
        }
        lua_settop(L, top);
        others -= count;
    }
    return 1;
}

/* Reads two sizes for each table and pushes tables of these sizes; as many values are mentioned at the top. */
static int push_tables(struct reader *in, uint32_t *sizes, long long values) {
    int count = 2 * in->tables;
    if (count > left_of(in)) return 0;
    for (int i = 0; i < count;) {
        if (!begin_run(in, count - i, INT1, INT8)) return 0;
        for (; in->count > 0; in->count--) {
            long long size = read_integer(in);
            if (size < 0 || size > left_of(in)) return 0;
            sizes[i++] = (uint32_t)size;
        }
    }
    /* Each value and each key takes a byte or more, but for the one mention of each table, which had two here. */
    long long room = left_of(in) + in->tables - values;
    for (int i = 0; i < count; i += 2) room -= sizes[i] + 2LL * sizes[i + 1];
    if (room < 0 || !lua_checkstack(in->L, in->tables + (int)values + CHUNK + SPARE)) return 0;
    for (int i = 0; i < count; i += 2) lua_createtable(in->L, (int)sizes[i], (int)sizes[i + 1]);
    return 1;
}

/* Reads a list from behind its form on and pushes its values, or gives -1. */
static __attribute__((noinline)) int read_list(struct reader *in) {
    uint32_t sizes[2 * MOST_TABLES];
    if (left_of(in) < HEADER - 2) return -1;
    long long values = (long long)load(in->at, 2), tables = (long long)load(in->at + 2, 4);
    uint64_t definitions = load(in->at + 6, 4);
    if (definitions != 0 || tables > MOST_TABLES) return -1;
    in->at += HEADER - 2;
    in->tables = (int)tables;
    if (!push_tables(in, sizes, values) || !push_values(in, values, NIL)) return -1;
    for (int i = 0; i < in->tables; i++) {
        if (!read_sequence(in, 2 + i, sizes[2 * i]) || !read_others(in, 2 + i, sizes[2 * i + 1])) return -1;
    }
    return in->mentioned == in->tables && in->at == in->end ? (int)values : -1;
}

static int read_one(struct reader *in) {
    return begin_run(in, 1, INT1, BOOL) && push_value(in) && in->at == in->end ? 1 : -1;
}

/* Pushes the values of a message and gives their number, or -1. There is one thing on the stack, which keeps the bytes. */
static int read_message(lua_State *L, const unsigned char *bytes, size_t size) {
    if (size <= 2 || bytes[0] != VERSION) return -1;
    struct reader in = {.L = L, .at = bytes + 2, .end = bytes + size};
    if (bytes[1] == ONE) return read_one(&in);
    return bytes[1] == LIST && size <= MOST_READ ? read_list(&in) : -1;
}

/* brought(): 0 and the value of the message that the host has brought; its bytes, where that is for Lua to see; or nil. */
int push_brought(lua_State *L) {
    size_t size;
    const char *mail = take_mail(L, &size);
    lua_settop(L, 1);
    if (mail != NULL && read_message(L, (const unsigned char *)mail, size) == 1) {
        lua_pushinteger(L, 0);
        lua_rotate(L, -2, 1);
        return 2;
    }
    lua_settop(L, 1);
    if (mail == NULL) lua_pushnil(L);
    else lua_pushlstring(L, mail, size);
    return 1;
}

static int decode(lua_State *L) {
    size_t size;
    lua_settop(L, 1);
    const char *bytes = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &size) : NULL;
    int count = bytes != NULL ? read_message(L, (const unsigned char *)bytes, size) : -1;
    if (count >= 0) return count;
    lua_settop(L, 1);
    return otherwise(L, "decode");
}

/* take(bundle, at): where the message at this place of a bundle ends, and its value. Nothing, where that is for Lua to see. */
static int take(lua_State *L) {
    size_t size;
    const char *bundle = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &size) : NULL;
    long long at = lua_tointegerx(L, 2, NULL) - 1;
    lua_settop(L, 1);
    if (bundle == NULL || at < 0 || at + LENGTH_SIZE > (long long)size) return 0;
    const unsigned char *message = (const unsigned char *)bundle + at + LENGTH_SIZE;
    size_t length = (size_t)load(message - LENGTH_SIZE, LENGTH_SIZE);
    if (length > size - (size_t)at - LENGTH_SIZE || read_message(L, message, length) != 1) return 0;
    lua_pushinteger(L, at + LENGTH_SIZE + (long long)length + 1);
    lua_rotate(L, -2, 1);
    return 2;
}

/* --- The functions --------------------------------------------------------------------------------------------------- */

/* codec(otherwise, max_bytes, max_depth, sealed, special): what lua/codec.lua gives, of the same things. `otherwise(name, ...)`
** is Lua's function of this name. */
static int make_codec(lua_State *L) {
    static const struct { const char *name; lua_CFunction function; } functions[] = {
        {"encode_one", encode_one}, {"encode", encode}, {"decode", decode}, {"post", post}, {"take", take},
        {"brought", push_brought},
    };
    lua_settop(L, SPECIAL);
    lua_createtable(L, 0, sizeof functions / sizeof *functions);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        for (int upvalue = OTHERWISE; upvalue <= SPECIAL; upvalue++) lua_pushvalue(L, upvalue);
        lua_pushcclosure(L, functions[i].function, SPECIAL);
        lua_setfield(L, -2, functions[i].name);
    }
    return 1;
}

void add_codec(lua_State *L) {
    lua_pushcclosure(L, make_codec, 0);
    lua_setfield(L, -2, "codec");
}
