/*
** Slices, stops and memory limits for the Lua states of one process: a Python module and a Lua module in one library.
**
** A state runs inside `Stepper.step`, on whatever thread calls it. To end a slice, a timer of that thread sends it a
** signal; the handler arms a count hook of 1 on the coroutine that runs, and before its next instruction the hook
** yields. Until then nothing is counted, so a program that is not interrupted pays nothing. The hook's yield must
** reach the driver through the script's own coroutines, unseen: hence resume, wrap and close are written here, with
** continuations that pass a *suspension* upwards and resume downwards again. A wait (`suspend`) takes the same way.
**
** What is published, and to whom. A thread's record is reached through thread-local storage. Only that thread writes
** and reads it, in its normal course and in its signal handler, so `volatile` and the order of statements are all it
** takes. `current` is the coroutine whose instructions are executed; while it is NULL the handler does nothing. The
** one field that other threads write is a state's `stop`.
**
** Rules that the rest follows, each of them met as a hang or a crash before it was one:
** - A signal may fall between any two instructions, and Lua may lose an armed hook (it writes its trap flag back). So
**   while a slice is over, ticks go on, and each arms anew.
** - A coroutine's hook is cleared before the coroutine is published, and a pending tick is passed on to it after. New
**   coroutines inherit an armed hook, and one may be left on a coroutine that was not resumed for long: a hook that
**   finds nothing pending clears itself.
** - lua_resume makes a coroutine yieldable even if its resumer is not, so resumers that can't yield are counted.
** - Inside such a frame (a table.sort comparator, say) a return hook notices when it is left.
** - Arming walks the coroutine's frames. The next tick is set by the handler, at a distance that is a multiple of
**   what this one took: a deep recursion can't drown in signals.
** - A stop leaves by longjmp from the hook to the driver. An error would be the script's to catch; and the hook is
**   called between two instructions, where no C function of Lua is in the middle of anything. The state is never run
**   again, only closed, which does not look at what was jumped over.
** - Memory may only be refused where Lua is ready for it: inside a step, and never to a thread that holds Python's
**   lock, for then a host call is writing into the state, and an error would jump over its frames.
*/

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifndef __linux__
#error "timers that signal one thread exist on Linux alone; without this module the portable hook is used"
#endif

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bundle.h"
#include "matcher.h"
#include "native.h"
#include "sheet.h"

#define DEFINE(result, name, parameters) result(*name) parameters;
LUA_FUNCTIONS(DEFINE)
#undef DEFINE

/* --- What is kept ------------------------------------------------------------------------------------------------ */

typedef int64_t nanoseconds;

/* How a step ended; sandbox/preemption.py has the same numbers. */
enum outcome { FINISHED, WAITING, PREEMPTED, FAILED, STOPPED, OUT_OF_MEMORY };

/* A coroutine that has resumed, or is closing, the next one: a list on the C stack, which has the same order. */
struct resumer {
    lua_State *coroutine;
    struct resumer *outer;
};

/* One Lua state: the user data of its allocator, which frees it together with the state's last block. */
struct state {
    lua_State *home;        /* Lua's main thread: belongs to lupa, and is what the driver runs on */
    lua_State *main;        /* the script's main coroutine, from `adopt` on */
    _Atomic int stop;       /* an outcome that ends the state, or 0; written by any thread, never taken back */
    _Atomic int steps_back; /* the thread of this step is to let others go first: see `step_back` */
    size_t used;            /* bytes, to the byte */
    size_t limit;           /* bytes; SIZE_MAX: none */
    size_t alarm;           /* growth beyond so many bytes is looked at: see `refuse`; 0 while a refusal is outstanding */
    int collect;            /* the next hook is to collect garbage */
    void *refused_block;    /* the last request that was refused and has not been repeated; `refused_size` is 0 when */
    size_t refused_size;    /* there is none */
    struct bundle bundle;   /* messages that go out together, by the end of the step at the latest */
    long long awaited;      /* whose mail the last step has ended to wait for: 0, a child's number, or NOBODY */
    long long drained;      /* who had sent no more than `mail` when this step began, or NOBODY */
    const char *mail;       /* what was brought, until it is taken; NULL: nothing */
    size_t mail_size;
};

