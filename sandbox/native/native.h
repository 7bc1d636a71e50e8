/*
** What the sources of the native module know of each other.
*/

#ifndef LUSPOOL_NATIVE_H
#define LUSPOOL_NATIVE_H

#include "lua55.h"

/* preempt.c: whether the state that this thread steps is to end. Long loops in C look at it now and then. */
int is_stopping(void);

/* preempt.c: whether the slice is over, or the state to end. What can go on in Lua as well goes on there then. */
int is_pause_due(void);

/* memory.c: collects garbage where a string of so many bytes would not fit otherwise. 0: it never will. */
int make_room(lua_State *L, double size);

/* mail.c: whether a message to the parent (0) or a child may go out with others, or at the end of the step; to be asked once
** for each, before it is made. If not, it is for the caller to send it, after those. */
int may_gather(lua_State *L, long long to);

/* mail.c: where such a message of so many bytes is to be written, at once; NULL where it does not fit. */
char *gather(lua_State *L, size_t size);

/* mail.c: what the host says to a message that is sent to the parent (0) or a child at once. */
enum sent { SENT, NO_ROOM, NOT_SENT };
enum sent transmit(lua_State *L, long long to, const void *head, size_t head_size, const char *text, size_t text_size);

/* mail.c: the message that was brought to the state and has not been taken, which lies where it is until the next comes or the
** step ends; or NULL. */
const char *take_mail(lua_State *L, size_t *size);

/* codec.c: empties the stack of the function and pushes what `brought` gives. */
int push_brought(lua_State *L);

/* guards.c: puts `guard` into the table on top of the stack. */
void add_guard(lua_State *L);

/* position.c: writes "name:line" of the innermost function on L that is the script's own, cut to `room` bytes; gives
** its length, or 0 where there is none. Takes no memory; not to be called while Lua moves the stack of L. */
size_t find_position(lua_State *L, char *text, size_t room);

/* position.c: what is wrong with this Lua's frames, for a hook that runs in the second line of a chunk "@trial". */
const char *try_position(lua_State *L, const lua_Debug *event);

/* patterns.c: puts find, match, gmatch and gsub into the table on top of the stack. */
void add_patterns(lua_State *L);

/* json.c: puts `json` into the table on top of the stack, which gives a table of functions. */
void add_json(lua_State *L);

/* codec.c: puts `codec` into the table on top of the stack, which makes the functions for messages. */
void add_codec(lua_State *L);

#endif
