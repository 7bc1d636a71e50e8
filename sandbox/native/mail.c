/*
** Messages between a state and its host that lupa would have to be called for, and would copy: those that are gathered
** (bundle.c), long texts on their way out, and whatever comes in.
*/

#include "preempt.h"

#include <string.h>

/* Sends what was gathered, in the middle of the step. To end the step for it would cost a state that talks and computes its
** turns, beside others that only compute. */
void send_gathered(const struct thread *me) {
    if (me->host == NULL) return;
    PyGILState_STATE lock = PyGILState_Ensure();
    PyObject *nothing = PyObject_CallMethod(me->host, "send_gathered", NULL);
    if (nothing == NULL) PyErr_WriteUnraisable(me->host);
    Py_XDECREF(nothing);
    PyGILState_Release(lock);
}

const char *take_mail(lua_State *L, size_t *size) {
    struct state *st = stepping(L)->state;
    const char *mail = st->mail;
    st->mail = NULL;
    *size = st->mail_size;
    return mail;
}

/* A state whose slices never end gathers nothing, nor does one that can't be suspended here: nobody could say when what was
** gathered goes out. */
int may_gather(lua_State *L, long long to) {
    struct thread *me = stepping(L);
    return me->gathers && !me->blocked && lua_isyieldable(L) &&
           bundle_may_take(&me->state->bundle, to, clock_now(), me->unshared != NULL && *me->unshared);
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
    if (answer == Py_True && (message = joined(head, head_size, text, text_size)) != NULL) {
        Py_SETREF(answer, PyObject_CallMethod(host, "transmit", "LO", to, message));
        sent = answer == Py_False ? NO_ROOM : SENT;  /* an error of Python's, which says nothing: rather not twice */
    } else if (answer == Py_False) {
        sent = NO_ROOM;
    }
    if (PyErr_Occurred()) PyErr_WriteUnraisable(host);
    Py_XDECREF(message);
    Py_XDECREF(answer);
    PyGILState_Release(lock);
    return sent;
}

/* sent(to, room): notes, and gives, what the host has said to a message that went alone: how much room there is after
** it. Anything but a number: it was not taken. */
int co_sent(lua_State *L) {
    struct bundle *bundle = &stepping(L)->state->bundle;
    lua_settop(L, 2);
    if (lua_isinteger(L, 2) && !bundle->length)
        bundle_room(bundle, lua_tointegerx(L, 1, NULL), (size_t)lua_tointegerx(L, 2, NULL), clock_now());
    return 1;
}