/* One thread that steps states. */
struct thread {
    lua_State *volatile current;            /* the coroutine whose instructions are executed, or NULL */
    struct state *volatile state;           /* its state */
    const volatile char *volatile wanted;   /* not 0: somebody else could use this thread */
    volatile nanoseconds deadline;          /* the end of the slice */
    nanoseconds first_tick;                 /* when a tick of this step is due at the latest */
    volatile nanoseconds timer_at;          /* when the timer goes off, 0 if it does not */
    volatile int pending;                   /* the slice is over, and the state not yet suspended; or `must_send` */
    volatile int suspension;                /* WAITING or PREEMPTED, while it is passed up to the driver */
    volatile int blocked;                   /* resumers, from the driver to `current`, that can't yield */
    int gathers;                            /* whether messages may wait for others: see `may_gather` */
    const volatile char *unshared;          /* not 0: nobody else would run at once what this step wakes */
    PyObject *host;                         /* the stepper's, during its step */
    struct resumer *resumers;               /* of `current`, the innermost first */
    size_t position_length;                 /* 0 as long as it isn't known where this step was ended */
    char position[PATH_MAX + 16];
    timer_t timer;
    int generation;                         /* of the process whose timer it is: a fork does not inherit timers */
    jmp_buf driver;                         /* where a stop leaves to */
};

/* Initial-exec: the default model may allocate when it is first used, which could be inside the signal handler. */
static __thread struct thread *self __attribute__((tls_model("initial-exec")));

static pthread_key_t thread_key;  /* only for its destructor */
static int generation;            /* forks between the process that loaded this module and this one */

/* Sent to the executing thread. Its default is to be ignored, debuggers let it pass, and nothing but urgent data on
** sockets, which is unused here, uses it. */
enum { TICK = SIGURG };

/* Between ticks while a slice is over. They come later the longer nobody has wanted the thread, up to POLL: a tick
** costs 3 to 20 microseconds (the latter in a virtual machine, which has to be left for it), so with one per millisecond
** a state that is alone would pay up to 2 %. */
static const nanoseconds RETRY = 1000000;
/* The longest time without a tick: how late a stop is noticed, or that somebody has become ready. */
static const nanoseconds POLL = 10000000;
/* How long messages that were gathered wait for the step to end, or for more of them. */
static const nanoseconds GATHERED_FOR = 1000000;
/* Niceness: a tenth of the processor time of a thread that has not stepped back. sandbox/wall/seccomp.py knows it. */
enum { LOW_PRIORITY = 10 };
/* At most one part in so many of a thread's time goes to arming. */
enum { ARMING_SHARE = 32 };

static nanoseconds clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (nanoseconds)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- Ticks ------------------------------------------------------------------------------------------------------ */

static void count_hook(lua_State *L, lua_Debug *event);

static void arm(lua_State *co) {
    lua_sethook(co, count_hook, LUA_MASKCOUNT, 1);
}

static void set_timer(struct thread *me, nanoseconds at) {
    struct itimerspec when = {{0, 0}, {at / 1000000000, at % 1000000000}};
    me->timer_at = at;
    timer_settime(me->timer, TIMER_ABSTIME, &when, NULL);
}

/* For good: only who has rights that a host gives away could take it back. A thread may always do this to itself; one
** to another may not, behind the wall. */
static void step_back(struct state *st) {
    if (atomic_exchange_explicit(&st->steps_back, 0, memory_order_relaxed)) setpriority(PRIO_PROCESS, 0, LOW_PRIORITY);
}

/* Whether the first of what was gathered has waited for long. */
static int must_send(const struct thread *me, nanoseconds now) {
    const struct bundle *bundle = &me->state->bundle;
    return bundle->length && now - bundle->since >= GATHERED_FOR;
}

static int is_over(const struct thread *me, nanoseconds now) {
    return now >= me->deadline && *me->wanted;
}

