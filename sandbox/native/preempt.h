/*
** A state, the thread that steps it, and what the parts of preemption do for each other: see preempt.c.
*/

#ifndef LUSPOOL_PREEMPT_H
#define LUSPOOL_PREEMPT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifndef __linux__
#error "timers that signal one thread exist on Linux alone; without this module the portable hook is used"
#endif

#include <limits.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "bundle.h"
#include "native.h"

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
    int has_waited;         /* it has been collected after its birth */
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
    const volatile char *unshared;          /* NULL, or not 0 while nobody else would run at once what this step wakes */
    PyObject *host;                         /* the stepper's, during its step */
    struct resumer *resumers;               /* of `current`, the innermost first */
    size_t position_length;                 /* 0 as long as it isn't known where this step was ended */
    char position[PATH_MAX + 16];
    timer_t timer;
    int generation;                         /* of the process whose timer it is: a fork does not inherit timers */
    jmp_buf driver;                         /* where a stop leaves to */
};

/* Initial-exec: the default model may allocate when it is first used, which could be inside the signal handler. */
extern __thread struct thread *self __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Nanoseconds for which messages that were gathered wait for the step to end, or for more of them. */
enum { GATHERED_FOR = 1000000 };

static inline nanoseconds clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (nanoseconds)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The thread, inside a step of the state that L belongs to. */
static inline struct thread *stepping(lua_State *L) {
    if (self == NULL || self->current == NULL) luaL_error(L, "a coroutine can't run outside of a step");
    return self;
}

/* --- preempt.c */

/* What there is once in a process. -1: with Python's error set. */
int prepare_threads(void);

/* Has signals handled. -1: somebody else does. */
int take_signal(void);

/* This thread's record, made when it first steps; NULL with errno set. */
struct thread *this_thread(void);

/* Runs the state on this thread for so long, or for longer while `*wanted` is 0; without an end where `slice` is 0. */
enum outcome step(struct thread *me, struct state *st, nanoseconds slice, const char *wanted);

/* The first to say so decides how a state ends. From any thread. */
void end_by(struct state *st, int outcome);

/* Has the hook come before the next instruction of this coroutine. */
void arm(lua_State *co);

/* Has the next tick come then. */
void set_timer(struct thread *me, nanoseconds at);

/* Makes this coroutine the one whose instructions are executed. */
void publish(struct thread *me, lua_State *co);

/* Notes where the step is being ended: at the innermost function of the script's own. */
void locate(struct thread *me, lua_State *L);

/* --- mail.c */

/* Has the host send what was gathered, in the middle of the step. */
void send_gathered(const struct thread *me);

/* The function `sent` of the Lua module. */
int co_sent(lua_State *L);

/* --- memory.c */

/* Lua's allocator, which counts; `ud` is the state. */
void *allocate(void *ud, void *block, size_t old, size_t new);

/* Bounds what the state may hold. Before its first step. */
void limit_memory(struct state *st, size_t bytes);

/* Collects garbage, as was asked for. */
void collect(struct state *st, lua_State *L);

/* States that held so many bytes were closed. Python's lock held. */
void give_back(size_t closed);

/* --- stepper.c */

/* The type of Python's that runs a state. */
extern PyTypeObject StepperType __attribute__((visibility("hidden")));

#endif
