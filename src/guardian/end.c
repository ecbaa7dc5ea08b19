/*  The words and the verdict of an end.

    SPDX-License-Identifier: Apache-2.0 */
#include "guardian/end.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <resil/base.h>

#include "foundation/text.h"

resil__end_t resil__end_of (int wait_status)
{
    if (WIFEXITED (wait_status))
        return (resil__end_t){.kind = RESIL__END_EXITED, .number = WEXITSTATUS (wait_status)};
    return (resil__end_t){.kind = RESIL__END_KILLED,
                          .number = WTERMSIG (wait_status),
                          .dumped = WCOREDUMP (wait_status)};
}

char *resil__end_describe (const resil__end_t *self, char text[RESIL__END_TEXT])
{
    static const char *const blames[RESIL__BLAMES] = {
        [RESIL__BLAME_NONE] = "",
        [RESIL__BLAME_SILENT] = "gave no sign of life in its time: ",
        [RESIL__BLAME_SLOW] = "was not up in its time: ",
        [RESIL__BLAME_STUCK] = "did not end in its time: "};
    const char *blame = blames[self->blame];
    char name[RESIL__SIGNAL_TEXT];
    switch (self->kind) {
    case RESIL__END_EXITED:
        snprintf (text, RESIL__END_TEXT, "%sexited with status %d", blame, self->number);
        break;
    case RESIL__END_KILLED:
        snprintf (text, RESIL__END_TEXT, "%skilled by %s%s", blame,
                  resil__text_signal (name, self->number), self->dumped ? " (core dumped)" : "");
        break;
    case RESIL__END_UNBORN:
        snprintf (text, RESIL__END_TEXT, "could not be executed: %s",
                  strerrordesc_np (self->number) ? strerrordesc_np (self->number) : "unknown");
        break;
    default:
        text[0] = 0;
    }
    return text;
}

const char *resil__end_is_final (const resil__end_t *self, const resil__end_case_t *the_case)
{
    if (the_case->stopping)
        return "it was to stop";
    if (self->kind == RESIL__END_EXITED) {
        if (self->number == 0)
            return "";
        if (self->number == RESIL_EXIT_QUARANTINED)
            return "it has ended, but for threads that hang";
        if (self->number == the_case->final_status)
            return "it asks by that not to be started again";
        if (!the_case->ever_up)
            return "none has been up before, so it is not tried again";
    }
    /*  One that comes up again has no handlers yet: then a reload is not to end the service. */
    if (self->kind == RESIL__END_KILLED && the_case->meant && self->blame == RESIL__BLAME_NONE &&
        (the_case->is_up || !the_case->ever_up))
        return "that signal was sent to it";
    return NULL;
}
