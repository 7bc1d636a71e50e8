/*
** Rows of the audit log, kept until they leave the host. sandbox/sheet.py has the contract, sandbox/recorder.py the form of
** what is taken from here.
**
** A program pays for each decision between two of its calls, where whatever is touched is in no cache. So no object of
** Python's is kept of a decision, and all that is made of it is the text of its row, at the end of two columns. What a
** state uses for that is given back with each batch, and the next state to decide something finds it still warm.
*/

#define PY_SSIZE_T_CLEAN
#include "sheet.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* As in sheet.py, which says why; SAID is of bytes here. */
enum { ROWS = 1024, PARTS = 256, SAID = 160 * 1024, LONGEST = 4096 };
static const int64_t HELD_BACK = 100000000;

/* Verdicts and places of one part, which are looked through one by one. Guessed. */
enum { GROUNDS = 64 };
/* Places for the numbers of rows, by their hash. A power of two. */
enum { SLOTS = 2 * ROWS };

struct text {
    char *bytes;
    size_t length, room;
};

/* What rows have in common. The objects stay alive meanwhile, so the same address is the same object. */
struct ground {
    PyObject *permission, *reason, *rule, *shadow_allowed, *shadow_rule;
    size_t where, where_length;  /* in `places` */
    size_t size;                 /* of what describes it */
};

struct row {
    int64_t first, last;
    uint64_t hash;
    uint32_t count;
    uint32_t ground;
    size_t asked_end, resolved_end;  /* in the columns; it begins where the row before it ends */
};

struct page {
    int64_t since;  /* of what is kept, the first; 0: nothing is */
    int parts, rows, grounds;
    size_t said;    /* bytes of what is kept, those of what decided for each row */
    struct text batch, places, described, asked, resolved;
    struct ground ground[GROUNDS];
    struct row row[ROWS];
    uint16_t slots[SLOTS];  /* 1 + the number of a row, or 0 */
};

typedef struct {
    PyObject_HEAD
    PyObject *describe;
    struct page *page;  /* NULL where nothing is kept */
} Sheet;

/* A page for whoever needs the next one. Under Python's lock, as all here. */
static struct page *spare;

static int64_t clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- Texts -------------------------------------------------------------------------------------------------------- */

/* The end of a text, with room for so many bytes more; NULL and an exception where there is none. */
static char *reserve(struct text *text, size_t more) {
    if (text->length + more > text->room) {
        size_t room = 2 * (text->length + more);
        char *bytes = realloc(text->bytes, room);
        if (bytes == NULL) return (char *)PyErr_NoMemory();
        text->bytes = bytes;
        text->room = room;
    }
    return text->bytes + text->length;
}

static int append(struct text *text, const char *bytes, size_t length) {
    char *end = reserve(text, length);
    if (end == NULL) return -1;
    memcpy(end, bytes, length);
    text->length += length;
    return 0;
}

static int append_number(struct text *text, int64_t number) {
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = ',';
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    return append(text, digits + at, sizeof digits - at);
}

static char *put_escape(char *at, unsigned unit) {
    static const char hex[] = "0123456789abcdef";
    *at++ = '\\', *at++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4) *at++ = hex[unit >> shift & 15];
    return at;
}

/* A string of Python's, or None, as JSON in ASCII and a comma. Longer ones are cut. */
static int append_json(struct text *text, PyObject *string) {
    if (string == Py_None) return append(text, "null,", 5);
    if (!PyUnicode_Check(string)) return PyErr_Format(PyExc_TypeError, "a str is needed"), -1;
    Py_ssize_t length = PyUnicode_GET_LENGTH(string), shown = length < LONGEST ? length : LONGEST;
    int kind = PyUnicode_KIND(string);
    const void *data = PyUnicode_DATA(string);
    char *end = reserve(text, (size_t)shown * 12 + 10), *at = end;
    if (end == NULL) return -1;
    *at++ = '"';
    for (Py_ssize_t i = 0; i < shown; i++) {
        Py_UCS4 code = PyUnicode_READ(kind, data, i);
        if (code >= ' ' && code < 0x7F && code != '"' && code != '\\') {
            *at++ = (char)code;
        } else if (code < 0x10000) {
            at = put_escape(at, code);
        } else {
            at = put_escape(at, 0xD7C0 + (code >> 10));
            at = put_escape(at, 0xDC00 + (code & 0x3FF));
        }
    }
    if (shown < length) at = put_escape(at, 0x2026);
    *at++ = '"', *at++ = ',';
    text->length += (size_t)(at - end);
    return 0;
}

