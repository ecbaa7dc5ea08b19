/*  Dead records go to a file, to a component, or to another pipeline, with their story; none is lost while nobody takes it.

    ctest timeout: 120
    ctest also in processes
    ctest also in shared threads

    SPDX-License-Identifier: Apache-2.0 */
#include "placed.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <resil.h>

#define TOTAL 30

/*  ---- A stage that likes no multiple of ten, and panics at 7 ---------------------------------------------- */

static _Noreturn void refuse_sevens (resil_stage_t *stage)
{
    resil_panic (resil_stage_self (stage), 0, "no sevens");
}
static const int panics_at = __LINE__ - 2;

static int picky_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    if (record->id.origin % 10 == 0)
        return resil_stage_reject (stage, "no tens: \"%d\"", (int) record->id.origin);
    if (record->id.origin == 7)
        refuse_sevens (stage);
    return RESIL_OK;
}

static const resil_stage_type_t picky = {RESIL_STAGE_TYPE, .name = "picky", .is_sink = true,
                                         .on_record = picky_on_record};

static resil_pipeline_t *started (resil_dead_record_fn *on_dead, void *arg, const char *text)
{
    static resil_interval_t numbers;
    numbers = (resil_interval_t){RESIL_INTERVAL, .count = TOTAL, .text = text};
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "numbers", .type = RESIL_INTERVAL_SOURCE, .args = &numbers},
        {RESIL_STAGE, .name = "picky", .placement = placed ()}};
    resil_pipeline_spec_t spec = {RESIL_PIPELINE,   .name = "line",     .stages = stages,
                                  .stage_count = 2, .on_dead = on_dead, .on_dead_arg = arg};
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    ok (!pipeline);
    ok (resil_pipeline_start (pipeline));
    return pipeline;
}

static void end (resil_pipeline_t *pipeline)
{
    resil_audit_t audit;
    ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
    ok (resil_pipeline_audit (pipeline, "picky", &audit));
    resil_pipeline_destroy (&pipeline);
    assert_int_equal (audit.dead, TOTAL / 10 + 1);
    assert_int_equal (audit.done, TOTAL - TOTAL / 10 - 1);
}

/*  ---- What it says of them -------------------------------------------------------------------------------- */

static int64_t number_of (const json_t *line, const char *key)
{
    const json_t *value = json_object_get (line, key);
    assert_true (json_is_integer (value));
    return json_integer_value (value);
}

/*  One of the four: which it is. */
static int64_t check_line (const char *text, const char *key, const char *prefix)
{
    json_error_t error;
    json_t *line = json_loads (text, JSON_REJECT_DUPLICATES, &error);
    if (!line)
        fail_msg ("%s: %s", error.text, text);
    int64_t origin = number_of (line, "origin");
    bool is_seven = origin == 7;
    char expected[512];
    snprintf (expected, sizeof expected, "%s%d", prefix, (int) origin);
    if (strcmp (key, "text") == 0)
        assert_string_equal (json_string_value (json_object_get (line, key)), expected);
    else
        assert_non_null (json_string_value (json_object_get (line, key)));
    assert_string_equal (json_string_value (json_object_get (line, "stage")), "picky");
    assert_int_equal (number_of (line, "worker"), 0);
    assert_int_equal (number_of (line, "branch"), 0);
    assert_true (number_of (line, "wall_at_us") > 1000000000000000);
    assert_int_equal (json_is_true (json_object_get (line, "rejected")), !is_seven);
    const json_t *story = json_object_get (line, "story");
    assert_int_equal (json_array_size (story), is_seven ? 3 : 1);
    if (is_seven)
        snprintf (expected, sizeof expected, "attempt 1: panicked: no sevens (%s:%d)", __FILE__,
                  panics_at);
    else
        snprintf (expected, sizeof expected, "attempt 1: no tens: \"%d\"", (int) origin);
    assert_string_equal (json_string_value (json_array_get (story, 0)), expected);
    json_decref (line);
    return origin;
}

static void are_all (const int counts[TOTAL + 1])
{
    for (int i = 1; i <= TOTAL; i++)
        assert_int_equal (counts[i], i == 7 || i % 10 == 0);
}

/*  Each of its lines. */
static void check_file (const char *path, const char *key, const char *prefix)
{
    int counts[TOTAL + 1] = {0};
    char line[4096];
    FILE *file = fopen (path, "r");
    assert_non_null (file);
    while (fgets (line, sizeof line, file)) {
        int64_t origin = check_line (line, key, prefix);
        assert_in_range (origin, 1, TOTAL);
        counts[origin]++;
    }
    fclose (file);
    are_all (counts);
}

