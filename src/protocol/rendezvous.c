/*  SPDX-License-Identifier: Apache-2.0 */
#include "protocol/rendezvous.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "foundation/errmsg.h"

#define PREFIX "resil-"
#define NAME_MAX_BYTES 9

/*  One that is made at this moment is not locked yet. */
#define YOUNG_S 5

static int open_directory (int base_fd, const char *name)
{
    return openat (base_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void remove_sockets (int fd)
{
    struct stat stat;
    int own = open_directory (fd, ".");
    DIR *all = own >= 0 ? fdopendir (own) : NULL;
    if (!all) {
        if (own >= 0)
            close (own);
        return;
    }
    for (struct dirent *one = readdir (all); one; one = readdir (all))
        if (fstatat (fd, one->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK (stat.st_mode))
            unlinkat (fd, one->d_name, 0);
    closedir (all);
}

static void remove_directory (int base_fd, const char *name, int fd)
{
    remove_sockets (fd);
    unlinkat (base_fd, name, AT_REMOVEDIR);
}

/*  Left behind by a program that is gone? Only ours, and no link to anywhere. */
static void sweep_one (int base_fd, const char *name)
{
    struct stat stat;
    int fd = open_directory (base_fd, name);
    if (fd < 0)
        return;
    bool is_ours = fstat (fd, &stat) == 0 && stat.st_uid == geteuid () &&
                   (stat.st_mode & 07777) == 0700 && time (NULL) - stat.st_mtime > YOUNG_S;
    if (is_ours && flock (fd, LOCK_EX | LOCK_NB) == 0)
        remove_directory (base_fd, name, fd);
    close (fd);
}

static void sweep (const char *base)
{
    DIR *all = opendir (base);
    if (!all)
        return;
    for (struct dirent *one = readdir (all); one; one = readdir (all))
        if (strncmp (one->d_name, PREFIX, strlen (PREFIX)) == 0)
            sweep_one (dirfd (all), one->d_name);
    closedir (all);
}

/*  0, or an errno. */
static int make_in (resil__rendezvous_t *self, const char *base)
{
    int size =
        snprintf (self->path, sizeof self->path, "%s/" PREFIX "%d-XXXXXX", base, (int) getpid ());
    if (size + 1 + NAME_MAX_BYTES > RESIL__SOCKET_PATH_MAX)
        return ENAMETOOLONG;
    sweep (base);
    if (!mkdtemp (self->path))
        return errno;
    self->fd = open_directory (AT_FDCWD, self->path);
    if (self->fd >= 0 && flock (self->fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    int error = errno;
    if (self->fd >= 0)
        close (self->fd);
    rmdir (self->path);
    return error;
}

int resil__rendezvous_open (resil__rendezvous_t *self)
{
    const char *own = secure_getenv ("XDG_RUNTIME_DIR");
    int error = own && *own == '/' ? make_in (self, own) : ENOENT;
    if (error)
        error = make_in (self, "/tmp");
    return error
               ? resil__refuse (error, "no directory for the sockets of processes can be made: %s",
                                strerror (error))
               : 0;
}

void resil__rendezvous_close (resil__rendezvous_t *self)
{
    int base_fd = openat (self->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base_fd >= 0) {
        remove_directory (base_fd, strrchr (self->path, '/') + 1, self->fd);
        close (base_fd);
    }
    close (self->fd);
}

int resil__token_make (char token[RESIL__TOKEN_DIGITS + 1])
{
    unsigned char random[RESIL__TOKEN_DIGITS / 2];
    if (getrandom (random, sizeof random, 0) != sizeof random)
        return resil__refuse (errno, "there is nothing random to make a token of: %s",
                              strerror (errno));
    for (size_t i = 0; i < sizeof random; i++)
        snprintf (token + 2 * i, 3, "%02x", random[i]);
    return 0;
}
