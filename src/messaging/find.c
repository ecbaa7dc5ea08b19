/*  Names to addresses, as a component sees them.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include <resil/messaging.h>

#include "component/self.h"
#include "foundation/errmsg.h"
#include "mailbox/afar.h"
#include "supervisor/state.h"

int resil_self_find (resil_self_t *self, const char *path, resil_address_t *address)
{
    char from_root[2 * (RESIL_PATH_MAX + 1) + 2];
    if (resil__self_check_thread (self, "resil_self_find"))
        return -1;
    if (!path || !*path || !address)
        return resil__refuse (EINVAL, "resil_self_find: %s",
                              address ? "the path is empty" : "the address is NULL");
    if (self->inbox.is_afar)
        return resil__afar->find (path, address);
    if (*path == '/')
        snprintf (from_root, sizeof from_root, "%s", path);
    else
        snprintf (from_root, sizeof from_root, "/%s/%s", self->supervisor, path);
    const resil__tree_t *tree = self->carrier->owner;
    return resil_supervisor_find (tree->root, from_root, address);
}
