/*  Lines of files and pipes through a pipeline into files, with what can go wrong with them.

    ctest timeout: 120
    ctest also in shared threads

    SPDX-License-Identifier: Apache-2.0 */
#include "placed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <resil.h>

static char folder[64];
static char in[96], out[96], progress[96];

static void make_folder (void)
{
    strcpy (folder, "/tmp/files-XXXXXX");
    assert_non_null (mkdtemp (folder));
    snprintf (in, sizeof in, "%s/in", folder);
    snprintf (out, sizeof out, "%s/out", folder);
    snprintf (progress, sizeof progress, "%s/progress", folder);
}

static void remove_folder (void)
{
    unlink (in);
    unlink (out);
    unlink (progress);
    ok (rmdir (folder));
}

static void put (const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen (path, "a");
    assert_non_null (file);
    assert_int_equal (fwrite (bytes, 1, size, file), size);
    ok (fclose (file));
}

static void put_text (const char *path, const char *text)
{
    put (path, text, strlen (text));
}

/*  All of a file, with a NUL behind it; valid until the next. */
static const char *got (size_t *size)
{
    static char text[1 << 20];
    FILE *file = fopen (out, "r");
    assert_non_null (file);
    *size = fread (text, 1, sizeof text - 1, file);
    text[*size] = 0;
    fclose (file);
    return text;
}

static void assert_out (const char *expected)
{
    size_t size;
    const char *text = got (&size);
    assert_string_equal (text, expected);
}

/*  ---- A stage between, which fails when told to --------------------------------------------------------- */

static atomic_int failures;
static atomic_int seen;

static int pass_on (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    if (atomic_fetch_add (&seen, 1) % 50 == 20 && atomic_load (&failures) > 0) {
        atomic_fetch_sub (&failures, 1);
        return resil_fail (resil_stage_self (stage), 0, "told to fail");
    }
    return resil_emit (stage, record->bytes, record->size) ? -1 : RESIL_OK;
}

static const resil_stage_type_t pass = {RESIL_STAGE_TYPE, .name = "pass", .on_record = pass_on};

/*  NULL: it is refused. */
static resil_pipeline_t *make (resil_lines_t *lines, resil_file_t *file)
{
    ok (resil_stage_type_register (&pass));
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "from", .type = RESIL_LINES_SOURCE, .args = lines},
        {RESIL_STAGE, .name = "pass"},
        {RESIL_STAGE, .name = "to", .type = file ? RESIL_FILE_SINK : RESIL_NULL_SINK,
         .args = file}};
    struct stat is;
    for (int i = 0; i < 3; i++)
        stages[i].placement = placed ();
    /*  It waits for who reads. */
    if (file && (file->path ? stat (file->path, &is) : fstat (STDOUT_FILENO, &is)) == 0 &&
        !S_ISREG (is.st_mode))
        stages[2].placement = RESIL_OWN_THREAD;
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "files", .stages = stages,
                                  .stage_count = 3};
    return resil_pipeline_new (NULL, &spec);
}

static resil_pipeline_t *made (resil_lines_t *lines, resil_file_t *file)
{
    resil_pipeline_t *pipeline = make (lines, file);
    if (!pipeline)
        fail_msg ("%s", resil_errmsg ());
    return pipeline;
}

static resil_pipeline_t *started (resil_lines_t *lines, resil_file_t *file)
{
    resil_pipeline_t *pipeline = made (lines, file);
    ok (resil_pipeline_start (pipeline));
    return pipeline;
}

static void refused (resil_lines_t *lines, resil_file_t *file, const char *sentence)
{
    resil_pipeline_t *pipeline = made (lines, file);
    assert_int_equal (resil_pipeline_start (pipeline), -1);
    if (!strstr (resil_errmsg (), sentence))
        fail_msg ("%s", resil_errmsg ());
    resil_pipeline_destroy (&pipeline);
}

static void not_made (resil_lines_t *lines, resil_file_t *file, const char *sentence)
{
    assert_null (make (lines, file));
    assert_int_equal (errno, EINVAL);
    if (!strstr (resil_errmsg (), sentence))
        fail_msg ("%s", resil_errmsg ());
}

