/*  SPDX-License-Identifier: Apache-2.0 */
#include "monitor/directory.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "foundation/errmsg.h"
#include "protocol/home.h"

/*  Of a program's name. */
#define NAME_KEPT 20

/*  Roots of one program that have a folder each. */
#define FOLDERS_MAX 100

static const char *const files[] = {"events", "control", "lock"};

static int refuse (const char *path)
{
    return resil__refuse (errno, "the folder %s cannot be made: %s", path, strerror (errno));
}

static void remove_folder (const char *path)
{
    char file[PATH_MAX + 16];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf (file, sizeof file, "%s/%s", path, files[i]);
        unlink (file);
    }
    rmdir (path);
}

/*  The lock of that folder, made if it is not there; -1: somebody holds it. */
static int take_lock (const char *path)
{
    char file[PATH_MAX + 16];
    snprintf (file, sizeof file, "%s/lock", path);
    int fd = open (file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && flock (fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (fd >= 0)
        close (fd);
    return -1;
}

/*  One that has been there longer than it takes to make its lock. */
static bool is_stale (const char *path)
{
    char file[PATH_MAX + 16];
    struct stat is;
    snprintf (file, sizeof file, "%s/lock", path);
    int fd = open (file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT && lstat (path, &is) == 0 && is.st_mtime + 60 < time (NULL);
    bool is_free = flock (fd, LOCK_EX | LOCK_NB) == 0;
    close (fd);
    return is_free;
}

/*  Programs that were killed leave theirs. */
static void remove_stale (const char *home)
{
    char path[RESIL__HOME_MAX + NAME_MAX + 2];
    DIR *folders = opendir (home);
    if (!folders)
        return;
    for (struct dirent *entry; (entry = readdir (folders));) {
        snprintf (path, sizeof path, "%s/%s", home, entry->d_name);
        if (*entry->d_name != '.' && is_stale (path))
            remove_folder (path);
    }
    closedir (folders);
}

/*  A name that is good for a file. */
static void name_of (const char *program, char name[NAME_KEPT + 1])
{
    size_t size = 0;
    for (; program[size] && size < NAME_KEPT; size++) {
        unsigned char c = (unsigned char) program[size];
        name[size] = isalnum (c) || (c == '.' && size) || c == '_' || c == '-' ? (char) c : '_';
    }
    name[size] = 0;
}

int resil__directory_make (resil__directory_t *self, const char *program)
{
    char home[RESIL__HOME_MAX], name[NAME_KEPT + 1];
    self->lock_fd = -1;
    if (resil__home_path (home))
        return -1;
    if (mkdir (home, 0700) && errno != EEXIST)
        return refuse (home);
    if (resil__home_check (home))
        return -1;
    remove_stale (home);
    name_of (program, name);
    for (int i = 1; i <= FOLDERS_MAX; i++) {
        int size =
            snprintf (self->path, sizeof self->path, "%s/%s-%d", home, name, (int) getpid ());
        if (i > 1)
            snprintf (self->path + size, sizeof self->path - (size_t) size, "-%d", i);
        if (mkdir (self->path, 0700) == 0 && (self->lock_fd = take_lock (self->path)) >= 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    int rc =
        errno == EEXIST
            ? resil__refuse (EEXIST,
                             "%d trees of this process can be watched by ipc already, which is "
                             "as many as can be: give others an endpoint, as tcp://127.0.0.1:*",
                             FOLDERS_MAX)
            : refuse (self->path);
    *self->path = 0;
    return rc;
}

void resil__directory_remove (resil__directory_t *self)
{
    if (!*self->path)
        return;
    remove_folder (self->path);
    close (self->lock_fd);
    *self->path = 0;
}