static void tick(struct thread *me) {
    me->timer_at = 0;
    lua_State *co = me->current;
    if (co == NULL) return;
    step_back(me->state);
    nanoseconds now = clock_now();
    int stop = atomic_load_explicit(&me->state->stop, memory_order_relaxed);
    if (stop || must_send(me, now) || is_over(me, now)) {
        me->pending = 1;
        arm(co);
        nanoseconds done = clock_now(), pause = (done - now) * ARMING_SHARE;
        set_timer(me, done + (pause > RETRY ? pause : RETRY));
    } else {
        nanoseconds over = now - me->deadline, next = now + POLL;
        if (over >= 0) next = now + (over < RETRY ? RETRY : over < POLL ? over : POLL);
        else if (me->deadline < next) next = me->deadline;
        const struct bundle *bundle = &me->state->bundle;
        nanoseconds due = bundle->since + GATHERED_FOR;
        set_timer(me, bundle->length && due < next ? due : next);
    }
}

static void on_signal(int number) {
    int saved = errno;
    (void)number;
    if (self != NULL) tick(self);
    errno = saved;
}

/* The first to say so decides how a state ends. */
static void end_by(struct state *st, int outcome) {
    int none = 0;
    atomic_compare_exchange_strong(&st->stop, &none, outcome);
}

/* Notes where the step is being ended: at the innermost function of the script's own. A coroutine that was made
** straight from one of the library has none; its resumer does. */
static void locate(struct thread *me, lua_State *L) {
    const struct resumer *next = me->resumers;
    while (me->position_length == 0) {
        me->position_length = find_position(L, me->position, sizeof me->position);
        if (next == NULL) break;
        L = next->coroutine;
        next = next->outer;
    }
}

static _Noreturn void leave(struct thread *me, lua_State *L) {
    locate(me, L);
    longjmp(me->driver, 1);
}

/* Where growth is looked at next: halfway to the limit, or at it when that is near. */
static size_t next_alarm(const struct state *st) {
    size_t left = st->used < st->limit ? st->limit - st->used : 0;
    return left / 2 > st->limit / 16 ? st->used + left / 2 : st->limit;
}

static void collect(struct state *st, lua_State *L) {
    st->collect = 0;
    lua_gc(L, LUA_GCCOLLECT);
    if (!st->refused_size) st->alarm = next_alarm(st);
}

static void return_hook(lua_State *L, lua_Debug *event) {
    struct thread *me = self;
    (void)event;
    if (me->state->stop) leave(me, L);
    if (!me->pending) lua_sethook(L, NULL, 0, 0);
    else if (lua_isyieldable(L)) arm(L);
}

/* Sends what was gathered, in the middle of the step. To end the step for it would cost a state that talks and computes its
** turns, beside others that only compute. */
static void send_gathered(const struct thread *me) {
    if (me->host == NULL) return;
    PyGILState_STATE lock = PyGILState_Ensure();
    PyObject *nothing = PyObject_CallMethod(me->host, "send_gathered", NULL);
    if (nothing == NULL) PyErr_WriteUnraisable(me->host);
    Py_XDECREF(nothing);
    PyGILState_Release(lock);
}

/* Called before an instruction of L. */
static void count_hook(lua_State *L, lua_Debug *event) {
    struct thread *me = self;
    (void)event;
    if (me->state->refused_size) end_by(me->state, OUT_OF_MEMORY);
    if (me->pending) {
        nanoseconds now = clock_now();
        if (must_send(me, now)) send_gathered(me);
        me->pending = is_over(me, now);
    }
    if (me->state->stop) leave(me, L);
    if (me->state->collect) collect(me->state, L);
    if (me->pending && !lua_isyieldable(L)) {
        lua_sethook(L, return_hook, LUA_MASKRET, 0);
        return;
    }
    lua_sethook(L, NULL, 0, 0);
    if (!me->pending || me->blocked) return;  /* if blocked, the resumer that can't yield arms itself when it is back */
    locate(me, L);
    me->suspension = PREEMPTED;
    lua_yieldk(L, 0, 0, NULL);
}

int is_stopping(void) {
    return self != NULL && self->current != NULL && self->state->stop;
}

int is_pause_due(void) {
    return self != NULL && self->pending;
}

/* --- Coroutines, for scripts ------------------------------------------------------------------------------------ */

static struct thread *stepping(lua_State *L) {
    if (self == NULL || self->current == NULL) luaL_error(L, "a coroutine can't run outside of a step");
    return self;
}

static lua_State *check_coroutine(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    if (co == NULL) luaL_typeerror(L, 1, "thread");
    return co;
}

