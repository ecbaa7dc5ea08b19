/*  Ready-made stages for files: their lines as a source, a file as a sink, and a sink that takes
    all.

    They need not be registered: a spec names them as its type, and gives their options as its args,
    which must last as long as the pipeline, and are checked when that is made. Who registers a type
    of the same name gets that one.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FILES_H
#define RESIL_FILES_H

#include <resil/pipeline.h>

/*  The type of a source: each line of a file is a record, without its newline; what else is in it
    stays as it is. The position is where the line ends, in bytes. At the end of the file it is
    done; a last line without a newline is a record too. A pipe has no way back, so what has been
    read of it is held until it is confirmed.

    A file that is followed has no end: what is appended comes too. Where another file has taken its
    place, that one follows when the first has been read to its end; one that has become shorter is
    read from its beginning. As `tail -F`; and as there, what is written to a file after another one
    has taken its place may be missed, and so is one that came and went while the program did not
    run. */
#define RESIL_LINES_SOURCE "lines"

/*  Begin with RESIL_LINES: `resil_lines_t log = {RESIL_LINES, .path = "app.log"};`. */
typedef struct {
    size_t size;          /*  of this struct; set by RESIL_LINES                               */
    const char *path;     /*  of a file or a named pipe; NULL: the standard input              */
    size_t line_max;      /*  a longer line comes as several records, each of so many bytes
                              but the last; 64 KiB                                             */
    const char *progress; /*  a file that is written: how far all is done, so that another run of
                              the program goes on there, if it finds the same file; NULL: none */
    int64_t follow_ms;    /*  at its end, look again for more so often; 0: it is done there       */
} resil_lines_t;

/*  Begins a resil_lines_t. */
#define RESIL_LINES .size = sizeof (resil_lines_t), .line_max = 64 << 10

/*  The type of a sink: appends each record to a file, and a newline. What has been written is
    confirmed, not before. After a failure records may be in the file again, each whole. A program
    that is killed may leave the beginning of one as the last line; the next one that appends begins
    a new line behind it. */
#define RESIL_FILE_SINK "file"

/*  When what was written is on the disk. */
typedef enum {
    RESIL_SYNC_NEVER = 0, /*  when the system sees fit: a crash of the system may lose what was
                              confirmed; one of the program does not                          */
    RESIL_SYNC_ALWAYS     /*  before it is confirmed                                          */
} resil_sync_t;

/*  Begin with RESIL_FILE: `resil_file_t out = {RESIL_FILE, .path = "out.txt"};`. */
typedef struct {
    size_t size;      /*  of this struct; set by RESIL_FILE                                    */
    const char *path; /*  made if it is not there, for its owner alone; NULL: the standard output */
    resil_sync_t sync; /*  RESIL_SYNC_NEVER                                               */
    bool is_raw;       /*  without newlines                                                */
} resil_file_t;

/*  Begins a resil_file_t. */
#define RESIL_FILE .size = sizeof (resil_file_t)

/*  The type of a sink that takes all and does nothing with it. It has no options. */
#define RESIL_NULL_SINK "null"

#endif
