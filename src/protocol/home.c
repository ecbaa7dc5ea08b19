/*  SPDX-License-Identifier: Apache-2.0 */
#include "protocol/home.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "foundation/errmsg.h"

static bool is_our_folder (const char *path)
{
    struct stat is;
    return lstat (path, &is) == 0 && S_ISDIR (is.st_mode) && is.st_uid == geteuid ();
}

int resil__home_path (char path[RESIL__HOME_MAX])
{
    const char *runtime = getenv ("XDG_RUNTIME_DIR");
    unsigned uid = (unsigned) geteuid ();
    char of_user[32];
    int size;
    snprintf (of_user, sizeof of_user, "/run/user/%u", uid);
    if (runtime && *runtime == '/')
        size = snprintf (path, RESIL__HOME_MAX, "%s/resil", runtime);
    else if (is_our_folder (of_user))
        size = snprintf (path, RESIL__HOME_MAX, "%s/resil", of_user);
    else
        size = snprintf (path, RESIL__HOME_MAX, "/tmp/resil-%u", uid);
    if (size < RESIL__HOME_MAX)
        return 0;
    return resil__refuse (
        ENAMETOOLONG,
        "$XDG_RUNTIME_DIR is \"%s\": sockets below it would have paths that are too "
        "long; set a shorter one",
        runtime);
}

int resil__home_check (const char *path)
{
    struct stat is;
    if (lstat (path, &is))
        return resil__refuse (errno, "%s: %s", path, strerror (errno));
    if (S_ISDIR (is.st_mode) && is.st_uid == geteuid () && !(is.st_mode & 077))
        return 0;
    return resil__refuse (
        EACCES,
        "%s is not a folder that is yours alone, so what is in it is not believed: have a "
        "look at it, and remove it",
        path);
}
