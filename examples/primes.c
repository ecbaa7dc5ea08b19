/*  primes: a pipeline without an end, to be looked at while it runs: `RESIL_MONITOR=1 ./primes`, and from another terminal
    `resil graph` or `resil top`. Numbers go to two workers, who let the primes pass, those that are the same from behind to
    a shelf of their own; numbers that end in 13 are refused, and nobody but the log hears of them.

        primes [RATE]           so many numbers a second, 1000 unless said; until Ctrl-C

    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>
#include <stdlib.h>
#include <string.h>

static int emit_number (resil_stage_t *stage, void *args)
{
    uint64_t *next = args, rate = next[1];
    for (uint64_t i = 0; i < rate / 100 + 1; i++) {
        ++*next;
        if (resil_emit_at (stage, *next, next, sizeof *next))
            return -1;
    }
    return resil_stage_await_ms (stage, 10);
}

static bool is_prime (uint64_t number)
{
    for (uint64_t by = 2; by * by <= number; by++)
        if (number % by == 0)
            return false;
    return number > 1;
}

static bool is_palindrome (uint64_t number)
{
    uint64_t reversed = 0;
    for (uint64_t rest = number; rest; rest /= 10)
        reversed = 10 * reversed + rest % 10;
    return reversed == number;
}

static int sieve (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    uint64_t number;
    (void) args;
    memcpy (&number, record->bytes, sizeof number);
    if (number % 100 == 13)
        return resil_stage_reject (stage, "it is unlucky");
    if (!is_prime (number))
        return RESIL_DROP;
    return resil_emit_to (stage, is_palindrome (number) ? "palindromes" : NULL, NULL, 0,
                          record->bytes, record->size);
}

static int count (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage;
    (void) record;
    ++*(uint64_t *) args;
    return RESIL_OK;
}

int main (int argc, char **argv)
{
    static const char *const ports[] = {"palindromes", NULL};
    static const resil_stage_type_t types[] = {
        {RESIL_STAGE_TYPE, .name = "numbers", .produce = emit_number},
        {RESIL_STAGE_TYPE, .name = "sieve", .on_record = sieve, .ports = ports},
        {RESIL_STAGE_TYPE, .name = "shelf", .on_record = count, .is_sink = true}};
    uint64_t numbers[2] = {0, argc > 1 ? strtoull (argv[1], NULL, 10) : 1000}, shelves[2] = {0};
    for (int i = 0; i < 3; i++)
        resil_stage_type_register (&types[i]);
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "numbers", .args = numbers},
        {RESIL_STAGE, .name = "sieve"},
        {RESIL_STAGE, .name = "primes", .type = "shelf", .args = &shelves[0]},
        {RESIL_STAGE, .name = "palindromes", .type = "shelf", .args = &shelves[1]}};
    stages[1].workers = 2;
    resil_link_spec_t links[] = {
        {RESIL_LINK, .from = "numbers", .to = "sieve", .share = RESIL_SHARE_MOST_CREDIT},
        {RESIL_LINK, .from = "sieve", .to = "primes"},
        {RESIL_LINK, .from = "sieve", .port = "palindromes", .to = "palindromes"}};
    resil_pipeline_spec_t spec = {RESIL_PIPELINE,   .name = "primes", .stages = stages,
                                  .stage_count = 4, .links = links,   .link_count = 3};
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    int rc = pipeline && resil_supervisor_run (resil_pipeline_supervisor (pipeline)) >= 0 ? 0 : 1;
    if (rc)
        fprintf (stderr, "primes: %s\n", resil_errmsg ());
    resil_pipeline_destroy (&pipeline);
    return rc;
}
