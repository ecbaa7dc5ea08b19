/*  tree: a tree of supervisors, with a component that makes the others fail.

        plant (rest for one)
            display                     prints the tree every second
            storage                     counts what arrives
            processing (rest for one)   gives up after two restarts in ten seconds
                scaler
                acquisition (one for one)
                    sensor 1, 2, 3
            injector                    has each of them fail in its turn

    Who is needed stands before those who need it. An inproc socket does not connect again to one that
    was bound anew, so who has connected to one that failed is started again with it.

    Usage: tree [SECONDS]    until Ctrl-C unless said

    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>

#include <czmq.h>
#include <stdatomic.h>

#define SAMPLE_MS 20
#define HANG_MS 500
#define FAULT_MS 800
#define CALM_MS 3000

typedef enum { GO_ON, FAIL, PANIC, HANG } order_t;

/*  A component that takes records from one endpoint to another. What it has counted survives its
    incarnations; the order comes from the injector's thread. */
typedef struct {
    const char *name;
    const char *in;  /*  NULL: it makes records                                   */
    const char *out; /*  NULL: it keeps them                                      */
    atomic_int records;
    atomic_int order;
} part_t;

static part_t storage = {.name = "storage", .in = "@inproc://results"};
static part_t scaler = {.name = "scaler", .in = "@inproc://samples", .out = ">inproc://results"};
static part_t sensors[] = {{.name = "sensor 1", .out = ">inproc://samples"},
                           {.name = "sensor 2", .out = ">inproc://samples"},
                           {.name = "sensor 3", .out = ">inproc://samples"}};

static const struct {
    part_t *part;
    order_t order;
    const char *what;
} faults[] = {
    {&sensors[0], FAIL, "fail"}, {&sensors[1], PANIC, "panic"}, {&sensors[2], HANG, "hang"},
    {&scaler, FAIL, "fail"},     {&scaler, FAIL, "fail"},       {&scaler, FAIL, "fail"},
    {&storage, FAIL, "fail"},
};
#define FAULTS (sizeof faults / sizeof *faults)

static void close_socket (void *arg)
{
    zsock_t *socket = arg;
    if (zsock_endpoint (socket)) /*  so that its name is free at once                         */
        zsock_unbind (socket, "%s", zsock_endpoint (socket));
    zsock_destroy (&socket);
}

/*  It is closed when the incarnation ends, and never waits for its peer. 0, or -1: it has failed. */
static int keep (resil_self_t *self, zsock_t *socket, const char *endpoint)
{
    if (!socket || resil_cleanup (self, close_socket, socket)) {
        zsock_destroy (&socket);
        return resil_fail (self, errno, "%s", endpoint);
    }
    zsock_set_sndtimeo (socket, 0);
    return 0;
}

/*  0, or -1: it has failed. */
static int obey (resil_self_t *self, part_t *part)
{
    order_t order = (order_t) atomic_load (&part->order);
    if (order == HANG)
        while (!resil_cancelled (self))
            ; /*  busy, without any progress                               */
    atomic_store (&part->order, GO_ON);
    if (order == PANIC)
        resil_panic (self, 0, "told to panic");
    return order == FAIL ? resil_fail (self, 0, "told to fail") : 0;
}

static int ended (resil_self_t *self)
{
    printf ("%s ends\n", resil_self_name (self));
    return 0;
}

static int work (resil_self_t *self, void *args)
{
    part_t *part = args;
    zsock_t *in = part->in ? zsock_new_pull (part->in) : NULL;
    if (part->in && keep (self, in, part->in))
        return -1;
    zsock_t *out = part->out ? zsock_new_push (part->out) : NULL;
    if (part->out && keep (self, out, part->out))
        return -1;
    resil_ready (self);
    for (int rc; (rc = resil_wait (self, in, SAMPLE_MS)) >= 0;) {
        int value = atomic_load (&part->records);
        if (obey (self, part))
            return -1;
        if (in && (rc == 0 || zsock_recv (in, "i", &value)))
            continue;
        if (out)
            zsock_send (out, "i", in ? 10 * value : value);
        atomic_fetch_add (&part->records, 1);
        resil_progress (self, "a record");
    }
    return ended (self);
}

