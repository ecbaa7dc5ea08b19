/*  SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/fault.h"

#include <stdlib.h>
#include <string.h>

/*  Room for text grows by this, so that texts that differ in a number take the same. */
#define TEXT_STEP 64

static size_t room_for (const char *text)
{
    return strlen (text) / TEXT_STEP * TEXT_STEP + TEXT_STEP;
}

/*  Whether there is room for that text now. */
static bool make_room (resil__fault_t *self, const char *text)
{
    size_t had = self->error ? room_for (self->error->text) : 0, needed = room_for (text);
    if (had == needed)
        return true;
    resil_error_t *error = realloc (self->error, offsetof (resil_error_t, text) + needed);
    if (error)
        self->error = error;
    return error || had > needed;
}

static void say_that_it_is_lost (resil_error_t *error)
{
    static const char lost[] = "(there was no memory for what it said)";
    _Static_assert(sizeof lost <= TEXT_STEP, "there is room for it wherever one was kept");
    memcpy (error->text, lost, sizeof lost);
    error->text_hash = 0;
}

void resil__fault_set (resil__fault_t *self, const resil_error_t *error)
{
    resil_error_t *kept = self->error;
    /*  Who fails again and again mostly says the same. */
    if (kept && strcmp (kept->text, error->text) == 0) {
        uint64_t hash = kept->text_hash;
        memcpy (kept, error, offsetof (resil_error_t, text));
        kept->text_hash = hash;
        return;
    }
    if (make_room (self, error->text))
        resil__error_copy (self->error, error);
    else if (kept) {
        memcpy (kept, error, offsetof (resil_error_t, text));
        say_that_it_is_lost (kept);
    }
    else {
        self->file = error->file;
        self->code = error->code;
        self->line = (unsigned) error->line & 0xffffff;
        self->kind = (unsigned) error->kind & 0xff;
    }
}

void resil__fault_release (resil__fault_t *self)
{
    free (self->error);
    *self = (resil__fault_t){0};
}

resil_error_t *resil__fault_error (const resil__fault_t *self, resil_error_t *made)
{
    if (self->error)
        return self->error;
    memset (made, 0, offsetof (resil_error_t, text) + 1);
    made->kind = (resil_error_kind_t) self->kind;
    made->file = self->file ? self->file : "";
    made->code = self->code;
    made->line = (int) self->line;
    if (self->kind)
        say_that_it_is_lost (made);
    return made;
}
