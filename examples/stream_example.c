/*  stream_example: a component listens on a stream, fails once as something that it requires is
    missing, is restarted with it, and ends on Ctrl-C.

    Standard output has the component's story and nothing else; where it listens is on stderr:
    `nc 127.0.0.1 PORT` is greeted.

    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>

#include <czmq.h>

/*  The task's arguments. They outlive its incarnations and are its alone, so they need
    no lock: its handler runs between two incarnations, never beside one. */
typedef struct {
    const char *greeting; /*  what it says to who connects; required                   */
} task_t;

static void destroy_stream (void *stream)
{
    zsock_destroy ((zsock_t **) &stream);
}

/*  A stream socket gives each event as two frames: who, and what came from there, which
    is empty when they connect or leave. It is answered in the same form. Who has left or
    does not read cannot be sent to; then the second frame must not follow the first. */
static void serve (zsock_t *stream, const task_t *task)
{
    zframe_t *who = zframe_recv (stream);
    zframe_t *what = zframe_recv (stream);
    bool came_or_left = what && zframe_size (what) == 0;
    if (who && came_or_left && zframe_send (&who, stream, ZFRAME_MORE) == 0)
        zstr_send (stream, task->greeting);
    zframe_destroy (&what);
    zframe_destroy (&who);
}

static int task_start (resil_self_t *self, void *args)
{
    const task_t *task = args;
    printf ("starting component %s\n", resil_self_name (self));

    zsock_t *stream = zsock_new (ZMQ_STREAM);
    if (!stream || resil_cleanup (self, destroy_stream, stream))
        return resil_fail (self, errno, "a stream socket");
    /*  It waits for all that happens, and never for one peer. */
    zsock_set_sndtimeo (stream, 0);
    if (zsock_bind (stream, "tcp://127.0.0.1:*") < 0)
        return resil_fail (self, errno, "bind(tcp://127.0.0.1:*)");
    if (!task->greeting)
        return resil_fail (self, 0, "missing something required");

    fprintf (stderr, "listening on %s\n", zsock_endpoint (stream));
    while (resil_wait (self, stream, RESIL_FOREVER) > 0)
        serve (stream, task);

    printf ("terminating component %s\n", resil_self_name (self));
    return 0;
}

static int task_handle_irrecoverable (void *args, const resil_error_t *error)
{
    task_t *task = args;
    printf ("Received irrecoverable error: %s\n", resil_error_text (error));
    task->greeting = "hello\n";
    return 0;
}

int main (void)
{
    /*  In a pipe too, each line is to be seen when it is said. */
    setvbuf (stdout, NULL, _IOLBF, 0);

    task_t task = {.greeting = NULL};
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    if (!supervisor ||
        resil_supervisor_add_simple (supervisor, "task", task_start, task_handle_irrecoverable,
                                     &task) ||
        resil_supervisor_run (supervisor)) {
        fprintf (stderr, "stream_example: %s\n", resil_errmsg ());
        return EXIT_FAILURE;
    }
    resil_supervisor_destroy (&supervisor);
    return EXIT_SUCCESS;
}
