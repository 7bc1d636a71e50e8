/*
** Messages that are sent together: see bundle.c.
*/

#ifndef LUSPOOL_BUNDLE_H
#define LUSPOOL_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds for which a bundle waits for more, where its sender sends more and somebody could take them; and about four
** times as long at most where not: a tick has it sent then. */
#define OPEN_FOR ((int64_t)250000)

struct bundle {
    long long to;    /* whom this is for, and `room` is about. 0: the parent; else a child's number */
    size_t room;     /* bytes that may be in here: its mailbox has room for so many, which only its sender can take up */
    long long last_to;   /* whom the last message was for; NOBODY when a step begins */
    int64_t last;        /* and when it came */
    volatile int64_t since;   /* when the first was gathered that is in here */
    volatile size_t length;   /* 0: nothing is in here. Read by the signal handler of the thread, as `since` is. */
    char *bytes;
};

enum { NOBODY = -1 };
enum { LENGTH_SIZE = 4 };  /* bytes before each message, which say how long it is */
enum { LARGEST_GATHERED = 4096 };  /* bytes of a message that is put in; a larger one gains little */

/* Whether a message that comes now may be put in, if there is room; to be asked once for each. 0: it is to be sent by itself, after
** the bundle. `may_wait`: nobody could take it before the end of the step anyhow. */
int bundle_may_take(struct bundle *bundle, long long to, int64_t now, int may_wait);

/* Where the message that was asked about last is to be written, at once. NULL: there is no room. */
char *bundle_add(struct bundle *bundle, size_t size);

/* What was sent last, to this receiver and by now, has left room for so many bytes. Only while nothing is in there. */
void bundle_room(struct bundle *bundle, long long to, size_t room, int64_t now);

/* What is in there, as it is to be sent: a single message as it came. */
const char *bundle_content(const struct bundle *bundle, size_t *size);

/* Forgets what is in there. */
void bundle_end(struct bundle *bundle);

#endif
