/*
** Messages that a state gathers to send them together, because one by one each costs a call of Python.
**
** A bundle is what docs/messages.md says: a head, and messages with their lengths. Whoever sends much at a time sends
** its first message at once, and those that follow within BURST of each other go into the bundle. It is sent when it
** is full, when it has been open for OPEN_FOR, and at the end of the step, whatever ends it: so it lives within one step,
** on the thread of that step. It takes no more than the mailbox was known to have room for, so it can always be sent.
*/

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bundle.h"

/* Known to lua/mail.lua too. */
enum { HEAD = 0xB5, HEAD_SIZE = 1, LENGTH_SIZE = 4 };

/* What the receiver holds of a bundle that it has begun is in its own heap: this much for each worker, at most. */
enum { CAPACITY = 4096 };
enum { LARGEST = 1024 };  /* of a message; one that is larger gains little */

static const int64_t BURST = 50000;

int bundle_add(struct bundle *bundle, long long to, const char *message, size_t size, size_t room, int64_t now) {
    size_t length = bundle->length ? bundle->length : HEAD_SIZE, taken = length + LENGTH_SIZE + size;
    int follows = to == bundle->last_to && now - bundle->last < BURST;
    bundle->last = now;
    bundle->last_to = to;
    if (!follows || size > LARGEST || taken > CAPACITY || taken > (bundle->length ? bundle->room : room)) return 0;
    if (bundle->length == 0) {
        if ((bundle->bytes = malloc(CAPACITY)) == NULL) return 0;
        bundle->bytes[0] = (char)HEAD;
        bundle->since = now;
        bundle->to = to;
        bundle->room = room;
    } else if (now - bundle->since > OPEN_FOR) {
        return 0;
    }
    for (int i = 0; i < LENGTH_SIZE; i++) bundle->bytes[length + i] = (char)(size >> 8 * i);
    memcpy(bundle->bytes + length + LENGTH_SIZE, message, size);
    bundle->length = taken;
    return 1;
}

void bundle_end(struct bundle *bundle) {
    free(bundle->bytes);
    bundle->bytes = NULL;
    bundle->length = 0;
}
