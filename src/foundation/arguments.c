/*  SPDX-License-Identifier: Apache-2.0 */
#include "foundation/arguments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/*  The whole of a file whose size nobody knows, with a NUL behind it. NULL with errno. */
static char *read_file (const char *path, size_t *size)
{
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    size_t room = 4096;
    char *bytes = malloc (room);
    ssize_t got = 1;
    for (*size = 0; bytes && got > 0; *size += got > 0 ? (size_t) got : 0) {
        if (*size + 1 >= room) {
            char *more = realloc (bytes, room *= 2);
            if (!more)
                free (bytes);
            bytes = more;
        }
        got = bytes ? read (fd, bytes + *size, room - *size - 1) : -1;
    }
    int error = bytes ? errno : ENOMEM;
    close (fd);
    if (bytes && got == 0) {
        bytes[*size] = 0;
        return bytes;
    }
    free (bytes);
    errno = error;
    return NULL;
}

char *resil__arguments (size_t *count)
{
    size_t size;
    char *bytes = read_file ("/proc/self/cmdline", &size);
    *count = 0;
    for (size_t i = 0; bytes && i < size; i++)
        *count += bytes[i] == 0 || i + 1 == size; /*  who has changed them may have left that out */
    return bytes;
}