/*  ---- The cases -------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/resil-dead-XXXXXX";
static char path[64];

static int setup (void **state)
{
    strcpy (folder + strlen (folder) - 6, "XXXXXX");
    if (support_before (state) || !mkdtemp (folder))
        return -1;
    snprintf (path, sizeof path, "%s/dead.jsonl", folder);
    return 0;
}

static int teardown (void **state)
{
    unlink (path);
    rmdir (folder);
    return support_after (state);
}

#define in_folder(function) cmocka_unit_test_setup_teardown (function, setup, teardown)

static void a_file_has_them_with_their_story (void **state)
{
    (void) state;
    struct stat stat_of;
    end (started (resil_dead_to_file, path, "number "));
    check_file (path, "text", "number ");
    assert_int_equal (stat (path, &stat_of), 0);
    assert_int_equal (stat_of.st_mode & 0777, 0600);
}

/*  ---- A crash in a process -------------------------------------------------------------------------------- */

/*  More than a story has room for. */
#define CRASHES 12
#define STORY_MAX 8192

static __attribute__ ((noinline)) int crash_on_record (resil_stage_t *stage, void *args,
                                                       const resil_record_t *record)
{
    (void) stage;
    (void) args;
    if (record->id.origin == 7)
        raise (SIGSEGV);
    return record->size ? RESIL_OK : RESIL_DROP;
}

/*  It is not longer than that. */
#define CODE_BYTES 1024

static const resil_stage_type_t crashing = {RESIL_STAGE_TYPE, .name = "crashing", .is_sink = true,
                                            .on_record = crash_on_record};

/*  Is a frame in it, as "...program+0x1234"? */
static bool names_the_function (const char *line)
{
    static const char program[] = "test_dead_records+0x";
    Dl_info where;
    assert_true (dladdr ((void *) (uintptr_t) crash_on_record, &where) != 0);
    uintptr_t begins = (uintptr_t) crash_on_record - (uintptr_t) where.dli_fbase;
    for (const char *at = line; (at = strstr (at, program));) {
        at += sizeof program - 1;
        uintptr_t frame = strtoul (at, NULL, 16);
        if (frame >= begins && frame < begins + CODE_BYTES)
            return true;
    }
    return false;
}

/*  A story has the last of them, and is bounded. */
static void a_crash_has_its_stack_in_the_story (void **state)
{
    (void) state;
    static char text[2 * STORY_MAX];
    if (placed () != RESIL_PROCESS)
        skip ();
    resil_interval_t numbers = {RESIL_INTERVAL, .count = TOTAL, .text = "number "};
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "numbers", .type = RESIL_INTERVAL_SOURCE, .args = &numbers},
        {RESIL_STAGE, .name = "crashing", .placement = placed ()}};
    stages[1].attempts = CRASHES;
    resil_pipeline_spec_t spec = {RESIL_PIPELINE,
                                  .name = "line",
                                  .stages = stages,
                                  .stage_count = 2,
                                  .on_dead = resil_dead_to_file,
                                  .on_dead_arg = path};
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    ok (!pipeline);
    ok (resil_pipeline_start (pipeline));
    ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
    resil_pipeline_destroy (&pipeline);
    FILE *file = fopen (path, "r");
    assert_non_null (file);
    assert_non_null (fgets (text, sizeof text, file));
    fclose (file);
    json_t *line = json_loads (text, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal (number_of (line, "origin"), 7);
    const json_t *story = json_object_get (line, "story");
    size_t count = json_array_size (story), size = 0;
    assert_in_range (count, 2, CRASHES - 1);
    for (size_t i = 0; i < count; i++) {
        const char *said = json_string_value (json_array_get (story, i));
        char expected[64];
        snprintf (expected, sizeof expected, "attempt %d: crashed: killed by SIGSEGV",
                  (int) (CRASHES - count + 1 + i));
        size += strlen (said) + 1;
        if (strncmp (said, expected, strlen (expected)) != 0 || !names_the_function (said))
            fail_msg ("%s", said);
    }
    assert_in_range (size, 1, STORY_MAX);
    json_decref (line);
}

static void bytes_that_are_no_text_are_hexadecimal (void **state)
{
    (void) state;
    char line[4096];
    end (started (resil_dead_to_file, path, "\xff"));
    check_file (path, "hex", "");
    FILE *file = fopen (path, "r");
    assert_non_null (fgets (line, sizeof line, file));
    fclose (file);
    assert_non_null (strstr (line, "\"hex\":\"ff37\""));
}

