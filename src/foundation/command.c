/*  SPDX-License-Identifier: Apache-2.0 */
#include "foundation/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_ROOM 4096

static bool is_executable (const char *file)
{
    struct stat is;
    return access (file, X_OK) == 0 && stat (file, &is) == 0 && S_ISREG (is.st_mode);
}

bool resil__command_is_there (const char *command)
{
    if (strchr (command, '/'))
        return is_executable (command);
    const char *path = getenv ("PATH");
    char file[PATH_ROOM];
    for (const char *at = path ? path : "/bin:/usr/bin"; at;) {
        size_t length = strcspn (at, ":");
        snprintf (file, sizeof file, "%.*s/%s", length ? (int) length : 1, length ? at : ".",
                  command);
        if (is_executable (file))
            return true;
        at = at[length] ? at + length + 1 : NULL;
    }
    return false;
}
