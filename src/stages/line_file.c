/*  SPDX-License-Identifier: Apache-2.0 */
#include "stages/line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
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

int resil__line_file_open (const char *path, int flags)
{
    flags |= O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    int fd = open (path, flags | O_EXCL, 0600);
    if (fd < 0)
        return errno == EEXIST ? open (path, flags, 0600) : -1;
    /*  A folder that may be written to but not read cannot be synchronised. */
    if (sync_folder (path) && errno != EACCES) {
        int error = errno;
        unlink (path);
        close (fd);
        errno = error;
        return -1;
    }
    return fd;
}

bool resil__line_file_is_torn (const char *path)
{
    char last = '\n';
    int fd = open (path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    off_t size = fd < 0 ? 0 : lseek (fd, 0, SEEK_END);
    bool is_read = size > 0 && pread (fd, &last, 1, size - 1) == 1;
    if (fd >= 0)
        close (fd);
    return is_read && last != '\n';
}
