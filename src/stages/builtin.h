/*  The types of stages that are there without being registered, and what they have in common: options that are checked
    before anything starts, and a sentence for what the system refuses them.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_STAGES_BUILTIN_H
#define RESIL_STAGES_BUILTIN_H

#include <string.h>

#include <resil/executable.h>
#include <resil/files.h>
#include <resil/sources.h>

/*  Are a spec's args sound as its options? 0, or -1 with errno and a sentence. */
typedef int (resil__options_fn) (const void *options);

typedef struct {
    resil_stage_type_t type;
    resil__options_fn *check; /*  NULL: it has no options                                       */
    /*  Does a callback of it wait, with these options? NULL: none does. */
    bool (*waits) (const void *options);
    /*  Can it work in another process, with these options? NULL: it can, if it has an args_encode or no options. */
    resil__options_fn *check_afar;
} resil__builtin_t;

extern const resil__builtin_t resil__lines_source;
extern const resil__builtin_t resil__file_sink;
extern const resil__builtin_t resil__null_sink;
extern const resil__builtin_t resil__interval_source;
extern const resil__builtin_t resil__tcp_source;
extern const resil__builtin_t resil__mailbox_source;
extern const resil__builtin_t resil__executable;

/*  NULL: there is none of that name. */
const resil_stage_type_t *resil__builtin_find (const char *name);

/*  0, or -1 with errno and a sentence; also 0 for a type that is none of these. */
int resil__builtin_check (const resil_stage_type_t *type, const void *options);

/*  Does a callback of it wait for others, so that it must not share its thread? false for a type that is none of these. */
bool resil__builtin_waits (const resil_stage_type_t *type, const void *options);

/*  May it be in a process of its own? 0, or -1 with errno and a sentence; also 0 for a type that is none of these. */
int resil__builtin_check_afar (const resil_stage_type_t *type, const void *options);

/*  How options are bytes: where their texts are, and a row of texts with a NULL at its end, in a struct that has no pointers but
    these. */
typedef struct {
    size_t size;
    size_t texts[2];
    size_t text_count;
    size_t row; /*  0: there is none                                                         */
} resil__options_shape_t;

/*  As args_encode, of options. */
int resil__options_encode (const resil__options_shape_t *shape, const void *options, void **bytes_p,
                           size_t *size_p);

/*  As args_decode: what `make` makes of the options. It begins with a pointer, NULL in what `make` returns, where the options
    are put, in one block of malloc's: it frees them when it is freed. */
void *resil__options_decode (const resil__options_shape_t *shape, const void *bytes, size_t size,
                             void *(*make) (const void *options));

/*  Both of them, of a type's own shape and make. */
#define RESIL__OPTIONS_CODEC(shape, make)                                                          \
    static int encode (const void *options, void **bytes_p, size_t *size_p)                        \
    {                                                                                              \
        return resil__options_encode (&(shape), options, bytes_p, size_p);                         \
    }                                                                                              \
    static void *decode (const void *bytes, size_t size)                                           \
    {                                                                                              \
        return resil__options_decode (&(shape), bytes, size, make);                                \
    }

/*  What every check begins with: are there options at all, and of this version? */
int resil__options_check (const char *whose, const void *options, size_t expected,
                          const char *initialiser);

/*  Report errno as what has failed with that file or the like; what a callback returns then. */
int resil__builtin_fail (resil_stage_t *stage, const char *what, const char *with);

/*  The same of a call of resil, which has its own sentence. */
int resil__builtin_fail_call (resil_stage_t *stage);

/*  Have room for so much in a buffer of malloc's, or none yet. 0, or -1 with ENOMEM, and it is as it was. */
int resil__builtin_grow (char **bytes, size_t *room, size_t to);

/*  A pipe that nobody reads any more is an error of the write, and no signal: for a thread of the pipeline's. */
void resil__builtin_block_sigpipe (void);

/*  The next record of what has been read of lines, and how many of the `left` bytes it takes with its newline; a
    line longer than `most` comes in pieces. 0: there is none, or its end is still to be read. */
static inline size_t resil__next_line (const char *bytes, size_t left, size_t most, bool has_ended,
                                       size_t *size)
{
    if (left == 0)
        return 0;
    /*  The newline of a line that is just as long as it may be goes with it. */
    const char *newline = memchr (bytes, '\n', left <= most ? left : most + 1);
    *size = newline ? (size_t) (newline - bytes) : left <= most ? left : most;
    if (newline)
        return *size + 1;
    return left > most || has_ended ? *size : 0;
}

#endif