static void run (resil_lines_t lines, resil_file_t file)
{
    resil_pipeline_t *pipeline = started (&lines, &file);
    ok (resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS));
    resil_pipeline_destroy (&pipeline);
}

static void run_lines (resil_lines_t lines)
{
    run (lines, (resil_file_t){RESIL_FILE, .path = out});
}

/*  ---- The cases --------------------------------------------------------------------------------------- */

static void lines_come_as_they_are_and_the_last_needs_no_newline (void **state)
{
    (void) state;
    static const char bytes[] = "one\n\n three\r\nf\0ur\n\xff\xfe\nlast";
    size_t size;
    make_folder ();
    put (in, bytes, sizeof bytes - 1);
    run_lines ((resil_lines_t){RESIL_LINES, .path = in});
    const char *text = got (&size);
    assert_int_equal (size, sizeof bytes);
    assert_memory_equal (text, bytes, sizeof bytes - 1);
    assert_int_equal (text[size - 1], '\n');
    remove_folder ();
}

static void an_empty_file_is_at_its_end_at_once (void **state)
{
    (void) state;
    make_folder ();
    put_text (in, "");
    run_lines ((resil_lines_t){RESIL_LINES, .path = in});
    assert_out ("");
    remove_folder ();
}

static void a_line_that_is_too_long_comes_in_pieces (void **state)
{
    (void) state;
    make_folder ();
    put_text (in, "1234\n12345\n12345678\n123456789\n\n12345");
    resil_lines_t lines = {RESIL_LINES, .path = in};
    lines.line_max = 4;
    run_lines (lines);
    assert_out ("1234\n1234\n5\n1234\n5678\n1234\n5678\n9\n\n1234\n5\n");
    remove_folder ();
}

static void a_line_longer_than_what_is_read_at_once_comes_whole (void **state)
{
    (void) state;
    static char line[700000];
    size_t size;
    make_folder ();
    memset (line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    put (in, line, sizeof line);
    resil_lines_t lines = {RESIL_LINES, .path = in};
    lines.line_max = sizeof line;
    run_lines (lines);
    const char *text = got (&size);
    assert_int_equal (size, sizeof line);
    assert_memory_equal (text, line, size);
    remove_folder ();
}

static void what_is_raw_has_no_newlines (void **state)
{
    (void) state;
    make_folder ();
    put_text (in, "a\nb\n");
    run ((resil_lines_t){RESIL_LINES, .path = in},
         (resil_file_t){RESIL_FILE, .path = out, .is_raw = true, .sync = RESIL_SYNC_ALWAYS});
    assert_out ("ab");
    remove_folder ();
}

/*  Stands between resil and the system: the first so many fail. */
static atomic_int syncs, bad_syncs;

int fdatasync (int fd)
{
    atomic_fetch_add (&syncs, 1);
    if (atomic_fetch_sub (&bad_syncs, 1) > 0) {
        errno = EIO;
        return -1;
    }
    return (int) syscall (SYS_fdatasync, fd);
}

static void what_is_to_be_on_the_disk_is_there_before_it_is_confirmed (void **state)
{
    (void) state;
    resil_audit_t audit;
    make_folder ();
    put_text (in, "a\nb\n");
    resil_lines_t lines = {RESIL_LINES, .path = in};
    resil_file_t file = {RESIL_FILE, .path = out};
    atomic_store (&syncs, 0);
    atomic_store (&bad_syncs, 0);
    run (lines, file);
    assert_int_equal (syncs, 0);
    file.sync = RESIL_SYNC_ALWAYS;
    atomic_store (&bad_syncs, INT_MAX);
    resil_pipeline_t *pipeline = started (&lines, &file);
    support_await_count ("syncs", &syncs, 3, SUPPORT_PATIENCE_MS);
    ok (resil_pipeline_audit (pipeline, "from", &audit));
    assert_int_equal (audit.done, 0);
    assert_int_equal (audit.in_flight, 2);
    atomic_store (&bad_syncs, 0);
    ok (resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS));
    ok (resil_pipeline_audit (pipeline, "from", &audit));
    assert_int_equal (audit.done, 2);
    resil_pipeline_destroy (&pipeline);
    assert_non_null (support_log_wait ("cannot put on the disk", SUPPORT_PATIENCE_MS));
    remove_folder ();
}