static int inject (resil_self_t *self, void *args)
{
    size_t *next = args;
    resil_ready (self);
    while (resil_wait (self, NULL, *next == FAULTS ? CALM_MS : FAULT_MS) == 0) {
        if (*next > 0 && atomic_load (&faults[*next - 1].part->order) != GO_ON)
            continue; /*  one after the other                                      */
        *next %= FAULTS;
        printf ("injector: %s is to %s\n", faults[*next].part->name, faults[*next].what);
        atomic_store (&faults[*next].part->order, faults[*next].order);
        if (++*next == FAULTS)
            printf ("injector: now it is calm for a while\n");
    }
    return ended (self);
}

typedef struct {
    resil_supervisor_t *root;
    long seconds; /*  0: no end                                                */
} display_t;

static int display (resil_self_t *self, void *args)
{
    const display_t *shown = args;
    resil_ready (self);
    for (long second = 1; resil_wait (self, NULL, 1000) == 0; second++) {
        resil_snapshot_t *snapshot = resil_supervisor_snapshot (shown->root);
        flockfile (stdout); /*  nobody else prints in between                            */
        printf ("\nafter %ld s: %d stored\n", second, atomic_load (&storage.records));
        resil_snapshot_print (snapshot, stdout);
        funlockfile (stdout);
        resil_snapshot_destroy (&snapshot);
        if (second == shown->seconds)
            resil_supervisor_stop (shown->root); /*  asks, and does not wait                  */
    }
    return ended (self);
}

static int add (resil_supervisor_t *above, const char *name, resil_start_fn *start, void *args)
{
    resil_type_t type = {RESIL_TYPE, .name = name, .start = start};
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = name, .args = args};
    spec.ready_required = true; /*  the next one connects to it                              */
    spec.args_shared = true;
    spec.shutdown_ms = spec.handler_ms = 1000;
    spec.hang_ms = start == work ? HANG_MS : RESIL_FOREVER;
    return resil_type_register (&type) || resil_supervisor_add (above, &spec) ? -1 : 0;
}

/*  0, or -1 with resil_errmsg. */
static int build (resil_supervisor_t *root, display_t *shown, size_t *next_fault)
{
    resil_spec_t processing_spec = {RESIL_SUBTREE, .name = "processing"};
    resil_spec_t acquisition_spec = {RESIL_SUBTREE, .name = "acquisition"};
    resil_supervisor_options_t limited = {RESIL_SUPERVISOR_OPTIONS};
    limited.strategy = RESIL_REST_FOR_ONE;
    limited.delay = (resil_delay_t) RESIL_DELAY_NONE;
    limited.max_restarts = 2;
    limited.window_ms = 10000;
    resil_supervisor_t *processing = NULL, *acquisition = NULL;
    if (add (root, "display", display, shown) || add (root, "storage", work, &storage) ||
        !(processing = resil_supervisor_add_supervisor (root, &processing_spec, &limited)) ||
        add (processing, "scaler", work, &scaler) ||
        !(acquisition = resil_supervisor_add_supervisor (processing, &acquisition_spec, NULL)))
        return -1;
    for (int i = 0; i < 3; i++)
        if (add (acquisition, sensors[i].name, work, &sensors[i]))
            return -1;
    return add (root, "injector", inject, next_fault);
}

int main (int argc, char **argv)
{
    size_t next_fault = 0;
    display_t shown = {.seconds = argc > 1 ? strtol (argv[1], NULL, 10) : 0};
    if (argc > 2 || (argc > 1 && shown.seconds < 1)) {
        fprintf (stderr, "usage: tree [SECONDS]\n");
        return 2;
    }
    setvbuf (stdout, NULL, _IOLBF, 0); /*  in a pipe too, each line when it is said            */
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "plant";
    options.strategy = RESIL_REST_FOR_ONE;
    options.delay.max_ms = 1000;
    shown.root = resil_supervisor_new (&options);
    if (!shown.root || build (shown.root, &shown, &next_fault) ||
        resil_supervisor_run (shown.root)) {
        fprintf (stderr, "tree: %s\n", resil_errmsg ());
        return EXIT_FAILURE;
    }
    resil_supervisor_destroy (&shown.root);
    return EXIT_SUCCESS;
}
