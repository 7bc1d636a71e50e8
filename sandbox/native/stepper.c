/*
** Python's side: the object that steps one state. Its contract is in sandbox/preemption.py.
*/

#include "preempt.h"

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
    if (memory) limit_memory(made->state, (size_t)memory);
    made->runtime = Py_NewRef(runtime);
    made->host = host == Py_None ? NULL : Py_NewRef(host);
    return (PyObject *)made;
}

static PyObject *stepper_close(Stepper *me, PyObject *unused) {
    size_t used = me->state == NULL ? 0 : me->state->used;
    (void)unused;
    if (me->state != NULL) {
        bundle_end(&me->state->bundle);
        me->state->mail = NULL;
    }
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

/* Never in place of what has not been read, and would be lost by that: then the state is told the bytes themselves. */
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
    thread->unshared = PyByteArray_GET_SIZE(args[1]) > 1 ? PyByteArray_AS_STRING(args[1]) + 1 : NULL;
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
    const struct state *st = me->state;
    return PyLong_FromSize_t(st == NULL ? 0 : st->used + (st->mail == NULL ? 0 : st->mail_size));
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

PyTypeObject StepperType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "luspool.sandbox._preempt.Stepper",
    .tp_basicsize = sizeof(Stepper),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = stepper_new,
    .tp_dealloc = (destructor)stepper_dealloc,
    .tp_methods = stepper_methods,
    .tp_getset = stepper_attributes,
};
