/*  Numbers with blanks between; the name is the rest, as it may have blanks too.

    SPDX-License-Identifier: Apache-2.0 */
#include "guardian/mark.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

size_t resil__mark_write (const resil__mark_t *self, char text[RESIL__MARK_MAX])
{
    return (size_t) snprintf (
        text, RESIL__MARK_MAX, "1 %d %d %" PRIu64 " %d %d %d %d %" PRId64 " %s %s", self->guardian,
        self->child, self->restarts, (int) self->end.kind, self->end.number, self->end.dumped,
        (int) self->end.blame, self->end.ran_ms, self->news, self->name);
}

bool resil__mark_read (resil__mark_t *self, const char *text)
{
    int version, guardian, child, kind, number, dumped, blame, name_at = 0;
    uint64_t restarts;
    int64_t ran_ms;
    *self = (resil__mark_t){0};
    int read =
        sscanf (text, "%d %d %d %" SCNu64 " %d %d %d %d %" SCNd64 " %31s %n", &version, &guardian,
                &child, &restarts, &kind, &number, &dumped, &blame, &ran_ms, self->news, &name_at);
    if (read < 3 || version < 1 || guardian < 1 || child < 1)
        return false;
    self->guardian = guardian;
    self->child = child;
    if (read < 10 || kind < 0 || kind >= RESIL__END_KINDS || blame < 0 || blame >= RESIL__BLAMES)
        return version > 1; /*  of it, what is the same in all                             */
    self->restarts = restarts;
    self->end =
        (resil__end_t){(resil__end_kind_t) kind, number, dumped, (resil__blame_t) blame, ran_ms};
    if (name_at > 0)
        snprintf (self->name, sizeof self->name, "%s", text + name_at);
    return true;
}
