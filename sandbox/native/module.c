/*
** The Python module, and whether the Lua that lupa has loaded is the one that all of this was written for.
*/

#include "preempt.h"

#include <dlfcn.h>

#include "matcher.h"
#include "sheet.h"

#define DEFINE(result, name, parameters) result(*name) parameters;
LUA_FUNCTIONS(DEFINE)
#undef DEFINE

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

static PyMethodDef module_functions[] = {
    {"bind", bind, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_preempt", NULL, -1, module_functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__preempt(void) {
    if (PyType_Ready(&StepperType) < 0 || PyType_Ready(&SheetType) < 0) return NULL;
    if (prepare_threads() != 0) return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made == NULL || (PyModule_AddObjectRef(made, "Stepper", (PyObject *)&StepperType) == 0 &&
                         PyModule_AddObjectRef(made, "Sheet", (PyObject *)&SheetType) == 0))
        return made;
    Py_DECREF(made);
    return NULL;
}
