/*  Those who are in another process. All of them share one mailbox here, which never opens: so what is put there finds
    out that it has a longer way to go only where it would have been refused, and nobody else pays for it. What
    brings it on its way is in `resil__afar`; it is set in a process that hosts a component, before that begins.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MAILBOX_AFAR_H
#define RESIL_MAILBOX_AFAR_H

#include "mailbox/watcher.h"

/*  The place of their addresses; the number is what the other side calls them. */
extern resil__mailbox_t resil__afar_mailbox;

typedef struct {
    /*  As resil__mailbox_put. */
    int (*put) (uint64_t to, resil_message_t *message, resil_full_t full, int64_t deadline_us);
    /*  The reply to the call that came with that number, or the note that there is none; it is taken. */
    void (*reply) (uint64_t number, resil_message_t *reply);
    void (*watch) (uint64_t whom, uint64_t context);
    void (*unwatch) (uint64_t whom);
    /*  0, or -1 with errno and a sentence. */
    int (*find) (const char *path, resil_address_t *address);
    int (*save) (const void *bytes, size_t size);

    /*  Of the component that is hosted, in its thread: its own address; it has taken that message, or found none
        (NULL); what it had in hand before has been handled, or is kept. */
    resil_address_t (*own) (void);
    void (*took) (const resil_message_t *message);
    void (*handled) (void);
    void (*kept) (void);
} resil__afar_t;

extern const resil__afar_t *resil__afar;

static inline resil_address_t resil__afar_address (uint64_t number)
{
    return number ? (resil_address_t){&resil__afar_mailbox, number} : RESIL_NOBODY;
}

static inline bool resil__is_afar (const void *place)
{
    return place == &resil__afar_mailbox;
}

#endif
