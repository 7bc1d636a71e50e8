/*
** Lua 5.5's interface, by hand: lupa installs no headers. Its functions are pointers, found in the library that lupa has
** loaded when the module is bound (module.c), which also tries out whether that is the Lua that was written for.
*/

#ifndef LUSPOOL_LUA55_H
#define LUSPOOL_LUA55_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lua_State lua_State;
typedef intptr_t lua_KContext;
typedef int (*lua_CFunction)(lua_State *);
typedef int (*lua_KFunction)(lua_State *, int, lua_KContext);

/* What lua_getinfo tells of a function that runs. */
typedef struct {
    int event;
    const char *name, *namewhat, *what, *source;
    size_t srclen;
    int currentline, linedefined, lastlinedefined;
    unsigned char nups, nparams;
    char isvararg;
    unsigned char extraargs;
    char istailcall;
    int ftransfer, ntransfer;
    char short_src[60];
    void *frame;
} lua_Debug;

typedef void (*lua_Hook)(lua_State *, lua_Debug *);
typedef void *(*lua_Alloc)(void *, void *, size_t, size_t);

enum { LUA_OK, LUA_YIELD, LUA_ERRRUN, LUA_ERRSYNTAX, LUA_ERRMEM };
enum { LUA_TNIL = 0, LUA_TBOOLEAN, LUA_TNUMBER = 3, LUA_TSTRING, LUA_TTABLE, LUA_TFUNCTION };
enum { LUA_GCCOLLECT = 2, LUA_GCCOUNT, LUA_GCCOUNTB = 4 };
enum { LUA_HOOKCOUNT = 3 };
enum { LUA_MASKRET = 2, LUA_MASKCOUNT = 8 };
enum { LUA_MULTRET = -1, LUA_VERSION_NUM = 505, FIRST_UPVALUE = -(INT_MAX / 2 + 1000) - 1 };

#define UPVALUE(number) (FIRST_UPVALUE + 1 - (number))

/* Opaque: all that is known of it is that it takes about 1,060 bytes. */
typedef struct {
    long long room[192];
} luaL_Buffer;

