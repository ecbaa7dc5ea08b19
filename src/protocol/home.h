/*  Where the monitors of a user's programs are found on their machine: one folder that is the user's alone.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PROTOCOL_HOME_H
#define RESIL_PROTOCOL_HOME_H

/*  A path with its NUL, short enough that a socket's fits into an address. */
#define RESIL__HOME_MAX 64

/*  The path of that folder: resil in $XDG_RUNTIME_DIR, else in /run/user/<uid>, if that is there and ours, else
    /tmp/resil-<uid>. Makes nothing. 0, or -1 with ENAMETOOLONG and a sentence. */
int resil__home_path (char path[RESIL__HOME_MAX]);

/*  Is it a folder, no link to one, ours, and closed to all others? 0, or -1 with errno and a sentence: ENOENT (it is not
    there), EACCES. */
int resil__home_check (const char *path);

#endif
