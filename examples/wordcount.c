/*  wordcount: how often each word is in a file, by a pipeline: lines, their words, counts. Its second stage dies at every 100th
    line, and nothing is lost or counted twice.

        wordcount FILE          prints "<count> <word>" for each, as `sort | uniq -c` would

    SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <resil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 2

typedef struct {
    char **words;
    size_t count;
    size_t room;
} words_t;

/*  A position in the file is one in the stream: behind a line is where the next one begins. */
static int go_to (resil_stage_t *stage, void *args, uint64_t position)
{
    if (fseeko (args, (off_t) position, SEEK_SET))
        return resil_fail (resil_stage_self (stage), errno, "fseeko");
    return 0;
}

static int read_line (resil_stage_t *stage, void *args)
{
    char line[4096];
    if (!fgets (line, sizeof line, args))
        return RESIL_DONE;
    return resil_emit_at (stage, (uint64_t) ftello (args), line, strlen (line));
}

static int split (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
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
    if (record->id.origin % 100 == 0 && record->attempt == 1)
        resil_panic (resil_stage_self (stage), 0, "out of luck");
    return RESIL_OK;
}

static int keep (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage;
    words_t *all = args;
    if (all->count == all->room) {
        all->room = 2 * all->room + 1024;
        all->words = realloc (all->words, all->room * sizeof *all->words);
    }
    all->words[all->count++] = strndup (record->bytes, record->size);
    return RESIL_OK;
}

static int by_text (const void *a, const void *b)
{
    return strcmp (*(char *const *) a, *(char *const *) b);
}

static void print (words_t *all)
{
    size_t times = 1;
    if (all->count)
        qsort (all->words, all->count, sizeof *all->words, by_text);
    for (size_t i = 0; i < all->count; i++, times++)
        if (i + 1 == all->count || strcmp (all->words[i], all->words[i + 1]) != 0) {
            printf ("%zu %s\n", times, all->words[i]);
            times = 0;
        }
}

int main (int argc, char **argv)
{
    static const resil_stage_type_t types[] = {
        {RESIL_STAGE_TYPE, .name = "lines", .produce = read_line, .open = go_to},
        {RESIL_STAGE_TYPE, .name = "words", .on_record = split},
        {RESIL_STAGE_TYPE, .name = "counts", .on_record = keep, .is_sink = true}};
    words_t all = {0};
    FILE *file = argc == 2 ? fopen (argv[1], "re") : NULL;
    if (!file) {
        fprintf (stderr, "usage: wordcount FILE\n");
        return 2;
    }
    for (int i = 0; i < 3; i++)
        resil_stage_type_register (&types[i]);
    resil_stage_spec_t stages[] = {{RESIL_STAGE, .name = "lines", .args = file},
                                   {RESIL_STAGE, .name = "words"},
                                   {RESIL_STAGE, .name = "counts", .args = &all}};
    stages[1].workers = WORKERS;
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "wordcount", .stages = stages,
                                  .stage_count = 3};
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    int rc = pipeline && resil_pipeline_run (pipeline) == 0 ? 0 : 1;
    if (rc)
        fprintf (stderr, "wordcount: %s\n", resil_errmsg ());
    resil_pipeline_destroy (&pipeline);
    print (&all);
    fclose (file);
    for (size_t i = 0; i < all.count; i++)
        free (all.words[i]);
    free (all.words);
    return rc;
}