static void publish(struct thread *me, lua_State *co) {
    if (lua_gethookmask(co)) lua_sethook(co, NULL, 0, 0);
    me->current = co;
    if (me->pending) arm(co);
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

/* Leaves the step, WAITING; true when the state runs on. False at once where Lua can't suspend what is running. */
static int co_suspend(lua_State *L) {
    struct thread *me = stepping(L);
    if (me->blocked || !lua_isyieldable(L)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    me->suspension = WAITING;
    return lua_yieldk(L, 0, 0, suspend_more);
}

const char *take_mail(lua_State *L, size_t *size) {
    struct state *st = stepping(L)->state;
    const char *mail = st->mail;
    st->mail = NULL;
    *size = st->mail_size;
    return mail;
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
    me->state->awaited = from;
    me->suspension = WAITING;
    return lua_yieldk(L, 0, 0, await_more);
}

/* A state whose slices never end gathers nothing, nor does one that can't be suspended here: nobody could say when what was
** gathered goes out. */
int may_gather(lua_State *L, long long to) {
    struct thread *me = stepping(L);
    return me->gathers && !me->blocked && lua_isyieldable(L) &&
           bundle_may_take(&me->state->bundle, to, clock_now(), *me->unshared);
}

char *gather(lua_State *L, size_t size) {
    struct thread *me = stepping(L);
    struct bundle *bundle = &me->state->bundle;
    int is_first = bundle->length == 0;
    char *room = bundle_add(bundle, size);
    if (room == NULL && !is_first && size <= LARGEST_GATHERED) {  /* it is full: this one begins the next */
        send_gathered(me);
        is_first = bundle->length == 0;
        room = bundle_add(bundle, size);
    }
    nanoseconds due = bundle->since + GATHERED_FOR;
    if (room != NULL && is_first && (me->timer_at == 0 || me->timer_at > due)) set_timer(me, due);
    return room;
}

/* Without Python's lock while it copies. NULL where there is no memory. */
static PyObject *joined(const void *head, size_t head_size, const char *text, size_t text_size) {
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(head_size + text_size));
    if (made == NULL) return NULL;
    char *at = PyBytes_AS_STRING(made);
    Py_BEGIN_ALLOW_THREADS
    memcpy(at, head, head_size);
    memcpy(at + head_size, text, text_size);
    Py_END_ALLOW_THREADS
    return made;
}

enum sent transmit(lua_State *L, long long to, const void *head, size_t head_size, const char *text, size_t text_size) {
    PyObject *host = stepping(L)->host;
    enum sent sent = NOT_SENT;
    if (host == NULL) return NOT_SENT;
    PyGILState_STATE lock = PyGILState_Ensure();
    PyObject *message = NULL;
    PyObject *answer = PyObject_CallMethod(host, "has_room", "Ln", to, (Py_ssize_t)(head_size + text_size));
    if (answer == Py_True && (message = joined(head, head_size, text, text_size)) != NULL)
        Py_SETREF(answer, PyObject_CallMethod(host, "transmit", "LO", to, message));
    if (PyErr_Occurred()) PyErr_WriteUnraisable(host);  /* no memory for the bytes */
    else sent = answer == Py_True ? SENT : NO_ROOM;
    Py_XDECREF(message);
    Py_XDECREF(answer);
    PyGILState_Release(lock);
    return sent;
}

/* sent(to, room): notes, and gives, what the host has said to a message that went alone: how much room there is after
** it. Anything but a number: it was not taken. */
static int co_sent(lua_State *L) {
    struct bundle *bundle = &stepping(L)->state->bundle;
    lua_settop(L, 2);
    if (lua_isinteger(L, 2) && !bundle->length)
        bundle_room(bundle, lua_tointegerx(L, 1, NULL), (size_t)lua_tointegerx(L, 2, NULL), clock_now());
    return 1;
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

/* --- Memory --------------------------------------------------------------------------------------------------------- */

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
static void *allocate(void *ud, void *block, size_t old, size_t new) {
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

/* --- The driver -------------------------------------------------------------------------------------------------- */

static void thread_ended(void *record) {
    struct thread *me = record;
    self = NULL;
    timer_delete(me->timer);
    free(me);
}

static void forked(void) {
    generation++;
}

/* This thread's record, made when it first steps; NULL with errno set. */
static struct thread *this_thread(void) {
    struct thread *me = self;
    if (me != NULL && me->generation == generation) return me;
    if (me == NULL && (me = calloc(1, sizeof *me)) == NULL) return NULL;
    struct sigevent event = {.sigev_signo = TICK, .sigev_notify = SIGEV_THREAD_ID};
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &me->timer) != 0) {
        if (self == NULL) free(me);
        return NULL;
    }
    sigset_t ticks;
    sigemptyset(&ticks);
    sigaddset(&ticks, TICK);
    pthread_sigmask(SIG_UNBLOCK, &ticks, NULL);
    me->timer_at = 0;
    me->generation = generation;
    self = me;
    pthread_setspecific(thread_key, me);
    return me;
}

/* The step itself, called protected on the home thread: lua_resume may throw a memory error past its caller. */
static int drive(lua_State *L) {
    struct thread *me = self;
    lua_State *main = me->state->main;
    int results = 0, status;
    if (_setjmp(me->driver) != 0) return 0;
    publish(me, main);
    if (me->timer_at == 0 || me->timer_at > me->first_tick) set_timer(me, me->first_tick);
    status = lua_resume(main, L, 0, &results);
    me->current = NULL;
    lua_pushinteger(L, status == LUA_OK ? FINISHED : status == LUA_YIELD ? me->suspension : FAILED);
    return 1;
}

static const char nobody = 0;

static enum outcome step(struct thread *me, struct state *st, nanoseconds slice, const char *wanted) {
    enum outcome outcome;
    nanoseconds now = clock_now();
    me->state = st;
    me->wanted = slice ? wanted : &nobody;
    me->deadline = now + (slice ? slice : POLL);
    me->first_tick = now + (slice && slice < POLL ? slice : POLL);
    me->pending = me->suspension = me->blocked = 0;
    me->gathers = slice != 0;
    st->bundle.last_to = NOBODY;
    me->resumers = NULL;
    me->position_length = 0;
    lua_pushcclosure(st->home, drive, 0);
    int status = lua_pcallk(st->home, 0, 1, 0, 0, NULL);
    me->current = NULL;  /* first: from here on ticks do nothing */
    outcome = status == LUA_OK ? (enum outcome)lua_tointegerx(st->home, -1, NULL) : FAILED;
    lua_settop(st->home, -2);
    if (outcome == FAILED && st->refused_size) end_by(st, OUT_OF_MEMORY);  /* the error went past all of the script */
    return st->stop ? (enum outcome)st->stop : outcome;
}

/* --- The Python module --------------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    struct state *state;  /* NULL once closed */
    PyObject *runtime;    /* what keeps `state` alive */
    PyObject *position;   /* bytes, or NULL: see `where` */
    PyObject *host;       /* sends what was gathered, and long texts; NULL: that waits for the end of the step */
    PyObject *mail;       /* bytes, or NULL: what `state->mail` points into */
    int stepped;          /* a thread is inside `step` */
} Stepper;

