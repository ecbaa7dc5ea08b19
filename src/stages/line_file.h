/*  A file that lines are appended to, and that a kill or a loss of power may find at any moment.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_STAGES_LINE_FILE_H
#define RESIL_STAGES_LINE_FILE_H

#include <stdbool.h>

/*  Opened to append, made for its owner alone if it is not there; while it is empty, the folder of its path is brought to the disk
    too. flags: more of those of open. -1 with errno. */
int resil__line_file_open (const char *path, int flags);

/*  Does it end in a line without a newline, as a writer that was killed leaves it? Of what is no file, or may not be read: no. */
bool resil__line_file_is_torn (int file);

#endif
