/*
** Messages that a state gathers to send them together, because one by one each costs a call of Python.
**
** A bundle is what docs/messages.md says: a head, and messages with their lengths. Whoever sends much at a time sends
** its first message at once, and those that follow within BURST of each other go into the bundle; where no thread is free
** to run the receiver (`may_wait`), all do. It is sent when it is full, when it has been open for OPEN_FOR, before any
** other call of the host, by a tick if none of these comes soon, and at the end of the step, whatever ends it: so it lives
** within one step, on the thread of that step. It takes no more than the mailbox was known to have room for, so it can
** always be sent.
*/

#include <stdint.h>
#include <stdlib.h>

#include "bundle.h"

/* Known to lua/mail.lua and lua/worker.lua too, as LENGTH_SIZE is. */
enum { HEAD = 0xB5, HEAD_SIZE = 1 };

/* What the receiver holds of a bundle that it has begun is in its own heap. Where there are many workers, the room that a sender is
** told bounds it. */
enum { CAPACITY = 65536 };

static const int64_t BURST = 50000;

int bundle_may_take(struct bundle *bundle, long long to, int64_t now, int may_wait) {
    int follows = to == bundle->last_to && now - bundle->last < BURST;
    bundle->last = now;
    bundle->last_to = to;
    if (to != bundle->to || bundle->room == 0) return 0;
    return may_wait || (follows && (bundle->length == 0 || now - bundle->since <= OPEN_FOR));
}

char *bundle_add(struct bundle *bundle, size_t size) {
    size_t length = bundle->length ? bundle->length : HEAD_SIZE, taken = length + LENGTH_SIZE + size;
    if (size > LARGEST_GATHERED || taken > CAPACITY || taken > bundle->room) return NULL;
    if (bundle->length == 0) {
        if ((bundle->bytes = malloc(CAPACITY)) == NULL) return NULL;
        bundle->bytes[0] = (char)HEAD;
        bundle->since = bundle->last;
    }
    for (int i = 0; i < LENGTH_SIZE; i++) bundle->bytes[length + i] = (char)(size >> 8 * i);
    bundle->length = taken;
    return bundle->bytes + length + LENGTH_SIZE;
}

void bundle_room(struct bundle *bundle, long long to, size_t room, int64_t now) {
    bundle->to = to;
    bundle->room = room;
    bundle->last = now;  /* what sending took is not the sender's pause */
}

const char *bundle_content(const struct bundle *bundle, size_t *size) {
    const size_t first = HEAD_SIZE + LENGTH_SIZE;
    size_t length = 0;
    for (int i = 0; i < LENGTH_SIZE; i++) length |= (size_t)(unsigned char)bundle->bytes[HEAD_SIZE + i] << 8 * i;
    int is_one = first + length == bundle->length;
    *size = is_one ? length : bundle->length;
    return bundle->bytes + (is_one ? first : 0);
}

void bundle_end(struct bundle *bundle) {
    free(bundle->bytes);
    bundle->bytes = NULL;
    bundle->length = 0;
    bundle->room = 0;  /* until it is told anew */
}
