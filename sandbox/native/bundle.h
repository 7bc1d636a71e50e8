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
    long long to;    /* whom this is for. 0: the parent; else a child's number */
    size_t room;     /* bytes that may be in here */
    long long last_to;   /* whom the last message was for; NOBODY when a step begins */
    int64_t last;        /* and when it came */
    volatile int64_t since;   /* when the first was gathered that is in here */
    volatile size_t length;   /* 0: nothing is in here. Read by the signal handler of the thread, as `since` is. */
    char *bytes;
};

enum { NOBODY = -1 };

/* Puts a message in. 0: it is to be sent by itself, after the bundle. `room` is how large a bundle is taken for sure, as
** was told when the last message was sent by itself to the same receiver. */
int bundle_add(struct bundle *bundle, long long to, const char *message, size_t size, size_t room, int64_t now);

/* Forgets what is in there. */
void bundle_end(struct bundle *bundle);

#endif
