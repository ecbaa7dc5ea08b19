/*  SPDX-License-Identifier: Apache-2.0 */
#include "stages/line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*  Some file systems cannot, and have nothing to synchronise either. */
static int sync_folder (const char *path)
{
    char *copy = strdup (path);
    int fd = copy ? open (dirname (copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int rc = fd < 0 || (fsync (fd) && errno != EINVAL && errno != EROFS) ? -1 : 0;
    int error = errno;
    if (fd >= 0)
        close (fd);
    free (copy);
    errno = error;
    return rc;
}

/*  What is empty may be new: whoever finds it so sees to it that its folder knows of it. */
int resil__line_file_open (const char *path, int flags)
{
    struct stat is;
    int fd = open (path, flags | O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    bool is_new = fstat (fd, &is) == 0 && S_ISREG (is.st_mode) && is.st_size == 0;
    /*  A folder that may be written to but not read cannot be synchronised. */
    if (!is_new || sync_folder (path) == 0 || errno == EACCES)
        return fd;
    int error = errno;
    close (fd);
    errno = error;
    return -1;
}

bool resil__line_file_is_torn (int file)
{
    char last = '\n', path[32];
    snprintf (path, sizeof path, "/proc/self/fd/%d", file);
    int fd = open (path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    off_t size = fd < 0 ? 0 : lseek (fd, 0, SEEK_END);
    bool is_read = size > 0 && pread (fd, &last, 1, size - 1) == 1;
    if (fd >= 0)
        close (fd);
    return is_read && last != '\n';
}