/* --- Pages -------------------------------------------------------------------------------------------------------- */

static struct page *page_of(Sheet *me) {
    if (me->page == NULL) {
        me->page = spare != NULL ? spare : calloc(1, sizeof *me->page);
        spare = NULL;
        if (me->page == NULL) PyErr_NoMemory();
    }
    return me->page;
}

static void forget_rows(struct page *page) {
    for (struct ground *ground = page->ground; page->grounds; ground++, page->grounds--) {
        Py_DECREF(ground->permission);
        Py_DECREF(ground->reason);
        Py_DECREF(ground->rule);
        Py_XDECREF(ground->shadow_allowed);
        Py_XDECREF(ground->shadow_rule);
    }
    if (page->rows) memset(page->slots, 0, sizeof page->slots);
    page->rows = 0;
    page->places.length = page->described.length = page->asked.length = page->resolved.length = 0;
}

static void give_back(Sheet *me) {
    struct page *page = me->page;
    if (page == NULL) return;
    me->page = NULL;
    forget_rows(page);
    page->batch.length = page->said = 0;
    page->parts = 0;
    page->since = 0;
    if (spare == NULL) {
        spare = page;
        return;
    }
    struct text *texts[] = {&page->batch, &page->places, &page->described, &page->asked, &page->resolved};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(texts[i]->bytes);
    free(page);
}

/* Ends a list whose items have commas behind them. */
static int end_list(struct text *text) {
    if (text->bytes[text->length - 1] == ',') text->length--;
    return append(text, "],", 2);
}

static int append_list(struct text *text, const struct text *items) {
    return append(text, "[", 1) || append(text, items->bytes, items->length) || end_list(text) ? -1 : 0;
}

/* Makes a part of the rows. */
static int close_part(struct page *page) {
    struct text *out = &page->batch;
    int rows = page->rows;
    if (rows == 0) return 0;
    if (append(out, "[", 1) || append_list(out, &page->described) || append(out, "[", 1)) return -1;
    for (int i = 0; i < rows; i++)
        if (append_number(out, page->row[i].ground)) return -1;
    if (end_list(out) || append_list(out, &page->asked) || append_list(out, &page->resolved) || append(out, "[", 1))
        return -1;
    for (int i = 0; i < rows; i++)
        if (append_number(out, page->row[i].first)) return -1;
    if (end_list(out) || append(out, "[", 1)) return -1;
    for (int i = 0; i < rows; i++) {
        const struct row *row = &page->row[i];
        if (row->count == 1) continue;
        if (append(out, "[", 1) || append_number(out, i) || append_number(out, row->count) ||
            append_number(out, row->last) || end_list(out))
            return -1;
    }
    if (end_list(out)) return -1;
    out->length--;
    page->parts++;
    forget_rows(page);
    return append(out, "],", 2);
}

static PyObject *is_due(struct page *page, int64_t now) {
    if (!page->since) page->since = now;
    return PyBool_FromLong(page->rows >= ROWS || page->parts >= PARTS || page->said >= SAID || now < page->since ||
                           now > page->since + HELD_BACK);
}

/* --- Rows --------------------------------------------------------------------------------------------------------- */

/* What is asked of a decision, or of none. Owned, but for a shadow's that is none. */
struct verdict {
    PyObject *permission, *reason, *rule, *value, *shadow_allowed, *shadow_rule;
};

static PyObject *names[5];
enum { PERMISSION, REASON, RULE, VALUE, ALLOWED };

static int prepare_names(void) {
    static const char *const texts[] = {"permission", "reason", "rule", "value", "allowed"};
    for (int i = 0; i < 5; i++)
        if (names[i] == NULL && (names[i] = PyUnicode_InternFromString(texts[i])) == NULL) return -1;
    return 0;
}

