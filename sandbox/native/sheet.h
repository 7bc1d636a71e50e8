/*
** What keeps the decisions of a state for the audit log: see sheet.c.
*/

#ifndef LUSPOOL_SHEET_H
#define LUSPOOL_SHEET_H

#include <Python.h>

/* preempt.c: writes where the script is whose step this thread is inside of, "?" where that isn't known; gives the length.
** From within a host call of that script, so that all its coroutines stand still. */
size_t script_position(char *text, size_t room);

/* The type of Python's, which keeps decisions. */
extern PyTypeObject SheetType __attribute__((visibility("hidden")));

#endif
