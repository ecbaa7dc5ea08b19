/*  gateway: lines by tcp, parsed in a process that may die of them, enriched by asking a component, into a file.

        kitchen 21.5   -> tcp -> parse -> enrich -> write ->   ground floor, kitchen: 21.5
                                  \        \-- asks "places", which dies of every 100th question
                                   \-- a process of its own: dies of what it does not understand

    What no stage can do anything with goes to DEAD, with its story. On SIGTERM or Ctrl-C it takes no more, brings to its end
    what it has taken, and ends.

    Usage: gateway PORT OUT DEAD    PORT 0: one that is free; it is printed

    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 1000
#define AGAIN_MS 10
#define HANG_MS 5000
#define DRAIN_MS 10000

/*  ---- parse: this program once more, with the argument "parse". A line for a line ---- */

static int parse (void)
{
    char line[1024], sensor[64];
    double value;
    while (fgets (line, sizeof line, stdin)) {
        if (sscanf (line, "%63s %lf", sensor, &value) != 2)
            abort (); /*  no way to treat a line; here nothing else is lost by it             */
        printf ("%s %.1f\n", sensor, value);
        fflush (stdout);
    }
    return 0;
}

/*  ---- places: a component that knows where each sensor is ---- */

static int know_places (resil_self_t *self, void *args)
{
    static const char *const places[][2] = {
        {"kitchen", "ground floor"}, {"bedroom", "first floor"}, {"attic", "second floor"}};
    static int questions; /*  outlives its failures                                          */
    resil_message_t *question;
    (void) args;
    resil_ready (self);
    while ((question = resil_receive (self, RESIL_FOREVER))) {
        const char *answer = "";
        if (++questions % 100 == 0)
            resil_panic (self, 0, "one question too many");
        for (size_t i = 0; i < sizeof places / sizeof *places; i++)
            if (strlen (places[i][0]) == resil_message_size (question) &&
                memcmp (places[i][0], resil_message_data (question), strlen (places[i][0])) == 0)
                answer = places[i][1];
        resil_reply (question, 0, answer, strlen (answer));
    }
    return 0;
}

/*  ---- enrich: asks it ---- */

static int enrich (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    char text[256];
    const char *line = record->bytes;
    const char *blank = memchr (line, ' ', record->size);
    size_t sensor = blank ? (size_t) (blank - line) : record->size;
    resil_message_t *place =
        resil_call (*(const resil_address_t *) args, 0, line, sensor, ANSWER_MS);
    /*  It has died of the question, or is slow: it will be there again. */
    if (!place)
        return resil_stage_retry_after (stage, AGAIN_MS);
    int size = snprintf (text, sizeof text, "%.*s, %.*s: %.*s", (int) resil_message_size (place),
                         (const char *) resil_message_data (place), (int) sensor, line,
                         (int) (record->size - sensor - (blank != NULL)), blank ? blank + 1 : "");
    bool is_known = resil_message_size (place) > 0;
    resil_message_destroy (&place);
    if (!is_known)
        return resil_stage_reject (stage, "nobody knows where that is");
    return resil_emit (stage, text, (size_t) size) ? -1 : RESIL_OK;
}

/*  ---- What is left ---- */

static int bury (void *file, const resil_dead_record_t *dead)
{
    fprintf (file, "%s: %.*s\n%s\n\n", dead->stage, (int) dead->record->size,
             (const char *) dead->record->bytes, dead->story);
    return fflush (file); /*  if that fails it is asked again                                  */
}

/*  ---- All of it ---- */

/*  NULL: resil_errmsg says why. */
static resil_pipeline_t *build (resil_supervisor_t *root, char **argv, unsigned *port, FILE *dead)
{
    static resil_address_t places;
    static const char *command[] = {NULL, "parse", NULL};
    static resil_tcp_t in = {RESIL_TCP};
    static resil_executable_t parser = {RESIL_EXECUTABLE_OPTIONS, .command = command};
    static resil_file_t out = {RESIL_FILE};
    command[0] = argv[0];
    in.port = argv[1];
    in.port_taken = port;
    out.path = argv[2];
    resil_stage_type_register (
        &(resil_stage_type_t){RESIL_STAGE_TYPE, .name = "enrich", .on_record = enrich});
    resil_type_register (&(resil_type_t){RESIL_TYPE, .name = "places", .start = know_places});
    resil_spec_t spec = {RESIL_SPEC, .name = "places", .type = "places"};
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    if (resil_supervisor_add (root, &spec) || resil_supervisor_find (root, "places", &places))
        return NULL;
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "tcp", .type = RESIL_TCP_SOURCE, .args = &in},
        {RESIL_STAGE, .name = "parse", .type = RESIL_EXECUTABLE, .args = &parser},
        {RESIL_STAGE, .name = "enrich", .args = &places},
        {RESIL_STAGE, .name = "write", .type = RESIL_FILE_SINK, .args = &out}};
    stages[1].hang_ms = HANG_MS;
    resil_pipeline_spec_t all = {RESIL_PIPELINE,   .name = "lines", .stages = stages,
                                 .stage_count = 4, .on_dead = bury, .on_dead_arg = dead};
    return resil_pipeline_new (root, &all);
}

int main (int argc, char **argv)
{
    unsigned port;
    int signal_number;
    sigset_t stop;
    if (argc == 2 && strcmp (argv[1], "parse") == 0)
        return parse ();
    if (argc != 4) {
        fprintf (stderr, "usage: gateway PORT OUT DEAD\n");
        return 2;
    }
    /*  All threads that come from here on leave these to sigwait. */
    sigemptyset (&stop);
    sigaddset (&stop, SIGINT);
    sigaddset (&stop, SIGTERM);
    pthread_sigmask (SIG_BLOCK, &stop, NULL);

    FILE *dead = fopen (argv[3], "ae");
    resil_supervisor_t *root = dead ? resil_supervisor_new (NULL) : NULL;
    resil_pipeline_t *pipeline = root ? build (root, argv, &port, dead) : NULL;
    int64_t left = -1;
    if (pipeline && resil_supervisor_spawn (root) == 0) {
        printf ("listening on 127.0.0.1:%u\n", port);
        fflush (stdout);
        sigwait (&stop, &signal_number);
        left = resil_pipeline_drain (pipeline, DRAIN_MS);
    }
    if (left)
        fprintf (stderr, "gateway: %s\n", left > 0 ? "not all lines are done" : resil_errmsg ());
    resil_pipeline_destroy (&pipeline);
    resil_supervisor_destroy (&root);
    if (dead)
        fclose (dead);
    return left != 0;
}
