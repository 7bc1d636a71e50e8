/*
** Slices and stops for the Lua states of one process. What belongs to it: coroutines.c (what scripts have of it, and the Lua
** module), memory.c (limits), mail.c (messages), stepper.c and module.c (the Python module); preempt.h has their data.
**
** A state runs inside `Stepper.step`, on whatever thread calls it. To end a slice, a timer of that thread sends it a
** signal; the handler arms a count hook of 1 on the coroutine that runs, and before its next instruction the hook
** yields. Until then nothing is counted, so a program that is not interrupted pays nothing. The hook's yield must
** reach the driver through the script's own coroutines, unseen: hence resume, wrap and close are written anew, with
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

#include "preempt.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sheet.h"

__thread struct thread *self __attribute__((tls_model("initial-exec")));

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
/* Niceness: a tenth of the processor time of a thread that has not stepped back. sandbox/wall/seccomp.py knows it. */
enum { LOW_PRIORITY = 10 };
/* At most one part in so many of a thread's time goes to arming. */
enum { ARMING_SHARE = 32 };

/* --- Ticks ------------------------------------------------------------------------------------------------------ */

static void count_hook(lua_State *L, lua_Debug *event);

void arm(lua_State *co) {
    lua_sethook(co, count_hook, LUA_MASKCOUNT, 1);
}

void set_timer(struct thread *me, nanoseconds at) {
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
void end_by(struct state *st, int outcome) {
    int none = 0;
    atomic_compare_exchange_strong(&st->stop, &none, outcome);
}

/* Notes where the step is being ended: at the innermost function of the script's own. A coroutine that was made
** straight from one of the library has none; its resumer does. */
void locate(struct thread *me, lua_State *L) {
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

static void return_hook(lua_State *L, lua_Debug *event) {
    struct thread *me = self;
    (void)event;
    if (me->state->stop) leave(me, L);
    if (!me->pending) lua_sethook(L, NULL, 0, 0);
    else if (lua_isyieldable(L)) arm(L);
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

/* --- Threads ----------------------------------------------------------------------------------------------------- */

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
struct thread *this_thread(void) {
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

int prepare_threads(void) {
    if (pthread_key_create(&thread_key, thread_ended) == 0 && pthread_atfork(NULL, NULL, forked) == 0) return 0;
    PyErr_NoMemory();
    return -1;
}

int take_signal(void) {
    struct sigaction old, new = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&new.sa_mask);
    if (sigaction(TICK, NULL, &old) != 0) return -1;
    if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN && old.sa_handler != on_signal) return -1;
    return sigaction(TICK, &new, NULL);
}

/* --- The driver -------------------------------------------------------------------------------------------------- */

void publish(struct thread *me, lua_State *co) {
    if (lua_gethookmask(co)) lua_sethook(co, NULL, 0, 0);
    me->current = co;
    if (me->pending) arm(co);
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

enum outcome step(struct thread *me, struct state *st, nanoseconds slice, const char *wanted) {
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
