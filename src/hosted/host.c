/*  resil_host: is this process one for a component? Then it is that and nothing else.

    SPDX-License-Identifier: Apache-2.0 */
#include <resil/host.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <resil/log.h>

#include "component/self.h"
#include "foundation/errmsg.h"
#include "foundation/process.h"
#include "hosted/crash.h"
#include "hosted/relay.h"
#include "hosted/requests.h"

#define LAST_ACK_MS 1000
#define LAST_WORDS_MS 1000
#define LAST_LINES_MS 500

/*  What the environment says; copied, as it is removed there. */
typedef struct {
    char *type;
    char *errors;
    char *control;
    char *token;
    uint64_t incarnation;
    int trace_fd;
} assignment_t;

static atomic_bool has_ended;

static _Noreturn void give_up (const char *why)
{
    fprintf (stderr, "resil: this process cannot run a component: %s\n", why);
    _exit (RESIL__HOSTED_FAILED); /*  there may be sockets that exit would wait for         */
}

/*  ---- The environment ------------------------------------------------------------------------------- */

/*  Nobody below this process is to have it. */
static char *take (const char *name)
{
    const char *value = getenv (name);
    char *copy = value ? strdup (value) : NULL;
    char why[128];
    if (!copy) {
        snprintf (why, sizeof why, "%s is set, and %s is not", RESIL__ENV_TYPE, name);
        give_up (value ? "there is no memory" : why);
    }
    unsetenv (name);
    return copy;
}

static void check_protocol (const char *version)
{
    char why[128];
    if (strcmp (version, "1") == 0)
        return;
    snprintf (why, sizeof why,
              "its parent speaks version %.20s of the component protocol, and this is version %d",
              version, RESIL__PROTOCOL);
    give_up (why);
}

static int number_of (const char *name)
{
    const char *text = getenv (name);
    return text && *text ? atoi (text) : -1;
}

static assignment_t read_assignment (void)
{
    assignment_t assignment = {.type = take (RESIL__ENV_TYPE)};
    char *version = take (RESIL__ENV_PROTOCOL);
    check_protocol (version);
    free (version);
    assignment.errors = take (RESIL__ENV_ERRORS);
    assignment.control = take (RESIL__ENV_CONTROL);
    assignment.token = take (RESIL__ENV_TOKEN);
    const char *incarnation = getenv (RESIL__ENV_INCARNATION);
    assignment.incarnation = incarnation ? strtoull (incarnation, NULL, 10) : 0;
    assignment.trace_fd = number_of (RESIL__ENV_TRACE_FD);
    unsetenv (RESIL__ENV_TRACE_FD);
    return assignment;
}

/*  ---- The end --------------------------------------------------------------------------------------- */

/*  The component has called exit, while its own thread or another of them is within ZeroMQ: nothing of that can be torn
    down. What it has reported is waited for, what is buffered is written, and that is all. */
static void on_early_exit (int status, void *unused)
{
    resil_self_t *self = resil__self_current ();
    (void) unused;
    if (atomic_load (&has_ended))
        return;
    if (self && self->reported)
        resil_await_ack (self, LAST_ACK_MS);
    if (self)
        resil__requests_settle (self->spec->name, LAST_WORDS_MS);
    resil_log_flush (LAST_LINES_MS);
    fflush (NULL);
    _exit (status);
}

static _Noreturn void host (void)
{
    resil__link_t link;
    assignment_t assignment = read_assignment ();
    if (assignment.trace_fd >= 0 && fcntl (assignment.trace_fd, F_SETFD, FD_CLOEXEC) == 0)
        resil__crash_report_to (assignment.trace_fd);
    resil__process_is_expendable ();
    if (resil_init () ||
        resil__link_open (&link, assignment.errors, assignment.control, assignment.incarnation) ||
        resil__link_greet (&link, assignment.token))
        give_up (resil_errmsg ());
    resil__crash_get_ready ();
    /*  After ZeroMQ's, and so called before it. */
    on_exit (on_early_exit, NULL);
    int status = resil__relay_run (&link, assignment.type, getenv (RESIL__ENV_PATH));
    resil__link_close (&link);
    free (assignment.type);
    free (assignment.errors);
    free (assignment.control);
    free (assignment.token);
    atomic_store (&has_ended, true);
    resil__crash_none_so_far ();
    exit (status);
}

void resil_host (void)
{
    if (getenv (RESIL__ENV_TYPE))
        host ();
    resil__process_note_host ();
}
