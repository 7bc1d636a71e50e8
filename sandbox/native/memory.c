/*
** What a state may hold: an allocator that counts, and refuses where Lua is ready for it (preempt.c).
*/

#include "preempt.h"

#include <malloc.h>
#include <stdlib.h>

/* Where growth is looked at next: halfway to the limit, or at it when that is near. */
static size_t next_alarm(const struct state *st) {
    size_t left = st->used < st->limit ? st->limit - st->used : 0;
    return left / 2 > st->limit / 16 ? st->used + left / 2 : st->limit;
}

void collect(struct state *st, lua_State *L) {
    st->collect = 0;
    lua_gc(L, LUA_GCCOLLECT);
    if (!st->refused_size) st->alarm = next_alarm(st);
}

void limit_memory(struct state *st, size_t bytes) {
    st->limit = bytes;
    st->alarm = next_alarm(st);
}

/* Also notes where, before the error takes the script's functions down; but not when a block is to grow, which may be
** the stack: Lua can't be asked for functions then, and the hook says where the error was caught. */
static void out_of_memory(struct state *st, const void *block) {
    end_by(st, OUT_OF_MEMORY);
    if (block == NULL) locate(self, self->current);
    self->pending = 1;
    arm(self->current);
}

/* Whether a request for more must be refused. Lua repeats a refused request after a collection; if that is refused
** too, or something else is asked for instead, then an error was raised for it, and the state ends whatever it does with it.
**
** Lua's string buffers, though, raise that error at once. What they make is hardly counted by Lua's collector, so a heap
** full of garbage is no rare case: it is collected on the way to the limit, and a request for half of what is free fits. */
static __attribute__((noinline, cold)) int refuse(struct state *st, void *block, size_t old, size_t new) {
    if (self == NULL || self->current == NULL || self->state != st || PyGILState_Check()) return 0;
    int repeated = st->refused_size == new && st->refused_block == block;
    if (st->refused_size && !repeated) out_of_memory(st, block);
    size_t used = st->used - old + new;
    if (used <= st->limit) {
        if (!st->refused_size) {
            st->collect = 1;
            arm(self->current);
        }
        st->refused_size = 0;
        st->alarm = used + (st->limit - used) / 2;  /* should the hook be lost */
        return 0;
    }
    if (repeated) out_of_memory(st, block);
    st->refused_block = block;
    st->refused_size = new;
    st->alarm = 0;
    self->pending = 1;  /* should the hook come before a second request, there was none, but an error */
    arm(self->current);
    return 1;
}

/* Called some ten million times a second by a script that builds strings, so what is usual is a few instructions. */
void *allocate(void *ud, void *block, size_t old, size_t new) {
    struct state *st = ud;
    if (new == 0) {
        if (block == NULL) return NULL;
        free(block);
        if ((st->used -= old) == 0) free(st);  /* this was the state itself */
        return NULL;
    }
    if (block == NULL) old = 0;  /* it says what is to be allocated */
    size_t used = st->used - old + new;
    if (used > st->alarm && new > old && refuse(st, block, old, new)) return NULL;
    void *moved = block == NULL ? malloc(new) : realloc(block, new);
    if (moved != NULL) st->used = used;
    return moved;
}

int make_room(lua_State *L, double size) {
    void *ud;
    if (lua_getallocf(L, &ud) != allocate) return 1;
    struct state *st = ud;
    if ((double)st->used + size > (double)st->limit) collect(st, L);
    return size <= (double)st->limit;
}

/* The C library keeps what is freed between blocks that are in use, and what a process holds grows for as long as states
** come and go. Giving it back takes a millisecond or two: less than a hundredth of what so many bytes of states take. */
void give_back(size_t closed) {
    enum { EVERY = 64 << 20 };
    static size_t since_last;  /* Python's lock held */
    since_last += closed;
    if (since_last < EVERY) return;
    since_last = 0;
#ifdef __GLIBC__
    Py_BEGIN_ALLOW_THREADS
    malloc_trim(0);
    Py_END_ALLOW_THREADS
#endif
}
