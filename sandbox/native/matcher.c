/*
** Backtracking over items. A pattern has no alternatives, so whoever gets to an item has passed all items before it, in
** order: which captures exist, and whether they are closed, is known when an item is read, and a way through the pattern
** that is given up leaves nothing to be undone.
**
** Three limits: MAX_DEPTH is Lua's own and counts what Lua counts (an item that its matcher enters a new level for), so
** that the same patterns are "too complex". The choices that are kept to come back to are fewer than these levels, hence
** an array. The steps are ours: without them a pattern of 30 bytes could keep a thread for a century.
*/

#define _GNU_SOURCE
#include "matcher.h"

#include <ctype.h>
#include <string.h>

#include "native.h"

enum kind { CHARACTER, ANY, SET, LITERAL, OPEN, CLOSE, POSITION, BALANCE, FRONTIER, BACK, TAIL };
enum repeat { ONCE, OPTIONAL, GREEDY, GREEDY_SOME, LAZY };

enum { MAX_DEPTH = 200, MAX_ITEMS = INT_MAX / 2 / (int)sizeof(struct item) };
typedef const unsigned char *bytes;

/* --- Character classes ------------------------------------------------------------------------------------------- */

static uint64_t classes[256][4];       /* what "%" and a byte stand for */
static unsigned char is_class[256];    /* whether that is more than the byte itself */

static inline int has(const uint64_t set[4], unsigned char byte) {
    return set[byte >> 6] >> (byte & 63) & 1;
}

static inline void add(uint64_t set[4], unsigned char byte) {
    set[byte >> 6] |= (uint64_t)1 << (byte & 63);
}

static int is_zero(int byte) {
    return byte == 0;
}

void prepare_classes(void) {
    static const struct { unsigned char letter; int (*test)(int); } tests[] = {
        {'a', isalpha}, {'c', iscntrl}, {'d', isdigit}, {'g', isgraph}, {'l', islower}, {'p', ispunct},
        {'s', isspace}, {'u', isupper}, {'w', isalnum}, {'x', isxdigit}, {'z', is_zero},
    };
    memset(classes, 0, sizeof classes);
    for (int byte = 0; byte < 256; byte++) add(classes[byte], (unsigned char)byte);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        unsigned char lower = tests[i].letter, upper = (unsigned char)(lower - 'a' + 'A');
        memset(classes[lower], 0, sizeof *classes);
        memset(classes[upper], 0, sizeof *classes);
        for (int byte = 0; byte < 256; byte++) add(classes[tests[i].test(byte) ? lower : upper], (unsigned char)byte);
        is_class[lower] = is_class[upper] = 1;
    }
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

