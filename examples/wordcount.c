/*  wordcount: how often each word is in a file, by a pipeline: lines, their words, counts. A worker of its second stage dies at
    every 100th line or so, and nothing is lost or counted twice.

        wordcount FILE              prints "<count> <word>" for each, as `sort | uniq -c` would
        wordcount --show N FILE     slowly, with figures on standard error; dies at every Nth line or so

    SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <resil.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 2
#define SHOWN_MS 1000
#define LINES_A_REST 50
#define REST_MS 7

typedef struct {
    size_t unlucky; /*  a worker dies of a line that ends at a multiple of it                  */
    bool is_slow;
} words_t;

static int split (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    const words_t *options = args;
    const char *at = record->bytes, *end = at + record->size;
    while (at < end) {
        const char *word = at;
        while (at < end && isalpha ((unsigned char) *at))
            at++;
        if (at > word && resil_emit (stage, word, (size_t) (at - word)))
            return -1;
        at += at < end;
    }
    /*  What was emitted is undone with it, and comes again with the line. */
    if (record->id.origin % options->unlucky == 0 && record->attempt == 1)
        resil_panic (resil_stage_self (stage), 0, "out of luck at %" PRIu64, record->id.origin);
    /*  Where a line ends is as good as chance. */
    if (options->is_slow && record->id.origin % LINES_A_REST == 0)
        resil_wait (resil_stage_self (stage), NULL, REST_MS);
    return RESIL_OK;
}

/*  ---- Counts: a tree of words, in order ---- */

typedef struct {
    size_t times;
    char text[];
} count_t;

static int by_text (const void *a, const void *b)
{
    const count_t *one = a, *other = b;
    return strcmp (one->text, other->text);
}

static int count (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    count_t *word = calloc (1, sizeof *word + record->size + 1), **found = NULL;
    if (word) {
        memcpy (word->text, record->bytes, record->size);
        found = tsearch (word, args, by_text);
    }
    if (!found) {
        free (word);
        return resil_fail (resil_stage_self (stage), ENOMEM, "no memory for a word");
    }
    if (*found != word)
        free (word);
    (*found)->times++;
    return RESIL_OK;
}

static void print (const void *node, VISIT visit, int depth)
{
    const count_t *word = *(const count_t *const *) node;
    (void) depth;
    if (visit == postorder || visit == leaf)
        printf ("%zu %s\n", word->times, word->text);
}

/*  ---- Figures ---- */

static void show_line (const resil_log_entry_t *entry, void *arg)
{
    (void) arg;
    fprintf (stderr, "       %.73s\n", entry->message);
}

static void show (resil_pipeline_t *pipeline)
{
    resil_audit_t lines, counts;
    for (int s = 1; resil_pipeline_wait (pipeline, SHOWN_MS) && errno == ETIMEDOUT; s++) {
        resil_pipeline_audit (pipeline, "words", &lines);
        resil_pipeline_audit (pipeline, "counts", &counts);
        fprintf (stderr,
                 "%3d s  %7" PRIu64 " lines  %8" PRIu64 " words  %7" PRIu64 " words/s  %3" PRIu64
                 " restarts\n",
                 s, lines.done, counts.done, counts.done / (uint64_t) s, lines.failures);
    }
}

static int run (const char *path, words_t *words, void **counts)
{
    resil_lines_t lines = {RESIL_LINES, .path = path};
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "lines", .type = RESIL_LINES_SOURCE, .args = &lines},
        {RESIL_STAGE, .name = "words", .args = words},
        {RESIL_STAGE, .name = "counts", .args = counts}};
    stages[1].workers = WORKERS;
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "wordcount", .stages = stages,
                                  .stage_count = 3};
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    int rc = pipeline ? resil_pipeline_start (pipeline) : -1;
    if (rc == 0 && words->is_slow)
        show (pipeline);
    if (rc == 0)
        rc = resil_pipeline_wait (pipeline, RESIL_FOREVER);
    if (rc)
        fprintf (stderr, "wordcount: %s\n", resil_errmsg ());
    resil_pipeline_destroy (&pipeline);
    return rc ? 1 : 0;
}

int main (int argc, char **argv)
{
    static const resil_stage_type_t types[] = {
        {RESIL_STAGE_TYPE, .name = "words", .on_record = split},
        {RESIL_STAGE_TYPE, .name = "counts", .on_record = count, .is_sink = true}};
    bool shows = argc == 4 && strcmp (argv[1], "--show") == 0;
    words_t words = {.unlucky = shows ? strtoul (argv[2], NULL, 10) : 100, .is_slow = shows};
    void *counts = NULL;
    if ((argc != 2 && !shows) || words.unlucky == 0) {
        fprintf (stderr, "usage: wordcount [--show N] FILE\n");
        return 2;
    }
    if (shows)
        resil_log_to (show_line, NULL);
    for (int i = 0; i < 2; i++)
        resil_stage_type_register (&types[i]);
    int rc = run (argv[argc - 1], &words, &counts);
    twalk (counts, print);
    while (counts) {
        count_t *word = *(count_t **) counts;
        tdelete (word, &counts, by_text);
        free (word);
    }
    return rc;
}
