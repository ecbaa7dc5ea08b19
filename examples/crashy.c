/*  crashy: a parser that dies of bad lines, and a program that keeps counting.

        crashy FILE process     the parser has a process of its own: its crashes stay there
        crashy FILE thread      it has a thread: the first bad line is the end of the program

    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { A_VALUE = 1, THE_END };

/*  ---- The parser ---- */

/*  A bug: a line without a colon is not expected. */
static long value_of (const char *line)
{
    const char *colon = strchr (line, ':');
    return strtol (colon + 1, NULL, 10);
}

static int parse_on (resil_self_t *self, FILE *file, resil_address_t counter)
{
    char line[4096];
    while (!resil_cancelled (self) && fgets (line, sizeof line, file)) {
        /*  Whoever dies of this line is not to meet it again. */
        long next = ftell (file);
        if (resil_save (self, &next, sizeof next))
            return -1;
        long value = value_of (line);
        if (resil_cast (counter, A_VALUE, &value, sizeof value))
            return -1;
    }
    return resil_cast (counter, THE_END, NULL, 0);
}

static int parse (resil_self_t *self, void *args)
{
    const char *path = args;
    resil_address_t counter;
    long at = 0;
    size_t size;
    const void *saved = resil_saved (self, &size);
    if (saved && size == sizeof at)
        memcpy (&at, saved, size);
    if (resil_self_find (self, "counter", &counter))
        return resil_fail (self, errno, "%s", resil_errmsg ());
    FILE *file = fopen (path, "re");
    if (!file || fseek (file, at, SEEK_SET))
        return resil_fail (self, errno, "%s: %s", path, strerror (errno));
    int rc = parse_on (self, file, counter);
    fclose (file);
    return rc ? resil_fail (self, errno, "%s", resil_errmsg ()) : 0;
}

/*  Called in the program, wherever the parser runs. */
static int tell (void *args, const resil_error_t *error)
{
    (void) args;
    printf ("parser#%d: %.60s\n", (int) resil_error_incarnation (error), resil_error_text (error));
    return 0;
}

/*  The path, as bytes and back. */
static int encode (const void *args, void **bytes_p, size_t *size_p)
{
    *size_p = strlen (args) + 1;
    *bytes_p = strdup (args);
    return *bytes_p ? 0 : -1;
}

static void *decode (const void *bytes, size_t size)
{
    char *path = malloc (size);
    return path ? memcpy (path, bytes, size) : NULL;
}

/*  ---- Who counts, in a thread of the program ---- */

typedef struct {
    long lines;
    long sum;
} count_t;

static int count (resil_self_t *self, void *args, resil_message_t *message)
{
    count_t *so_far = args;
    (void) self;
    if (resil_message_tag (message) == THE_END) {
        printf ("%ld good lines, in sum %ld\n", so_far->lines, so_far->sum);
        return RESIL_DONE;
    }
    long value;
    memcpy (&value, resil_message_data (message), sizeof value);
    so_far->lines++;
    so_far->sum += value;
    return 0;
}

int main (int argc, char **argv)
{
    static const resil_type_t counter = {RESIL_TYPE, .name = "counter", .on_message = count};
    static const resil_type_t parser = {RESIL_TYPE,
                                        .name = "parser",
                                        .start = parse,
                                        .handle_irrecoverable = tell,
                                        .args_encode = encode,
                                        .args_decode = decode,
                                        .args_free = free};
    if (resil_type_register (&counter) || resil_type_register (&parser))
        return 1;
    resil_host ();

    bool in_process = argc > 2 && strcmp (argv[2], "process") == 0;
    if (argc < 3 || (!in_process && strcmp (argv[2], "thread") != 0)) {
        fprintf (stderr, "usage: crashy FILE process|thread\n");
        return 2;
    }
    setlinebuf (stdout);
    count_t counted = {0};
    resil_spec_t specs[] = {
        {RESIL_SPEC, .name = "counter", .type = "counter", .args = &counted},
        {RESIL_SPEC, .name = "parser", .type = "parser", .args = argv[1]},
    };
    specs[1].placement = in_process ? RESIL_PROCESS : RESIL_OWN_THREAD;
    specs[1].delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    if (!supervisor || resil_supervisor_add (supervisor, &specs[0]) ||
        resil_supervisor_add (supervisor, &specs[1]) || resil_supervisor_run (supervisor)) {
        fprintf (stderr, "crashy: %s\n", resil_errmsg ());
        return 1;
    }
    resil_supervisor_destroy (&supervisor);
    return 0;
}