static int look_at(struct verdict *verdict, PyObject *decision, PyObject *shadow) {
    memset(verdict, 0, sizeof *verdict);
    if ((verdict->permission = PyObject_GetAttr(decision, names[PERMISSION])) == NULL ||
        (verdict->reason = PyObject_GetAttr(decision, names[REASON])) == NULL ||
        (verdict->rule = PyObject_GetAttr(decision, names[RULE])) == NULL ||
        (verdict->value = PyObject_GetAttr(decision, names[VALUE])) == NULL)
        return -1;
    if (shadow == Py_None) return 0;
    verdict->shadow_allowed = PyObject_GetAttr(shadow, names[ALLOWED]);
    verdict->shadow_rule = PyObject_GetAttr(shadow, names[RULE]);
    return verdict->shadow_allowed != NULL && verdict->shadow_rule != NULL ? 0 : -1;
}

static void let_go(struct verdict *verdict) {
    Py_XDECREF(verdict->permission);
    Py_XDECREF(verdict->reason);
    Py_XDECREF(verdict->rule);
    Py_XDECREF(verdict->value);
    Py_XDECREF(verdict->shadow_allowed);
    Py_XDECREF(verdict->shadow_rule);
}

/* The number of the ground for this verdict at the script's position, a new one where there is none; -1: an exception. */
static int ground_of(Sheet *me, const struct verdict *verdict, PyObject *decision, PyObject *shadow) {
    struct page *page = me->page;
    char where[PATH_MAX + 16];
    size_t length = script_position(where, sizeof where);
    for (int i = page->grounds; i-- > 0;) {
        const struct ground *known = &page->ground[i];
        if (known->permission == verdict->permission && known->reason == verdict->reason &&
            known->rule == verdict->rule && known->shadow_allowed == verdict->shadow_allowed &&
            known->shadow_rule == verdict->shadow_rule && known->where_length == length &&
            memcmp(page->places.bytes + known->where, where, length) == 0)
            return i;
    }
    if (page->grounds == GROUNDS && close_part(page)) return -1;
    PyObject *text = PyObject_CallFunction(me->describe, "OOy#", decision, shadow, where, (Py_ssize_t)length);
    if (text == NULL) return -1;
    char *bytes;
    Py_ssize_t size;
    struct ground *ground = &page->ground[page->grounds];
    *ground = (struct ground){.where = page->places.length, .where_length = length};
    int problem = PyBytes_AsStringAndSize(text, &bytes, &size) || append(&page->places, where, length) ||
                  append(&page->described, bytes, (size_t)size) || append(&page->described, ",", 1);
    Py_DECREF(text);
    if (problem) return -1;
    ground->size = (size_t)size;
    ground->permission = Py_NewRef(verdict->permission);
    ground->reason = Py_NewRef(verdict->reason);
    ground->rule = Py_NewRef(verdict->rule);
    ground->shadow_allowed = Py_XNewRef(verdict->shadow_allowed);
    ground->shadow_rule = Py_XNewRef(verdict->shadow_rule);
    return page->grounds++;
}

static uint64_t hash_of(uint64_t hash, const char *bytes, size_t length) {
    static const uint64_t FACTOR = 0x9E3779B97F4A7C15;
    uint64_t word;
    for (; length >= sizeof word; bytes += sizeof word, length -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = (hash ^ word) * FACTOR;
        hash ^= hash >> 32;
    }
    word = length;
    memcpy(&word, bytes, length);
    hash = (hash ^ word) * FACTOR;
    return hash ^ hash >> 32;
}