static PyObject *stepper_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    unsigned long long handle;
    PyObject *runtime, *host = Py_None;
    Py_ssize_t memory = 0;
    static char *names[] = {"handle", "runtime", "memory", "host", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "KO|nO:Stepper", names, &handle, &runtime, &memory, &host))
        return NULL;
    if (memory < 0) return PyErr_Format(PyExc_ValueError, "memory is %zd bytes; it can't be less than 0", memory);
    Stepper *made = (Stepper *)type->tp_alloc(type, 0);
    if (made == NULL) return NULL;
    made->state = (struct state *)(intptr_t)handle;
    if (memory) {
        made->state->limit = (size_t)memory;
        made->state->alarm = next_alarm(made->state);
    }
    made->runtime = Py_NewRef(runtime);
    made->host = host == Py_None ? NULL : Py_NewRef(host);
    return (PyObject *)made;
}

/* The C library keeps what is freed between blocks that are in use, and what a process holds grows for as long as states
** come and go. Giving it back takes a millisecond or two: less than a hundredth of what so many bytes of states take. */
static void give_back(size_t closed) {
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

static PyObject *stepper_close(Stepper *me, PyObject *unused) {
    size_t used = me->state == NULL ? 0 : me->state->used;
    (void)unused;
    if (me->state != NULL) bundle_end(&me->state->bundle);
    me->state = NULL;
    Py_CLEAR(me->host);
    Py_CLEAR(me->mail);
    Py_CLEAR(me->position);
    Py_CLEAR(me->runtime);
    give_back(used);
    Py_RETURN_NONE;
}

static void stepper_dealloc(Stepper *me) {
    if (me->state != NULL) bundle_end(&me->state->bundle);
    Py_CLEAR(me->host);
    Py_CLEAR(me->mail);
    Py_CLEAR(me->position);
    Py_CLEAR(me->runtime);
    Py_TYPE(me)->tp_free((PyObject *)me);
}

/* Lays out what has come for the state, which reads it without another copy. */
static void lay_out(Stepper *me, PyObject *mail) {
    Py_XSETREF(me->mail, Py_NewRef(mail));
    me->state->mail = PyBytes_AS_STRING(mail);
    me->state->mail_size = (size_t)PyBytes_GET_SIZE(mail);
}

/* A finaliser may ask for mail before what was brought has been read. */
static PyObject *stepper_bring(Stepper *me, PyObject *mail) {
    enum { BROUGHT = 3 };  /* known to lua/mail.lua and lua/worker.lua */
    if (!PyBytes_Check(mail)) return PyErr_Format(PyExc_TypeError, "bring(mail: bytes)");
    if (me->state == NULL || !me->stepped) return PyErr_Format(PyExc_RuntimeError, "no step goes on");
    if (me->state->mail != NULL) return Py_NewRef(mail);
    lay_out(me, mail);
    return PyLong_FromLong(BROUGHT);
}

static PyObject *stepper_step(Stepper *me, PyObject *const *args, Py_ssize_t count) {
    if (count < 2 || count > 3 || !PyByteArray_Check(args[1]) || PyByteArray_GET_SIZE(args[1]) < 1 ||
        (count == 3 && args[2] != Py_None && !PyBytes_Check(args[2])))
        return PyErr_Format(PyExc_TypeError, "step(nanoseconds, wanted: bytearray of one byte or more, mail: bytes | None)");
    nanoseconds slice = PyLong_AsLongLong(args[0]);
    if (slice == -1 && PyErr_Occurred()) return NULL;
    if (me->state == NULL || me->state->main == NULL)
        return PyErr_Format(PyExc_RuntimeError, "the state is closed or has not been started");
    struct thread *thread = this_thread();
    if (thread == NULL) return PyErr_SetFromErrno(PyExc_OSError);
    if (me->stepped || thread->current != NULL)
        return PyErr_Format(PyExc_RuntimeError, "a step inside a step");
    if (me->state->stop) return PyLong_FromLong(me->state->stop);
    int is_brought = count == 3 && args[2] != Py_None;
    if (is_brought && me->state->mail != NULL)
        return PyErr_Format(PyExc_RuntimeError, "what was brought before has not been read");
    enum outcome outcome;
    me->stepped = 1;
    me->state->steps_back = 0;  /* it was meant for the thread of another step */
    me->state->drained = is_brought ? me->state->awaited : NOBODY;
    me->state->awaited = NOBODY;
    if (is_brought) lay_out(me, args[2]);
    thread->unshared = PyByteArray_GET_SIZE(args[1]) > 1 ? PyByteArray_AS_STRING(args[1]) + 1 : &nobody;
    PyObject *host = thread->host = Py_XNewRef(me->host);
    Py_INCREF(me->runtime);
    PyObject *runtime = me->runtime;
    Py_BEGIN_ALLOW_THREADS
    outcome = step(thread, me->state, slice, PyByteArray_AS_STRING(args[1]));
    Py_END_ALLOW_THREADS
    me->stepped = 0;
    if (me->state == NULL || me->state->mail == NULL) Py_CLEAR(me->mail);
    Py_CLEAR(me->position);
    if (thread->position_length) {
        me->position = PyBytes_FromStringAndSize(thread->position, (Py_ssize_t)thread->position_length);
        if (me->position == NULL) PyErr_Clear();  /* how the step ended is worth more than where */
    }
    Py_DECREF(runtime);
    Py_XDECREF(host);
    return PyLong_FromLong(outcome);
}

static PyObject *stepper_stop(Stepper *me, PyObject *unused) {
    (void)unused;
    if (me->state != NULL) end_by(me->state, STOPPED);
    Py_RETURN_NONE;
}

static PyObject *stepper_step_back(Stepper *me, PyObject *unused) {
    (void)unused;
    if (me->state != NULL) me->state->steps_back = 1;
    Py_RETURN_NONE;
}

static PyObject *stepper_gathered(Stepper *me, PyObject *unused) {
    (void)unused;
    if (me->state == NULL || !me->state->bundle.length) Py_RETURN_NONE;
    struct bundle *bundle = &me->state->bundle;
    size_t size;
    const char *content = bundle_content(bundle, &size);
    PyObject *taken = Py_BuildValue("(Ly#)", bundle->to, content, (Py_ssize_t)size);
    if (taken != NULL) bundle_end(bundle);
    return taken;
}

static PyObject *stepper_sent(Stepper *me, PyObject *const *args, Py_ssize_t count) {
    if (count != 2) return PyErr_Format(PyExc_TypeError, "sent(to, room)");
    long long to = PyLong_AsLongLong(args[0]);
    size_t room = PyErr_Occurred() ? 0 : PyLong_AsSize_t(args[1]);
    if (PyErr_Occurred()) return NULL;
    if (me->state != NULL && !me->state->bundle.length) bundle_room(&me->state->bundle, to, room, clock_now());
    Py_RETURN_NONE;
}

static PyObject *stepper_problem(Stepper *me, PyObject *unused) {
    lua_State *main = me->state ? me->state->main : NULL;
    size_t length;
    (void)unused;
    if (main == NULL || lua_gettop(main) == 0 || lua_type(main, -1) != LUA_TSTRING) return PyBytes_FromString("");
    const char *text = lua_tolstring(main, -1, &length);
    return PyBytes_FromStringAndSize(text, (Py_ssize_t)length);
}

static PyObject *stepper_where(Stepper *me, PyObject *unused) {
    (void)unused;
    return me->position != NULL ? Py_NewRef(me->position) : PyBytes_FromString("");
}

static PyObject *stepper_awaited(Stepper *me, void *unused) {
    (void)unused;
    if (me->state == NULL || me->state->awaited == NOBODY) Py_RETURN_NONE;
    return PyLong_FromLongLong(me->state->awaited);
}

static PyObject *stepper_used(Stepper *me, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(me->state ? me->state->used : 0);
}

static PyMethodDef stepper_methods[] = {
    {"step", (PyCFunction)(void (*)(void))stepper_step, METH_FASTCALL, NULL},
    {"stop", (PyCFunction)stepper_stop, METH_NOARGS, NULL},
    {"step_back", (PyCFunction)stepper_step_back, METH_NOARGS, NULL},
    {"bring", (PyCFunction)stepper_bring, METH_O, NULL},
    {"gathered", (PyCFunction)stepper_gathered, METH_NOARGS, NULL},
    {"sent", (PyCFunction)(void (*)(void))stepper_sent, METH_FASTCALL, NULL},
    {"problem", (PyCFunction)stepper_problem, METH_NOARGS, NULL},
    {"where", (PyCFunction)stepper_where, METH_NOARGS, NULL},
    {"close", (PyCFunction)stepper_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyObject *stepper_has_gathered(Stepper *me, void *unused) {
    (void)unused;
    return PyBool_FromLong(me->state != NULL && me->state->bundle.length);
}

static PyGetSetDef stepper_attributes[] = {
    {"awaited", (getter)stepper_awaited, NULL, NULL, NULL},
    {"has_gathered", (getter)stepper_has_gathered, NULL, NULL, NULL},
    {"used", (getter)stepper_used, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject StepperType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "luspool.sandbox._preempt.Stepper",
    .tp_basicsize = sizeof(Stepper),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = stepper_new,
    .tp_dealloc = (destructor)stepper_dealloc,
    .tp_methods = stepper_methods,
    .tp_getset = stepper_attributes,
};

/* --- Is this the Lua that was written for? ----------------------------------------------------------------------- */

static const char *look_up(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (library == NULL) return "Lua's library is not loaded";
#define LOOK_UP(result, name, parameters)                                                                              \
    if ((*(void **)&name = dlsym(library, #name)) == NULL) return "Lua's library does not export " #name;
    LUA_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
    return lua_version(NULL) == LUA_VERSION_NUM ? NULL : "it is not Lua 5.5";
}

static int test_steps;
static const char *test_problem;

static void test_hook(lua_State *L, lua_Debug *event) {
    if (test_steps++ == 5) test_problem = try_position(L, event);
    lua_yieldk(L, 0, 0, NULL);
}

static int test_upvalue(lua_State *L) {
    return lua_touserdata(L, FIRST_UPVALUE) == &test_steps ? 0 : luaL_error(L, "upvalue");
}

/* Runs a chunk with a yield before each of its instructions, and looks whether it still gives what it should. */
static const char *try_out(void) {
    static const char chunk[] = "local a, b = ... local n = 0\nfor i = 1, a do n = n + i end\nreturn n, b";
    void *unused;
    lua_State *L = luaL_newstate();
    if (L == NULL) return "no memory";
    const char *problem = NULL;
    lua_pushlightuserdata(L, &test_steps);
    lua_pushcclosure(L, test_upvalue, 1);
    if (lua_pcallk(L, 0, 0, 0, 0, NULL) != LUA_OK) problem = "upvalues lie elsewhere";
    else if (lua_getallocf(L, &unused) != luaL_alloc) problem = "its allocator is not Lua's own";
    lua_State *co = lua_newthread(L);
    int results = 0, status = luaL_loadbufferx(co, chunk, sizeof chunk - 1, "@trial", "t");
    if (status == LUA_OK) status = LUA_YIELD;
    lua_pushinteger(co, 100);
    lua_pushinteger(co, 7);
    lua_sethook(co, test_hook, LUA_MASKCOUNT, 1);
    for (int arguments = 2; status == LUA_YIELD; arguments = 0) status = lua_resume(co, L, arguments, &results);
    if (problem == NULL && (status != LUA_OK || results != 2 || test_steps < 100 ||
                            lua_tointegerx(co, -2, NULL) != 5050 || lua_tointegerx(co, -1, NULL) != 7))
        problem = "a hook that yields does not work as in Lua 5.5";
    if (problem == NULL) problem = test_problem;
    lua_close(L);
    return problem;
}

static int take_signal(void) {
    struct sigaction old, new = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&new.sa_mask);
    if (sigaction(TICK, NULL, &old) != 0) return -1;
    if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN && old.sa_handler != on_signal) return -1;
    return sigaction(TICK, &new, NULL);
}

/* bind(path of lupa.lua55): ready to be used, or ImportError. */
static PyObject *bind(PyObject *module, PyObject *argument) {
    const char *path = PyUnicode_AsUTF8(argument);
    (void)module;
    if (path == NULL) return NULL;
    const char *problem = look_up(path);
    if (problem == NULL) problem = try_out();
    if (problem == NULL && take_signal() != 0) problem = "SIGURG is in use";
    if (problem != NULL) return PyErr_Format(PyExc_ImportError, "%s: %s", path, problem);
    prepare_classes();
    Py_RETURN_NONE;
}

/* As lua/coroutines.lua has it, and quicker. */
size_t script_position(char *text, size_t room) {
    size_t length = 0;
    if (self != NULL && self->current != NULL) {
        length = find_position(self->current, text, room);
        const struct resumer *outer = self->resumers;
        for (; length == 0 && outer != NULL; outer = outer->outer)
            length = find_position(outer->coroutine, text, room);
    }
    if (length == 0) text[length++] = '?';
    return length;
}

static PyMethodDef module_functions[] = {
    {"bind", bind, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_preempt", NULL, -1, module_functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__preempt(void) {
    if (PyType_Ready(&StepperType) < 0 || PyType_Ready(&SheetType) < 0) return NULL;
    if (pthread_key_create(&thread_key, thread_ended) != 0 || pthread_atfork(NULL, NULL, forked) != 0)
        return PyErr_NoMemory();
    PyObject *made = PyModule_Create(&module);
    if (made == NULL || (PyModule_AddObjectRef(made, "Stepper", (PyObject *)&StepperType) == 0 &&
                         PyModule_AddObjectRef(made, "Sheet", (PyObject *)&SheetType) == 0))
        return made;
    Py_DECREF(made);
    return NULL;
}