#define LUA_FUNCTIONS(X)                                                                                               \
    X(void, lua_callk, (lua_State *, int, int, lua_KContext, lua_KFunction))                                           \
    X(int, lua_checkstack, (lua_State *, int))                                                                         \
    X(void, lua_close, (lua_State *))                                                                                  \
    X(int, lua_closethread, (lua_State *, lua_State *))                                                                \
    X(void, lua_concat, (lua_State *, int))                                                                            \
    X(void, lua_copy, (lua_State *, int, int))                                                                         \
    X(void, lua_createtable, (lua_State *, int, int))                                                                  \
    X(int, lua_error, (lua_State *))                                                                                   \
    X(int, lua_gc, (lua_State *, int, ...))                                                                            \
    X(lua_Alloc, lua_getallocf, (lua_State *, void **))                                                                \
    X(int, lua_gethookmask, (lua_State *))                                                                             \
    X(int, lua_getinfo, (lua_State *, const char *, lua_Debug *))                                                      \
    X(int, lua_getmetatable, (lua_State *, int))                                                                       \
    X(int, lua_getstack, (lua_State *, int, lua_Debug *))                                                              \
    X(int, lua_gettable, (lua_State *, int))                                                                           \
    X(int, lua_gettop, (lua_State *))                                                                                  \
    X(int, lua_isinteger, (lua_State *, int))                                                                          \
    X(int, lua_isstring, (lua_State *, int))                                                                           \
    X(int, lua_isyieldable, (lua_State *))                                                                             \
    X(lua_State *, lua_newthread, (lua_State *))                                                                       \
    X(void *, lua_newuserdatauv, (lua_State *, size_t, int))                                                           \
    X(int, lua_pcallk, (lua_State *, int, int, int, lua_KContext, lua_KFunction))                                      \
    X(int, lua_next, (lua_State *, int))                                                                               \
    X(void, lua_pushboolean, (lua_State *, int))                                                                       \
    X(void, lua_pushcclosure, (lua_State *, lua_CFunction, int))                                                       \
    X(void, lua_pushinteger, (lua_State *, long long))                                                                 \
    X(void, lua_pushlightuserdata, (lua_State *, void *))                                                              \
    X(const char *, lua_pushlstring, (lua_State *, const char *, size_t))                                              \
    X(void, lua_pushnil, (lua_State *))                                                                                \
    X(void, lua_pushnumber, (lua_State *, double))                                                                     \
    X(const char *, lua_pushstring, (lua_State *, const char *))                                                       \
    X(void, lua_pushvalue, (lua_State *, int))                                                                         \
    X(int, lua_rawget, (lua_State *, int))                                                                             \
    X(int, lua_rawgeti, (lua_State *, int, long long))                                                                 \
    X(unsigned long long, lua_rawlen, (lua_State *, int))                                                              \
    X(void, lua_rawset, (lua_State *, int))                                                                            \
    X(void, lua_rawseti, (lua_State *, int, long long))                                                                \
    X(int, lua_resume, (lua_State *, lua_State *, int, int *))                                                         \
    X(void, lua_rotate, (lua_State *, int, int))                                                                       \
    X(void, lua_setallocf, (lua_State *, lua_Alloc, void *))                                                           \
    X(void, lua_setfield, (lua_State *, int, const char *))                                                            \
    X(void, lua_sethook, (lua_State *, lua_Hook, int, int))                                                            \
    X(void, lua_settop, (lua_State *, int))                                                                            \
    X(int, lua_status, (lua_State *))                                                                                  \
    X(int, lua_toboolean, (lua_State *, int))                                                                          \
    X(lua_CFunction, lua_tocfunction, (lua_State *, int))                                                              \
    X(long long, lua_tointegerx, (lua_State *, int, int *))                                                            \
    X(const char *, lua_tolstring, (lua_State *, int, size_t *))                                                       \
    X(double, lua_tonumberx, (lua_State *, int, int *))                                                                \
    X(const void *, lua_topointer, (lua_State *, int))                                                                 \
    X(lua_State *, lua_tothread, (lua_State *, int))                                                                   \
    X(void *, lua_touserdata, (lua_State *, int))                                                                      \
    X(int, lua_type, (lua_State *, int))                                                                               \
    X(const char *, lua_typename, (lua_State *, int))                                                                  \
    X(double, lua_version, (lua_State *))                                                                              \
    X(void, lua_xmove, (lua_State *, lua_State *, int))                                                                \
    X(int, lua_yieldk, (lua_State *, int, lua_KContext, lua_KFunction))                                                \
    X(void, luaL_addlstring, (luaL_Buffer *, const char *, size_t))                                                    \
    X(void, luaL_addvalue, (luaL_Buffer *))                                                                            \
    X(void *, luaL_alloc, (void *, void *, size_t, size_t))                                                            \
    X(void, luaL_buffinit, (lua_State *, luaL_Buffer *))                                                               \
    X(const char *, luaL_checklstring, (lua_State *, int, size_t *))                                                   \
    X(void, luaL_checkstack, (lua_State *, int, const char *))                                                         \
    X(int, luaL_error, (lua_State *, const char *, ...))                                                               \
    X(int, luaL_loadbufferx, (lua_State *, const char *, size_t, const char *, const char *))                          \
    X(lua_State *, luaL_newstate, (void))                                                                              \
    X(long long, luaL_optinteger, (lua_State *, int, long long))                                                       \
    X(void, luaL_pushresult, (luaL_Buffer *))                                                                          \
    X(int, luaL_typeerror, (lua_State *, int, const char *))                                                           \
    X(void, luaL_where, (lua_State *, int))

/* Hidden: without that, each use would go through a table of addresses that another library may fill. */
#pragma GCC visibility push(hidden)
#define DECLARE(result, name, parameters) extern result(*name) parameters;
LUA_FUNCTIONS(DECLARE)
#undef DECLARE
#pragma GCC visibility pop

#endif