/* The row whose texts are the ends of the columns: a new one, unless there is one like it. */
static void note_row(struct page *page, int ground, int64_t now) {
    struct row *row = &page->row[page->rows];
    size_t asked = page->rows ? row[-1].asked_end : 0, resolved = page->rows ? row[-1].resolved_end : 0;
    const char *asked_text = page->asked.bytes + asked, *resolved_text = page->resolved.bytes + resolved;
    size_t asked_length = page->asked.length - asked, resolved_length = page->resolved.length - resolved;
    uint64_t hash = hash_of(hash_of((uint64_t)ground, asked_text, asked_length), resolved_text, resolved_length);
    unsigned slot = hash % SLOTS;
    for (; page->slots[slot]; slot = (slot + 1) % SLOTS) {
        struct row *known = &page->row[page->slots[slot] - 1];
        if (known->hash != hash || known->ground != (uint32_t)ground) continue;
        size_t known_asked = known == page->row ? 0 : known[-1].asked_end;
        size_t known_resolved = known == page->row ? 0 : known[-1].resolved_end;
        if (known->asked_end - known_asked == asked_length && known->resolved_end - known_resolved == resolved_length &&
            memcmp(page->asked.bytes + known_asked, asked_text, asked_length) == 0 &&
            memcmp(page->resolved.bytes + known_resolved, resolved_text, resolved_length) == 0) {
            known->count++;
            known->last = now;
            page->asked.length = asked;
            page->resolved.length = resolved;
            return;
        }
    }
    *row = (struct row){now, now, hash, 1, (uint32_t)ground, page->asked.length, page->resolved.length};
    page->slots[slot] = (uint16_t)++page->rows;
    page->said += page->ground[ground].size + asked_length + resolved_length;
}

static PyObject *sheet_add(Sheet *me, PyObject *const *args, Py_ssize_t count) {
    if (count != 3) return PyErr_Format(PyExc_TypeError, "add(decision, shadow, asked)");
    struct verdict verdict;
    struct page *page = page_of(me);
    int ground = -1;
    if (page == NULL) return NULL;
    int64_t now = clock_now();
    PyObject *asked = args[2];
    if (look_at(&verdict, args[0], args[1]) == 0 && (page->rows < ROWS || close_part(page) == 0))
        ground = ground_of(me, &verdict, args[0], args[1]);
    size_t before = page->asked.length;
    if (ground >= 0 && (append_json(&page->asked, asked == Py_None ? verdict.value : asked) ||
                        append_json(&page->resolved, asked == Py_None ? Py_None : verdict.value))) {
        page->asked.length = before;
        ground = -1;
    }
    let_go(&verdict);
    if (ground < 0) return NULL;
    note_row(page, ground, now);
    return is_due(page, now);
}

static PyObject *sheet_put(Sheet *me, PyObject *part) {
    char *bytes;
    Py_ssize_t size;
    struct page *page = page_of(me);
    if (page == NULL || PyBytes_AsStringAndSize(part, &bytes, &size) || close_part(page)) return NULL;
    if (append(&page->batch, bytes, (size_t)size) || append(&page->batch, ",", 1)) return NULL;
    page->parts++;
    page->said += (size_t)size;
    return is_due(page, clock_now());
}

static PyObject *sheet_take(Sheet *me, PyObject *unused) {
    struct page *page = me->page;
    (void)unused;
    if (page == NULL) return PyBytes_FromStringAndSize(NULL, 0);
    if (close_part(page)) return NULL;
    size_t length = page->batch.length;
    PyObject *taken = length ? PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length + 1) : PyBytes_FromStringAndSize(NULL, 0);
    if (taken == NULL) return NULL;
    if (length) {
        char *bytes = PyBytes_AS_STRING(taken);
        bytes[0] = '[';
        memcpy(bytes + 1, page->batch.bytes, length - 1);
        bytes[length] = ']';
    }
    give_back(me);
    return taken;
}

static PyObject *sheet_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *describe;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs)) return PyErr_Format(PyExc_TypeError, "Sheet(describe)");
    if (!PyArg_ParseTuple(args, "O:Sheet", &describe) || prepare_names()) return NULL;
    Sheet *made = (Sheet *)type->tp_alloc(type, 0);
    if (made != NULL) made->describe = Py_NewRef(describe);
    return (PyObject *)made;
}

static void sheet_dealloc(Sheet *me) {
    give_back(me);
    Py_CLEAR(me->describe);
    Py_TYPE(me)->tp_free((PyObject *)me);
}

static PyMethodDef sheet_methods[] = {
    {"add", (PyCFunction)(void (*)(void))sheet_add, METH_FASTCALL, NULL},
    {"put", (PyCFunction)sheet_put, METH_O, NULL},
    {"take", (PyCFunction)sheet_take, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyTypeObject SheetType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "luspool.sandbox._preempt.Sheet",
    .tp_basicsize = sizeof(Sheet),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = sheet_new,
    .tp_dealloc = (destructor)sheet_dealloc,
    .tp_methods = sheet_methods,
};
