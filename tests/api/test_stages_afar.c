/*  Ready-made stages in processes of their own: their options cross, and they do there what they do here; what cannot be done
    there is refused before anything starts.

    ctest timeout: 120

    SPDX-License-Identifier: Apache-2.0 */
#include "kept.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <resil.h>

static char folder[64], in[96], out[96];

static void make_folder (void)
{
    strcpy (folder, "/tmp/afar-XXXXXX");
    assert_non_null (mkdtemp (folder));
    snprintf (in, sizeof in, "%s/in", folder);
    snprintf (out, sizeof out, "%s/out", folder);
}

static void remove_folder (void)
{
    unlink (in);
    unlink (out);
    ok (rmdir (folder));
}

static atomic_int kept_count;

static int keep (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage, (void) args;
    kept_add (record);
    atomic_fetch_add (&kept_count, 1);
    return RESIL_OK;
}

static resil_pipeline_t *make (const char *from, void *from_options, const char *to,
                               void *to_options)
{
    kept_begin ();
    atomic_store (&kept_count, 0);
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "from", .type = from, .args = from_options},
        {RESIL_STAGE, .name = "to", .type = to, .args = to_options}};
    stages[0].placement = RESIL_PROCESS;
    stages[1].placement = strcmp (to, "keep") == 0 ? RESIL_OWN_THREAD : RESIL_PROCESS;
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "afar", .stages = stages,
                                  .stage_count = 2};
    return resil_pipeline_new (NULL, &spec);
}

static resil_pipeline_t *started (const char *from, void *from_options, const char *to,
                                  void *to_options)
{
    resil_pipeline_t *pipeline = make (from, from_options, to, to_options);
    if (!pipeline)
        fail_msg ("%s", resil_errmsg ());
    ok (resil_pipeline_start (pipeline));
    return pipeline;
}

static void refused (const char *from, void *from_options, const char *to, void *to_options,
                     const char *sentence)
{
    assert_null (make (from, from_options, to, to_options));
    assert_int_equal (errno, ENOTSUP);
    if (!strstr (resil_errmsg (), sentence))
        fail_msg ("%s", resil_errmsg ());
}

/*  ---- The cases ------------------------------------------------------------------------------------------- */

#define LINES 20000

static void lines_of_a_file_go_to_a_file (void **state)
{
    (void) state;
    char command[256];
    make_folder ();
    FILE *file = fopen (in, "w");
    assert_non_null (file);
    for (int i = 0; i < LINES; i++)
        fprintf (file, "line %d\n", i);
    ok (fclose (file));
    resil_lines_t lines = {RESIL_LINES, .path = in};
    resil_file_t sink = {RESIL_FILE, .path = out};
    resil_pipeline_t *pipeline = started (RESIL_LINES_SOURCE, &lines, RESIL_FILE_SINK, &sink);
    ok (resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS));
    resil_pipeline_destroy (&pipeline);
    snprintf (command, sizeof command, "cmp %s %s", in, out);
    assert_int_equal (system (command), 0);
    remove_folder ();
}

static void an_interval_has_its_text (void **state)
{
    (void) state;
    resil_interval_t beat = {RESIL_INTERVAL, .count = 500, .text = "beat "};
    resil_pipeline_t *pipeline = started (RESIL_INTERVAL_SOURCE, &beat, "keep", NULL);
    ok (resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS));
    resil_pipeline_destroy (&pipeline);
    assert_string_equal (kept_behind ("beat ", 1, 500), "");
}

static void lines_come_by_tcp (void **state)
{
    (void) state;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    char port[16];
    address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    int server = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ok (bind (server, (struct sockaddr *) &address, sizeof address));
    ok (listen (server, 1));
    ok (getsockname (server, (struct sockaddr *) &address, &size));
    snprintf (port, sizeof port, "%d", ntohs (address.sin_port));
    resil_tcp_t tcp = {RESIL_TCP, .host = "127.0.0.1", .port = port, .connects = true};
    resil_pipeline_t *pipeline = started (RESIL_TCP_SOURCE, &tcp, "keep", NULL);
    int peer = accept (server, NULL, NULL);
    assert_true (peer >= 0);
    for (int i = 1; i <= 300; i++)
        dprintf (peer, "said %d\n", i);
    support_await_count ("kept", &kept_count, 300, SUPPORT_PATIENCE_MS);
    assert_int_equal (resil_pipeline_drain (pipeline, SUPPORT_PATIENCE_MS), 0);
    resil_pipeline_destroy (&pipeline);
    close (peer);
    close (server);
    assert_string_equal (kept_behind ("said ", 1, 300), "");
}

/*  Of the only dead letter, and under the lock of what is kept. */
static char dead[64], story[4096];