/* Reads the set whose "[" lies before `from`; gives what follows it. */
static const char *read_set(struct matcher *m, const char *from, uint64_t set[4]) {
    int complement = from < m->pattern_end && *from == '^';
    from += complement;
    const char *close = from;
    do {  /* a "]" in the first place is a member */
        if (close == m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
        if (*close++ == '%' && close < m->pattern_end) close++;
    } while (close == m->pattern_end || *close != ']');
    memset(set, 0, 4 * sizeof *set);
    for (bytes p = (bytes)from, end = (bytes)close; p < end; p++) {
        if (*p == '%') {
            p++;  /* at the end of a range it may be the closing bracket, which then is a member as well */
            for (int i = 0; i < 4; i++) set[i] |= classes[*p][i];
        } else if (p[1] == '-' && p + 2 < end) {
            for (int byte = p[0]; byte <= p[2]; byte++) add(set, (unsigned char)byte);
            p += 2;
        } else {
            add(set, *p);
        }
    }
    if (complement) for (int i = 0; i < 4; i++) set[i] = ~set[i];
    return close + 1;
}

static enum repeat read_repeat(struct matcher *m) {
    if (m->cursor == m->pattern_end) return ONCE;
    switch (*m->cursor) {
    case '?': m->cursor++; return OPTIONAL;
    case '*': m->cursor++; return GREEDY;
    case '+': m->cursor++; return GREEDY_SOME;
    case '-': m->cursor++; return LAZY;
    default: return ONCE;
    }
}

/* What a byte is in a pattern, where it is not part of an item that began before. */
enum { SPECIAL = 1, REPEATS = 2 };
static const unsigned char roles[256] = {
    ['('] = SPECIAL, [')'] = SPECIAL, ['%'] = SPECIAL, ['.'] = SPECIAL, ['['] = SPECIAL, ['$'] = SPECIAL,
    ['?'] = REPEATS, ['*'] = REPEATS, ['+'] = REPEATS, ['-'] = REPEATS,
};

/* Whether the byte at p stands for itself, once. (A text of Lua's has a zero behind it.) */
static inline int is_plain(const char *p) {
    return !(roles[(unsigned char)p[0]] & SPECIAL) && !(roles[(unsigned char)p[1]] & REPEATS);
}

static void read_character(struct matcher *m, struct item *item, unsigned char byte) {
    item->kind = CHARACTER;
    item->first = byte;
    item->repeat = (unsigned char)read_repeat(m);
}

/* Reads an item that begins with "%". */
static void read_escaped(struct matcher *m, struct item *item) {
    const char *p = m->cursor, *end = m->pattern_end;
    if (p == end) luaL_error(m->L, "malformed pattern (ends with '%%')");
    unsigned char byte = (unsigned char)*p++;
    m->cursor = p;
    if (byte == 'b') {
        if (end - p < 2) luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
        item->kind = BALANCE;
        item->first = (unsigned char)p[0];
        item->second = (unsigned char)p[1];
        m->cursor = p + 2;
    } else if (byte == 'f') {
        if (p == end || *p != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
        item->kind = FRONTIER;
        m->cursor = read_set(m, p + 1, item->set);
    } else if (byte >= '0' && byte <= '9') {
        int index = byte - '1';
        if (index < 0 || index >= m->level || m->unfinished >> index & 1)
            luaL_error(m->L, "invalid capture index %%%d", index + 1);
        item->kind = BACK;
        item->capture = index;
    } else if (is_class[byte]) {
        item->kind = SET;
        memcpy(item->set, classes[byte], sizeof item->set);
        item->repeat = (unsigned char)read_repeat(m);
    } else {
        read_character(m, item, byte);
    }
}

static void read_open(struct matcher *m, struct item *item) {
    if (m->level == MAX_CAPTURES) luaL_error(m->L, "too many captures");
    int position = m->cursor < m->pattern_end && *m->cursor == ')';
    m->cursor += position;
    item->kind = position ? POSITION : OPEN;
    item->capture = m->level++;
    *(position ? &m->positions : &m->unfinished) |= (uint32_t)1 << item->capture;
}

static void read_close(struct matcher *m, struct item *item) {
    if (m->unfinished == 0) luaL_error(m->L, "invalid pattern capture");
    item->kind = CLOSE;
    item->capture = 31 - __builtin_clz(m->unfinished);  /* the innermost */
    m->unfinished &= ~((uint32_t)1 << item->capture);
}

/* Makes room for more items. The old ones are left to the collector, or with whoever gave them. */
static void grow(struct matcher *m) {
    if (m->room > MAX_ITEMS / 4) luaL_error(m->L, "pattern too complex");
    struct item *items = lua_newuserdatauv(m->L, (size_t)m->room * 4 * sizeof *items, 0);
    memcpy(items, m->items, (size_t)m->read * sizeof *items);
    if (m->box) {
        lua_copy(m->L, -1, m->box);
        lua_settop(m->L, -2);
    }
    m->items = items;
    m->room *= 4;
}

/* Reads one more item. There must be one. */
static void read_item(struct matcher *m) {
    if (m->read == m->room) grow(m);
    struct item *item = &m->items[m->read];
    const char *p = m->next;
    item->repeat = ONCE;
    if (is_plain(p)) {
        const char *from = p;
        do p++; while (p < m->pattern_end && is_plain(p));
        item->kind = p - from == 1 ? CHARACTER : LITERAL;
        item->first = (unsigned char)*from;
        item->literal.text = from;
        item->literal.length = (size_t)(p - from);
        m->cursor = p;
    } else {
        m->cursor = p + 1;
        if (*p == '%') read_escaped(m, item);
        else if (*p == '(') read_open(m, item);
        else if (*p == ')') read_close(m, item);
        else if (*p == '$' && m->cursor == m->pattern_end) item->kind = TAIL;
        else if (*p == '.') item->kind = ANY, item->repeat = (unsigned char)read_repeat(m);
        else if (*p == '[') {
            m->cursor = read_set(m, m->cursor, item->set);
            item->kind = SET;
            item->repeat = (unsigned char)read_repeat(m);
        } else {
            read_character(m, item, (unsigned char)*p);
        }
    }
    m->next = m->cursor;
    m->read++;
}

/* --- Matching ------------------------------------------------------------------------------------------------------ */

/* A portion of steps is used up, and more may be. */
static void refuel(struct matcher *m) {
    if (is_stopping()) luaL_error(m->L, "the state is ending");
    m->budget += m->fuel;
    if (m->budget < 0) {
        static const int shown = 30;
        size_t length = (size_t)(m->pattern_end - m->pattern);
        lua_pushlstring(m->L, m->pattern, length > (size_t)shown ? (size_t)shown : length);
        luaL_error(m->L, "pattern matching takes too long (pattern '%s%s' on %I bytes)", lua_tolstring(m->L, -1, NULL),
                   length > (size_t)shown ? "..." : "", (long long)(m->end - m->begin));
    }
    m->fuel = m->budget < PORTION ? m->budget : PORTION;
    m->budget -= m->fuel;
}

static inline void spend(struct matcher *m, ptrdiff_t steps) {
    if ((m->fuel -= steps) < 0) refuel(m);
}

/* Whether an item that stands for one byte stands for this one. */
static inline int accepts(const struct item *item, unsigned char byte) {
    return item->kind == CHARACTER ? byte == item->first : item->kind == ANY || has(item->set, byte);
}

/* The end of the longest run of bytes from s on that the item stands for. */
static const char *run_end(struct matcher *m, const struct item *item, const char *s) {
    const char *from = s, *end = m->end;
    if (item->kind == ANY) return end;
    if (item->kind == SET) while (s < end && has(item->set, (unsigned char)*s)) s++;
    else while (s < end && (unsigned char)*s == item->first) s++;
    spend(m, s - from);
    return s;
}

/* The end of the text in balance from s on, or NULL. */
static const char *balance_end(struct matcher *m, const struct item *item, const char *s) {
    if (s == m->end || (unsigned char)*s != item->first) return NULL;
    const char *from = s;
    size_t open = 1;
    while (++s < m->end) {
        unsigned char byte = (unsigned char)*s;
        if (byte == item->second) {
            if (--open == 0) break;
        } else if (byte == item->first) {
            open++;
        }
    }
    spend(m, s - from);
    return s < m->end ? s + 1 : NULL;
}

static int at_frontier(const struct matcher *m, const struct item *item, const char *s) {
    unsigned char before = s == m->begin ? 0 : (unsigned char)s[-1];
    unsigned char after = s == m->end ? 0 : (unsigned char)*s;
    return !has(item->set, before) && has(item->set, after);
}

/* The end of `length` bytes of text at s, or NULL. */
static const char *text_end(struct matcher *m, const char *s, const char *text, size_t length) {
    if ((size_t)(m->end - s) < length) return NULL;
    spend(m, (ptrdiff_t)(length / 16));
    return memcmp(s, text, length) == 0 ? s + length : NULL;
}

/* A place to come back to. */
struct choice {
    int item, depth;
    const char *at;     /* where the items behind it were tried last */
    const char *least;  /* GREEDY: the shortest run that is allowed ends here */
};

static const char *match_here(struct matcher *m, const char *s) {
    struct choice choices[MAX_DEPTH], *top = choices;
    int i = 0, depth = 1;
    for (;;) {
        if (i == m->read) {
            if (m->next == m->pattern_end) return s;
            read_item(m);
        }
        const struct item *item = &m->items[i];
        spend(m, 1);
        switch (item->kind) {
        case TAIL:
            if (s != m->end) break;
            i++;
            continue;
        case OPEN:
            m->captures[item->capture].start = s;
            goto deeper;
        case CLOSE:
            m->captures[item->capture].end = s;
            goto deeper;
        case POSITION:
            m->captures[item->capture].start = s;
        deeper:
            if (depth++ == MAX_DEPTH) luaL_error(m->L, "pattern too complex");
            i++;
            continue;
        case FRONTIER:
            if (!at_frontier(m, item, s)) break;
            i++;
            continue;
        case BALANCE: {
            const char *end = balance_end(m, item, s);
            if (end == NULL) break;
            s = end, i++;
            continue;
        }
        case BACK: {
            if (m->positions >> item->capture & 1) break;
            const char *start = m->captures[item->capture].start;
            const char *end = text_end(m, s, start, (size_t)(m->captures[item->capture].end - start));
            if (end == NULL) break;
            s = end, i++;
            continue;
        }
        case LITERAL: {
            const char *end = text_end(m, s, item->literal.text, item->literal.length);
            if (end == NULL) break;
            s = end, i++;
            continue;
        }
        default:  /* one byte, or a run of them */
            if (s == m->end || !accepts(item, (unsigned char)*s)) {
                if (item->repeat == ONCE || item->repeat == GREEDY_SOME) break;
                i++;
                continue;
            }
            if (item->repeat == ONCE) {
                s++, i++;
                continue;
            }
            if (depth == MAX_DEPTH) luaL_error(m->L, "pattern too complex");
            *top = (struct choice){i, ++depth, s, s};
            if (item->repeat == OPTIONAL) {
                s++;
            } else if (item->repeat != LAZY) {
                top->least = s + (item->repeat == GREEDY_SOME);
                top->at = s = run_end(m, item, s + 1);
            }
            top++, i++;
            continue;
        }
        /* It does not go on from here: back to the last choice that has something left. */
        for (;; top--) {
            if (top == choices) return NULL;
            struct choice *last = top - 1;
            item = &m->items[last->item];
            i = last->item + 1, depth = last->depth;
            spend(m, 1);
            if (item->repeat == OPTIONAL) {
                s = last->at, depth--, top--;
                break;
            }
            if (item->repeat == LAZY) {
                if (last->at == m->end || !accepts(item, (unsigned char)*last->at)) continue;
                s = ++last->at;
                break;
            }
            if (last->at > last->least) {
                s = --last->at;
                break;
            }
        }
    }
}

/* The first place from s on where the first item that takes a byte can match; NULL if there is none. */
static const char *skip(struct matcher *m, const char *s) {
    int i = 0;
    for (;; i++) {
        if (i == m->read) {
            if (m->next == m->pattern_end) return s;
            read_item(m);
        }
        if (m->items[i].kind != OPEN && m->items[i].kind != POSITION) break;
    }
    const struct item *item = &m->items[i];
    if (item->repeat != ONCE && item->repeat != GREEDY_SOME) return s;
    const char *from = s;
    switch (item->kind) {
    case CHARACTER: case LITERAL: case BALANCE:
        if (s < m->end && (unsigned char)*s == item->first) return s;
        s = memchr(s, item->first, (size_t)(m->end - s));
        spend(m, ((s ? s : m->end) - from) / 16);
        return s;
    case SET:
        while (s < m->end && !has(item->set, (unsigned char)*s)) s++;
        spend(m, s - from);
        return s < m->end ? s : NULL;
    default:
        return s;
    }
}

const char *search(struct matcher *m, const char *from, const char *last) {
    /* The most frequent reason for no match, seen before anything is read: it begins with another byte. */
    if (m->anchored && m->next < m->pattern_end && is_plain(m->next) && (from == m->end || *from != *m->next))
        return NULL;
    for (const char *s = from;; s++) {
        if (!m->anchored && (s = skip(m, s)) == NULL) return NULL;
        const char *end = match_here(m, s);
        if (end != NULL && end != last) {
            m->match_end = end;
            return s;
        }
        if (s == m->end || m->anchored) return NULL;
    }
}