static void what_a_program_has_left_of_a_line_stays_by_itself (void **state)
{
    (void) state;
    make_folder ();
    put_text (in, "a\n");
    put_text (out, "x\ntor");
    run_lines ((resil_lines_t){RESIL_LINES, .path = in});
    assert_out ("x\ntor\na\n");
    run_lines ((resil_lines_t){RESIL_LINES, .path = in});
    assert_out ("x\ntor\na\na\n");
    remove_folder ();
}

static void put_numbers (const char *path, int from, int to)
{
    char line[32];
    FILE *file = fopen (path, "a");
    assert_non_null (file);
    for (int i = from; i < to; i++) {
        snprintf (line, sizeof line, "%d\n", i);
        assert_true (fputs (line, file) >= 0);
    }
    ok (fclose (file));
}

static void assert_numbers (int count)
{
    size_t size;
    const char *text = got (&size);
    for (int i = 0; i < count; i++) {
        char *end;
        assert_int_equal (strtol (text, &end, 10), i);
        assert_int_equal (*end, '\n');
        text = end + 1;
    }
    assert_int_equal (*text, 0);
}

static void a_stage_that_fails_between_loses_no_line (void **state)
{
    (void) state;
    make_folder ();
    put_numbers (in, 0, 5000);
    atomic_store (&failures, 10);
    run_lines ((resil_lines_t){RESIL_LINES, .path = in});
    assert_int_equal (failures, 0);
    assert_numbers (5000);
    remove_folder ();
}

static void another_run_goes_on_where_all_was_done (void **state)
{
    (void) state;
    resil_lines_t lines = {RESIL_LINES, .path = in, .progress = progress};
    make_folder ();
    put_numbers (in, 0, 1000);
    run_lines (lines);
    put_numbers (in, 1000, 1500);
    run_lines (lines);
    assert_numbers (1500);
    /*  Nothing new. */
    run_lines (lines);
    assert_numbers (1500);
    /*  Another file in its place begins anew, and so does what makes no sense. */
    unlink (out);
    char other[110];
    snprintf (other, sizeof other, "%s.other", in);
    put_numbers (other, 0, 10);
    ok (rename (other, in));
    run_lines (lines);
    assert_numbers (10);
    unlink (out);
    ok (truncate (progress, 0));
    put_text (progress, "-1 99999999999999999999 nonsense\n");
    run_lines (lines);
    assert_numbers (10);
    remove_folder ();
}

static void what_comes_by_a_pipe_comes_whatever_fails (void **state)
{
    (void) state;
    make_folder ();
    ok (mkfifo (in, 0600));
    resil_lines_t lines = {RESIL_LINES, .path = in};
    resil_file_t file = {RESIL_FILE, .path = out};
    atomic_store (&failures, 5);
    resil_pipeline_t *pipeline = started (&lines, &file);
    put_numbers (in, 0, 3000);
    ok (resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS));
    resil_pipeline_destroy (&pipeline);
    assert_numbers (3000);
    remove_folder ();
}

/*  ---- A file that is followed --------------------------------------------------------------------------- */

static bool has_size (void *arg)
{
    struct stat is;
    return stat (out, &is) == 0 && is.st_size == *(off_t *) arg;
}

static void await_out (const char *expected)
{
    off_t size = (off_t) strlen (expected);
    if (!support_wait_until (has_size, &size, SUPPORT_PATIENCE_MS))
        support_log_print ();
    assert_out (expected);
}

static void end (resil_pipeline_t *pipeline)
{
    assert_int_equal (resil_pipeline_drain (pipeline, SUPPORT_PATIENCE_MS), 0);
    resil_pipeline_destroy (&pipeline);
}

