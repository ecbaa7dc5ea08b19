/*  Pipelines at full rate for MINUTES, a third of them in threads of their own, in shared ones and in processes: after they have
    warmed up, the memory of the program and of its processes stays as it is, and is bounded by the windows.

    ctest label: soak
    ctest timeout: 7200

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <resil.h>

#define RECORD_BYTES 64
#define SAMPLE_MS 1000
#define MOST_SAMPLES 4096

/*  What may come and go: pages that malloc keeps, stacks that are touched later, buffers of ZeroMQ. */
#define SLACK_KB 4096

/*  Two links of 1 MiB on both sides of each process, what is between, and the batches that are used again. */
#define WINDOWS_KB (48 << 10)

static int produce (resil_stage_t *stage, void *args)
{
    uint64_t *next = args;
    for (int i = 0; i < 100; i++) {
        void *room = resil_emit_room_at (stage, *next + 1, RECORD_BYTES);
        if (!room)
            return -1;
        memset (room, 'x', RECORD_BYTES);
        ++*next;
    }
    return 0;
}

static int go_on (resil_stage_t *stage, void *args, uint64_t position)
{
    (void) stage;
    *(uint64_t *) args = position;
    return 0;
}

static void *new_number (const void *recipe)
{
    (void) recipe;
    return calloc (1, sizeof (uint64_t));
}

static int pass (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    return resil_emit (stage, record->bytes, record->size);
}

static const resil_stage_type_t types[] = {{RESIL_STAGE_TYPE, .name = "numbers", .produce = produce,
                                            .open = go_on, .args_new = new_number,
                                            .args_free = free},
                                           {RESIL_STAGE_TYPE, .name = "pass", .on_record = pass}};

/*  ---- Memory -------------------------------------------------------------------------------------------- */

/*  The resident pages of that process, if it is this one or a child of it. */
static long pages_of (const char *name)
{
    char path[300], line[1024];
    int parent = 0;
    long pages = 0;
    snprintf (path, sizeof path, "/proc/%s/stat", name);
    FILE *file = fopen (path, "re");
    char *behind = file && fgets (line, sizeof line, file) ? strrchr (line, ')') : NULL;
    if (file)
        fclose (file);
    if (!behind ||
        sscanf (behind,
                ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                "%*d %*u %*u %ld",
                &parent, &pages) != 2)
        return 0;
    return parent == getpid () || atoi (name) == getpid () ? pages : 0;
}

static long resident_kb (void)
{
    long pages = 0;
    DIR *folder = opendir ("/proc");
    assert_non_null (folder);
    for (struct dirent *entry; (entry = readdir (folder));)
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            pages += pages_of (entry->d_name);
    closedir (folder);
    return pages * (sysconf (_SC_PAGESIZE) / 1024);
}

static long most_of (const long *samples, size_t from, size_t to)
{
    long most = 0;
    for (size_t i = from; i < to; i++)
        most = samples[i] > most ? samples[i] : most;
    return most;
}

/*  ---- A pipeline ---------------------------------------------------------------------------------------- */

static void run (resil_placement_t placement, const char *name, int64_t for_ms)
{
    static long samples[MOST_SAMPLES];
    static const char *const names[] = {"numbers", "pass", RESIL_NULL_SINK};
    resil_stage_spec_t stages[3];
    resil_audit_t audit;
    for (int i = 0; i < 3; i++)
        stages[i] = (resil_stage_spec_t){RESIL_STAGE, .name = names[i], .placement = placement};
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "flat", .stages = stages,
                                  .stage_count = 3};
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    if (!pipeline)
        fail_msg ("%s", resil_errmsg ());
    ok (resil_pipeline_start (pipeline));
    long before = resident_kb ();
    size_t count = (size_t) (for_ms / SAMPLE_MS);
    count = count < 12 ? 12 : count > MOST_SAMPLES ? MOST_SAMPLES : count;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal (resil_pipeline_wait (pipeline, for_ms / (int64_t) count), -1);
        samples[i] = resident_kb ();
    }
    ok (resil_pipeline_audit (pipeline, "pass", &audit));
    ok (resil_pipeline_abort (pipeline));
    resil_pipeline_destroy (&pipeline);
    /*  The first third is the warm-up. */
    long warm = most_of (samples, count / 3, 2 * count / 3);
    long last = most_of (samples, 2 * count / 3, count);
    print_message (
        "%s: %llu records; %ld KiB when it began, at most %ld after a third, %ld at last\n", name,
        (unsigned long long) audit.in, before, warm, last);
    assert_true (audit.in > 1000000);
    assert_true (last <= warm + SLACK_KB);
    assert_true (last <= before + WINDOWS_KB);
}

static void the_memory_of_pipelines_does_not_grow (void **state)
{
    (void) state;
    const char *minutes = getenv ("MINUTES");
    int64_t for_ms = (int64_t) (60000 * (minutes ? atof (minutes) : 1) / 3);
    run (RESIL_OWN_THREAD, "own threads", for_ms);
    run (RESIL_SHARED, "shared threads", for_ms);
    run (RESIL_PROCESS, "processes", for_ms);
}

int main (void)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (resil_stage_type_register (&types[i]))
            return 1;
    resil_host ();
    const struct CMUnitTest cases[] = {support_case (the_memory_of_pipelines_does_not_grow)};
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
