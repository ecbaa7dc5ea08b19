/*  Bytes for the next incarnation. They lie with the component's mailbox, which outlives its incarnations wherever
    these run; one in a process of its own has the other side keep them too, as it is that which lives on.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <resil/host.h>

#include "component/self.h"
#include "foundation/errmsg.h"
#include "mailbox/afar.h"

static int check (const resil_self_t *self, const char *call)
{
    if (resil__self_check_thread (self, call))
        return -1;
    if (!self->inbox.mailbox)
        return resil__refuse (EPERM, "%s: \"%s\" has no place where that could be kept", call,
                              self->spec->name);
    return 0;
}

int resil_save (resil_self_t *self, const void *bytes, size_t size)
{
    if (check (self, "resil_save"))
        return -1;
    if (!bytes && size)
        return resil__refuse (EINVAL, "resil_save: the bytes are NULL");
    if (size > RESIL_SAVED_MAX)
        return resil__refuse (EMSGSIZE, "resil_save: %zu bytes are more than RESIL_SAVED_MAX (%zu)",
                              size, RESIL_SAVED_MAX);
    resil_message_t *message = size ? resil_message_new (0, bytes, size) : NULL;
    if (size && !message)
        return -1;
    if (self->inbox.is_afar && resil__afar->save (bytes, size)) {
        resil_message_destroy (&message);
        return -1;
    }
    int error = resil__mailbox_save (self->inbox.mailbox, self, message);
    if (error == 0)
        return 0;
    if (error == ENOMEM)
        return resil__refuse (ENOMEM, "resil_save: no memory");
    return resil__refuse (ESTALE, "resil_save: \"%s\" has been given up and replaced; return",
                          self->spec->name);
}

const void *resil_saved (resil_self_t *self, size_t *size)
{
    bool is_kept;
    if (size)
        *size = 0;
    if (check (self, "resil_saved"))
        return NULL;
    if (!size) {
        resil__refuse (EINVAL, "resil_saved: there is no place for the size");
        return NULL;
    }
    resil__desk_t *desk = resil__desk_need (self);
    if (!desk)
        return NULL;
    resil_message_destroy (&desk->saved);
    desk->saved = resil__mailbox_saved (self->inbox.mailbox, &is_kept);
    if (!desk->saved) {
        if (!is_kept)
            resil__refuse (ENOENT, "resil_saved: nothing has been saved");
        return NULL;
    }
    *size = resil_message_size (desk->saved);
    return resil_message_data (desk->saved);
}