static void what_is_appended_to_a_file_that_is_followed_comes_too (void **state)
{
    (void) state;
    make_folder ();
    put_text (in, "a\nb");
    resil_lines_t lines = {RESIL_LINES, .path = in, .progress = progress, .follow_ms = 2};
    resil_file_t file = {RESIL_FILE, .path = out};
    resil_pipeline_t *pipeline = started (&lines, &file);
    await_out ("a\n");
    put_text (in, "c\nd\n");
    await_out ("a\nbc\nd\n");
    end (pipeline);
    put_text (in, "e\n");
    pipeline = started (&lines, &file);
    await_out ("a\nbc\nd\ne\n");
    end (pipeline);
    remove_folder ();
}

static void a_file_that_takes_the_place_of_one_that_is_followed_is_read_after_it (void **state)
{
    (void) state;
    char old[110], next[110];
    make_folder ();
    snprintf (old, sizeof old, "%s.1", in);
    snprintf (next, sizeof next, "%s.2", in);
    put_text (in, "a\n");
    resil_lines_t lines = {RESIL_LINES, .path = in, .progress = progress, .follow_ms = 2};
    resil_file_t file = {RESIL_FILE, .path = out};
    resil_pipeline_t *pipeline = started (&lines, &file);
    await_out ("a\n");
    /*  It goes on while there is none. */
    ok (rename (in, old));
    put_text (old, "b\nno newline");
    await_out ("a\nb\n");
    put_text (next, "c\n");
    ok (rename (next, in));
    await_out ("a\nb\nno newline\nc\n");
    put_text (in, "d\n");
    await_out ("a\nb\nno newline\nc\nd\n");
    end (pipeline);
    /*  How far it is was said of the file that is there now. */
    put_text (in, "e\n");
    pipeline = started (&lines, &file);
    await_out ("a\nb\nno newline\nc\nd\ne\n");
    end (pipeline);
    unlink (old);
    remove_folder ();
}

static void a_file_that_has_become_shorter_is_read_from_its_beginning (void **state)
{
    (void) state;
    make_folder ();
    put_text (in, "aaaa\nbbbb\n");
    resil_lines_t lines = {RESIL_LINES, .path = in, .progress = progress, .follow_ms = 2};
    resil_file_t file = {RESIL_FILE, .path = out};
    atomic_store (&failures, 2);
    resil_pipeline_t *pipeline = started (&lines, &file);
    await_out ("aaaa\nbbbb\n");
    ok (truncate (in, 0));
    put_text (in, "c\n");
    await_out ("aaaa\nbbbb\nc\n");
    put_text (in, "d\n");
    await_out ("aaaa\nbbbb\nc\nd\n");
    end (pipeline);
    atomic_store (&failures, 0);
    remove_folder ();
}

static void only_a_file_can_be_followed (void **state)
{
    (void) state;
    resil_file_t file = {RESIL_FILE, .path = out};
    resil_lines_t lines = {RESIL_LINES, .follow_ms = 1};
    not_made (&lines, &file, "follow_ms is for a file: give its path");
    lines.path = "/dev/null";
    lines.follow_ms = -1;
    not_made (&lines, &file, "follow_ms is -1; it must be from 0 to RESIL_LONGEST_MS");
    lines.follow_ms = 1;
    make_folder ();
    refused (&lines, &file, "cannot follow what is no file, /dev/null");
    remove_folder ();
}

static void what_cannot_be_opened_is_told_at_the_start (void **state)
{
    (void) state;
    resil_lines_t lines = {RESIL_LINES, .path = in};
    resil_file_t file = {RESIL_FILE, .path = out};
    make_folder ();
    refused (&lines, NULL, "No such file or directory");
    put_text (in, "a\n");
    ok (mkdir (out, 0700));
    refused (&lines, &file, "Is a directory");
    ok (rmdir (out));
    put_text (out, "");
    lines.path = folder;
    resil_pipeline_t *pipeline = started (&lines, &file);
    assert_non_null (support_log_wait ("cannot read /tmp/files-", SUPPORT_PATIENCE_MS));
    resil_pipeline_destroy (&pipeline);
    remove_folder ();
}