static void none_is_lost_while_the_file_cannot_be_written (void **state)
{
    (void) state;
    assert_int_equal (rmdir (folder), 0);
    resil_pipeline_t *pipeline = started (resil_dead_to_file, path, "number ");
    const char *said = support_log_wait ("a dead record waits", SUPPORT_PATIENCE_MS);
    assert_non_null (said);
    assert_non_null (strstr (said, path));
    assert_non_null (strstr (said, strerror (ENOENT)));
    resil_audit_t audit;
    ok (resil_pipeline_audit (pipeline, "picky", &audit));
    assert_int_equal (audit.dead, 0);
    assert_int_equal (mkdir (folder, 0700), 0);
    end (pipeline);
    check_file (path, "text", "number ");
}

/*  As by a program that was killed, or a disk that was full. */
static void a_torn_line_stays_by_itself (void **state)
{
    (void) state;
    char line[64];
    FILE *file = fopen (path, "w");
    assert_non_null (file);
    assert_true (fputs ("{\"torn\":", file) >= 0);
    assert_int_equal (fclose (file), 0);
    resil_record_t record = {.bytes = "x", .size = 1, .id.origin = 10};
    resil_dead_record_t dead = {"picky", 0, &record, true, "attempt 1: no"};
    ok (resil_dead_to_file (path, &dead));
    ok (resil_dead_to_file (path, &dead));
    file = fopen (path, "r");
    assert_non_null (file);
    assert_non_null (fgets (line, sizeof line, file));
    assert_string_equal (line, "{\"torn\":\n");
    for (int i = 0; i < 2; i++) {
        json_t *object = json_loadf (file, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null (object);
        json_decref (object);
    }
    fclose (file);
}

static void a_pipe_that_nobody_reads_or_that_is_full_refuses (void **state)
{
    (void) state;
    char bytes[4096] = {0};
    resil_record_t record = {.bytes = bytes, .size = sizeof bytes, .id.origin = 10};
    resil_dead_record_t dead = {"picky", 0, &record, true, "attempt 1: no"};
    assert_int_equal (mkfifo (path, 0600), 0);
    assert_int_equal (resil_dead_to_file (path, &dead), -1);
    assert_int_equal (errno, ENXIO);
    int fd = open (path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_true (fd >= 0);
    while (write (fd, bytes, sizeof bytes) > 0)
        ;
    assert_int_equal (resil_dead_to_file (path, &dead), -1);
    assert_int_equal (errno, EAGAIN);
    assert_non_null (strstr (resil_errmsg (), path));
    close (fd);
}

/*  Goes once there is something to read. */
static void *leave (void *fd)
{
    poll (&(struct pollfd){.fd = *(int *) fd, .events = POLLIN}, 1, SUPPORT_PATIENCE_MS);
    close (*(int *) fd);
    return NULL;
}

static void a_pipe_whose_reader_goes_refuses_and_ends_nobody (void **state)
{
    (void) state;
    static char bytes[20000];
    resil_record_t record = {.bytes = bytes, .size = sizeof bytes, .id.origin = 10};
    resil_dead_record_t dead = {"picky", 0, &record, true, "attempt 1: no"};
    pthread_t reader;
    assert_int_equal (mkfifo (path, 0600), 0);
    int fd = open (path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true (fd >= 0 && fcntl (fd, F_SETPIPE_SZ, 4096) > 0);
    assert_int_equal (pthread_create (&reader, NULL, leave, &fd), 0);
    assert_int_equal (resil_dead_to_file (path, &dead), -1);
    assert_int_equal (errno, EPIPE);
    pthread_join (reader, NULL);
}

/*  Counts what it gets, in a thread of the program. */
static struct {
    atomic_int count;
    int counts[TOTAL + 1];
    char lines[TOTAL + 1][1024];
    atomic_bool takes;
} got;

static int take_line (const void *bytes, size_t size)
{
    int number = atomic_load (&got.count);
    if (number > TOTAL || size >= sizeof got.lines[0])
        return -1;
    memcpy (got.lines[number], bytes, size);
    got.lines[number][size] = 0;
    atomic_store (&got.count, number + 1);
    return 0;
}

static int take_messages (resil_self_t *self, void *args)
{
    const resil_message_t *message;
    (void) args;
    resil_ready (self);
    while (!atomic_load (&got.takes))
        if (resil_wait (self, NULL, 1) == -1)
            return 0;
    while ((message = resil_receive (self, RESIL_FOREVER)))
        if (resil_message_tag (message) != RESIL_DEAD_RECORD_TAG ||
            take_line (resil_message_data (message), resil_message_size (message)))
            return -1;
    return 0;
}

static void check_got (void)
{
    memset (got.counts, 0, sizeof got.counts);
    for (int i = 0; i < atomic_load (&got.count); i++)
        got.counts[check_line (got.lines[i], "text", "number ")]++;
    are_all (got.counts);
}

static bool are_four (void *arg)
{
    (void) arg;
    return atomic_load (&got.count) == TOTAL / 10 + 1;
}

static void a_component_has_them_when_its_mailbox_has_room (void **state)
{
    (void) state;
    resil_address_t address;
    memset (&got, 0, sizeof got);
    resil_supervisor_t *root = resil_supervisor_new (NULL);
    resil_spec_t spec = {RESIL_SPEC, .name = "undertaker", .type = "undertaker"};
    spec.mailbox_messages = 1;
    ok (resil_supervisor_add (root, &spec));
    ok (resil_supervisor_spawn (root));
    ok (resil_supervisor_find (root, "undertaker", &address));
    resil_pipeline_t *pipeline = started (resil_dead_to_component, &address, "number ");
    assert_non_null (support_log_wait ("a dead record waits", SUPPORT_PATIENCE_MS));
    atomic_store (&got.takes, true);
    end (pipeline);
    assert_true (support_wait_until (are_four, NULL, SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&root);
    check_got ();
}

static int keep_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage;
    (void) args;
    return take_line (record->bytes, record->size);
}

static void another_pipeline_has_them_as_its_records (void **state)
{
    (void) state;
    resil_address_t address;
    memset (&got, 0, sizeof got);
    resil_stage_spec_t stages[] = {{RESIL_STAGE, .name = "mail", .type = RESIL_MAILBOX_SOURCE},
                                   {RESIL_STAGE, .name = "keep"}};
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "dead", .stages = stages,
                                  .stage_count = 2};
    resil_pipeline_t *dead = resil_pipeline_new (NULL, &spec);
    ok (!dead);
    ok (resil_pipeline_start (dead));
    ok (resil_supervisor_find (resil_pipeline_supervisor (dead), "mail", &address));
    end (started (resil_dead_to_component, &address, "number "));
    assert_true (support_wait_until (are_four, NULL, SUPPORT_PATIENCE_MS));
    assert_int_equal (resil_pipeline_drain (dead, SUPPORT_PATIENCE_MS), 0);
    resil_pipeline_destroy (&dead);
    check_got ();
}

static void what_is_not_given_is_told (void **state)
{
    (void) state;
    resil_record_t record = {"x", 1, {1, 0}, 1};
    resil_dead_record_t dead = {"s", 0, &record, true, "attempt 1: x"};
    assert_int_equal (resil_dead_to_file (NULL, &dead), -1);
    assert_int_equal (errno, EINVAL);
    assert_non_null (strstr (resil_errmsg (), "on_dead_arg"));
    assert_int_equal (resil_dead_to_component (NULL, &dead), -1);
    assert_int_equal (errno, EINVAL);
    assert_int_equal (resil_dead_to_file (folder, &dead), -1);
    assert_int_equal (errno, EISDIR);
    assert_non_null (strstr (resil_errmsg (), folder));
}

int main (void)
{
    placed_stage_register (&picky);
    placed_stage_register (&crashing);
    placed_begin ();
    ok (resil_stage_type_register (&(resil_stage_type_t){
        RESIL_STAGE_TYPE, .name = "keep", .on_record = keep_on_record, .is_sink = true}));
    ok (resil_type_register (
        &(resil_type_t){RESIL_TYPE, .name = "undertaker", .start = take_messages}));
    const struct CMUnitTest cases[] = {
        in_folder (a_file_has_them_with_their_story),
        in_folder (a_crash_has_its_stack_in_the_story),
        in_folder (bytes_that_are_no_text_are_hexadecimal),
        in_folder (none_is_lost_while_the_file_cannot_be_written),
        in_folder (a_torn_line_stays_by_itself),
        in_folder (a_pipe_that_nobody_reads_or_that_is_full_refuses),
        in_folder (a_pipe_whose_reader_goes_refuses_and_ends_nobody),
        in_folder (a_component_has_them_when_its_mailbox_has_room),
        in_folder (another_pipeline_has_them_as_its_records),
        in_folder (what_is_not_given_is_told),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
