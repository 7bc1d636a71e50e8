/*
** Messages that are sent together: see bundle.c.
*/

#ifndef LUSPOOL_BUNDLE_H
#define LUSPOOL_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds for which a bundle waits for more, where its sender sends more, and at most about ten times as long where
** it does not: a tick ends the step then. */
#define OPEN_FOR ((int64_t)100000)

struct bundle {
    long long to;    /* 0: the parent; else a child's number */
    size_t room;     /* bytes that may be gathered */
    int64_t last;    /* when the last message to anybody was sent or gathered */
    volatile int64_t since;   /* when the first was gathered that is in here */
    volatile size_t length;   /* 0: nothing is in here. Read by the signal handler of the thread, as `since` is. */
    char *bytes;
};

/* A message was sent to `to`, which takes a bundle of `room` bytes after it for sure. Nothing may be in the bundle. */
void bundle_begin(struct bundle *bundle, long long to, size_t room, int64_t now);

/* Puts a message in. 0: it is to be sent by itself, after the bundle. */
int bundle_add(struct bundle *bundle, long long to, const char *message, size_t size, int64_t now);

/* Forgets what is in there. */
void bundle_end(struct bundle *bundle);

#endif