static void what_the_options_lack_is_told_before_anything_starts (void **state)
{
    (void) state;
    resil_lines_t lines = {RESIL_LINES, .path = "/dev/null"};
    resil_file_t file = {RESIL_FILE, .path = "/dev/null"};
    not_made (NULL, &file, "stage \"from\": a source of lines has no options");
    lines.line_max = 0;
    not_made (&lines, &file, "line_max is 0; it must be from 1 to RESIL_RECORD_MAX");
    lines.line_max = 10;
    lines.size = 1;
    not_made (&lines, &file, "stage \"from\": a source of lines: the size of its options is 1");
    lines.size = sizeof lines;
    file.size = 1;
    not_made (&lines, &file, "stage \"to\": a file sink: the size of its options is 1");
}

/*  Put that in the place of a standard descriptor; returns what is to be put back. */
static int put_in_place (int fd, int standard)
{
    int before = fcntl (standard, F_DUPFD_CLOEXEC, 100);
    assert_true (fd >= 0 && before >= 0);
    assert_int_equal (dup2 (fd, standard), standard);
    close (fd);
    return before;
}

static void the_standard_input_and_output_are_files_too (void **state)
{
    (void) state;
    int ends[2];
    make_folder ();
    ok (pipe2 (ends, O_CLOEXEC));
    fflush (stdout);
    int input = put_in_place (ends[0], STDIN_FILENO);
    int output = put_in_place (open (out, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), STDOUT_FILENO);
    atomic_store (&failures, 2);
    resil_lines_t lines = {RESIL_LINES};
    resil_file_t file = {RESIL_FILE};
    resil_pipeline_t *pipeline = started (&lines, &file);
    char line[16];
    for (int i = 0; i < 1000; i++) {
        int size = snprintf (line, sizeof line, "%d\n", i);
        assert_int_equal (write (ends[1], line, (size_t) size), size);
    }
    close (ends[1]);
    int rc = resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS);
    resil_pipeline_destroy (&pipeline);
    close (put_in_place (input, STDIN_FILENO));
    close (put_in_place (output, STDOUT_FILENO));
    assert_int_equal (rc, 0);
    assert_numbers (1000);
    remove_folder ();
}

/*  Its reader goes, and another comes. */
static void a_pipe_that_breaks_is_a_failure_and_no_signal (void **state)
{
    (void) state;
    make_folder ();
    put_numbers (in, 0, 100);
    ok (mkfifo (out, 0600));
    int reader = open (out, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true (reader >= 0);
    resil_lines_t lines = {RESIL_LINES, .path = in};
    resil_file_t file = {RESIL_FILE, .path = out};
    resil_pipeline_t *pipeline = made (&lines, &file);
    ok (resil_pipeline_pause (pipeline, "from"));
    ok (resil_pipeline_start (pipeline));
    close (reader);
    ok (resil_pipeline_resume (pipeline, "from"));
    assert_non_null (support_log_wait ("Broken pipe", SUPPORT_PATIENCE_MS));
    reader = open (out, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ok (resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS));
    resil_pipeline_destroy (&pipeline);
    char bytes[4096];
    assert_true (read (reader, bytes, sizeof bytes) >= 290);
    close (reader);
    remove_folder ();
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (lines_come_as_they_are_and_the_last_needs_no_newline),
        support_case (an_empty_file_is_at_its_end_at_once),
        support_case (a_line_that_is_too_long_comes_in_pieces),
        support_case (a_line_longer_than_what_is_read_at_once_comes_whole),
        support_case (what_is_raw_has_no_newlines),
        support_case (what_is_to_be_on_the_disk_is_there_before_it_is_confirmed),
        support_case (what_a_program_has_left_of_a_line_stays_by_itself),
        support_case (a_stage_that_fails_between_loses_no_line),
        support_case (another_run_goes_on_where_all_was_done),
        support_case (what_comes_by_a_pipe_comes_whatever_fails),
        support_case (what_is_appended_to_a_file_that_is_followed_comes_too),
        support_case (a_file_that_takes_the_place_of_one_that_is_followed_is_read_after_it),
        support_case (a_file_that_has_become_shorter_is_read_from_its_beginning),
        support_case (only_a_file_can_be_followed),
        support_case (what_cannot_be_opened_is_told_at_the_start),
        support_case (the_standard_input_and_output_are_files_too),
        support_case (a_pipe_that_breaks_is_a_failure_and_no_signal),
        support_case (what_the_options_lack_is_told_before_anything_starts),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