static int bury (void *arg, const resil_dead_record_t *record)
{
    (void) arg;
    pthread_mutex_lock (&kept_lock);
    snprintf (dead, sizeof dead, "%.*s", (int) record->record->size,
              (const char *) record->record->bytes);
    snprintf (story, sizeof story, "%s", record->story);
    pthread_mutex_unlock (&kept_lock);
    return 0;
}

/*  Numbers go through an executable that is a child of a stage in a process, to what is kept. */
static void run_command (const char *const *command, int64_t hang_ms)
{
    resil_process_t process = {RESIL_PROCESS_OPTIONS};
    resil_interval_t numbers = {RESIL_INTERVAL, .count = 300, .text = "no. "};
    resil_executable_t options = {RESIL_EXECUTABLE_OPTIONS, .command = command};
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "from", .type = RESIL_INTERVAL_SOURCE, .args = &numbers},
        {RESIL_STAGE, .name = "other", .type = RESIL_EXECUTABLE, .args = &options},
        {RESIL_STAGE, .name = "keep"}};
    stages[1].placement = RESIL_PROCESS;
    stages[1].process = &process;
    process.limits.cpu_seconds = 77;
    stages[1].hang_ms = hang_ms;
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "afar", .stages = stages,
                                  .stage_count = 3, .on_dead = bury};
    kept_begin ();
    dead[0] = story[0] = 0;
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    if (!pipeline)
        fail_msg ("%s", resil_errmsg ());
    ok (resil_pipeline_start (pipeline));
    ok (resil_pipeline_wait (pipeline, 3 * SUPPORT_PATIENCE_MS));
    resil_pipeline_destroy (&pipeline);
}

static void an_executable_has_its_words_and_the_limits_of_its_stage (void **state)
{
    (void) state;
    static const char *const command[] = {
        "sh", "-c", "limit=$(ulimit -t); while read -r line; do echo \"$1$2$limit: $line\"; done",
        "sh", "",   "a b: ",
        NULL};
    run_command (command, RESIL_FOREVER);
    assert_string_equal (kept_behind ("a b: 77: no. ", 1, 300), "");
}

static void an_executable_that_dies_or_hangs_there_has_failed_of_its_record (void **state)
{
    (void) state;
    static const char *const dies[] = {
        "sh", "-c",
        "while read -r line; do case $line in *' 77') kill -SEGV $$;; "
        "*) echo \"$line\";; esac; done",
        NULL};
    static const char *const hangs[] = {"sh", "-c",
                                        "while read -r line; do case $line in *' 77') sleep 1000;; "
                                        "*) echo \"$line\";; esac; done",
                                        NULL};
    run_command (dies, RESIL_FOREVER);
    assert_string_equal (dead, "no. 77");
    assert_non_null (strstr (story, "attempt 3: reported: \"sh\" killed by SIGSEGV"));
    run_command (hangs, 2000);
    assert_string_equal (dead, "no. 77");
    assert_non_null (strstr (story, "attempt 3: reported: \"sh\" has not answered in 2000 ms"));
}

static void what_would_be_lost_or_seen_by_nobody_is_refused (void **state)
{
    (void) state;
    unsigned port;
    resil_lines_t lines = {RESIL_LINES};
    resil_tcp_t tcp = {RESIL_TCP, .port = "0", .port_taken = &port};
    resil_interval_t beat = {RESIL_INTERVAL};
    resil_file_t file = {RESIL_FILE};
    refused (RESIL_LINES_SOURCE, &lines, "keep", NULL,
             "stage \"from\": the standard input is the program's");
    lines.path = "/etc/passwd";
    lines.follow_ms = 10;
    refused (RESIL_LINES_SOURCE, &lines, "keep", NULL, "follow it in a thread");
    lines.path = "/dev/null";
    lines.follow_ms = 0;
    refused (RESIL_LINES_SOURCE, &lines, "keep", NULL, "what has been read of /dev/null");
    refused (RESIL_TCP_SOURCE, &tcp, "keep", NULL, "port_taken cannot be written");
    refused (RESIL_INTERVAL_SOURCE, &beat, RESIL_FILE_SINK, &file,
             "stage \"to\": the standard output is the program's");
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (lines_of_a_file_go_to_a_file),
        support_case (an_interval_has_its_text),
        support_case (lines_come_by_tcp),
        support_case (an_executable_has_its_words_and_the_limits_of_its_stage),
        support_case (an_executable_that_dies_or_hangs_there_has_failed_of_its_record),
        support_case (what_would_be_lost_or_seen_by_nobody_is_refused)};
    if (resil_stage_type_register (&(resil_stage_type_t){RESIL_STAGE_TYPE, .name = "keep",
                                                         .on_record = keep, .is_sink = true}))
        return 1;
    resil_host ();
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
