/*
** Matching Lua patterns within a budget of steps. The functions that scripts see are in patterns.c.
*/

#ifndef LUSPOOL_MATCHER_H
#define LUSPOOL_MATCHER_H

#include "lua55.h"

enum { MAX_CAPTURES = 32, FEW_ITEMS = 32 };

/* One element of a pattern, with what says how often it may be repeated. */
struct item {
    unsigned char kind, repeat;
    unsigned char first, second;  /* the byte of CHARACTER, the two of BALANCE */
    int capture;                  /* of OPEN, CLOSE, POSITION and BACK: its index */
    union {
        uint64_t set[4];          /* SET, FRONTIER: a bit for each byte */
        struct {
            const char *text;
            size_t length;
        } literal;
    };
};

/*
** One pattern on one subject. Items are read from the pattern's text when matching first gets to them: Lua reports a
** malformed pattern only then, so this gives the same errors, and what is never reached costs nothing.
*/
struct matcher {
    lua_State *L;
    const char *begin, *end;          /* the subject */
    const char *pattern, *pattern_end;
    const char *next;                 /* what has not been read of the pattern */
    const char *cursor;               /* used while an item is read, which an error may end: `next` stays right */
    struct item *items;
    int read, room;                   /* items that have been read, and that there is room for */
    int box;                          /* the index on Lua's stack of what keeps a larger array alive; 0: its top */
    int anchored;                     /* only the first place counts */
    int level;                        /* captures that have been read */
    uint32_t unfinished, positions;   /* of these, the ones not yet closed, and those of `()` */
    long long fuel, budget;           /* steps until the next look at the world, and beyond that */
    const char *match_end;            /* where the match that `search` has found ends */
    struct {
        const char *start, *end;
    } captures[MAX_CAPTURES];
};

/* Must have been called once before any of the others. */
void prepare_classes(void);

/* A step takes 1 to 4 ns, so a call on a short text ends within 0.4 s, whatever its pattern. A text of n bytes needs some
** steps for each even if nothing is tried twice, and whoever made it has paid for n already. */
enum { STEPS = 100000000, STEPS_PER_BYTE = 8 };
/* Steps between two looks at whether the state is to be stopped. */
enum { PORTION = 4096 };

/* Gives the steps for one more call. */
static inline void refill(struct matcher *m) {
    m->fuel = PORTION;
    m->budget = STEPS + (m->end - m->begin) * STEPS_PER_BYTE;
}

/*
** `items` has room for `room` (at least 1). The texts must stay on Lua's stack while the matcher is used. `box` is the
** index, there or of an upvalue, where a larger array of items is kept; 0: it is left on the top of the stack.
*/
static inline void start_matcher(struct matcher *m, lua_State *L, const char *subject, size_t length,
                                 const char *pattern, size_t pattern_length, struct item *items, int room, int box) {
    m->L = L;
    m->begin = subject;
    m->end = subject + length;
    m->pattern = m->next = pattern;
    m->pattern_end = pattern + pattern_length;
    m->items = items;
    m->read = 0;
    m->room = room;
    m->box = box;
    m->anchored = 0;
    m->level = 0;
    m->unfinished = m->positions = 0;
    refill(m);
}

/*
** The first place, from `from` on, where the pattern matches; NULL if there is none. An empty match at `last`, the end of
** the match before, does not count. Raises a Lua error for a malformed pattern, and when the budget is used up or the
** state is to be stopped.
*/
const char *search(struct matcher *m, const char *from, const char *last);

#endif
