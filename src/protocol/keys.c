/*  SPDX-License-Identifier: Apache-2.0 */
#include "protocol/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "foundation/errmsg.h"

bool resil__key_is_valid (const char *text)
{
    static const char z85[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              ".-:+=^!/*?&<>()[]{}@%$#";
    return strlen (text) == RESIL__KEY_ROOM - 1 && strspn (text, z85) == RESIL__KEY_ROOM - 1;
}

static int parse (const char *file, FILE *stream, resil__key_pair_t *pair)
{
    char line[256], key[RESIL__KEY_ROOM + 1];
    *pair = (resil__key_pair_t){0};
    while (fgets (line, sizeof line, stream)) {
        if (sscanf (line, "public %41s", key) == 1 && resil__key_is_valid (key))
            memcpy (pair->public_key, key, RESIL__KEY_ROOM);
        else if (sscanf (line, "secret %41s", key) == 1 && resil__key_is_valid (key))
            memcpy (pair->secret_key, key, RESIL__KEY_ROOM);
    }
    if (*pair->public_key && *pair->secret_key)
        return 0;
    return resil__refuse (EINVAL,
                          "%s has no line \"%s\" with 40 characters of Z85: it is no key file "
                          "(`resil keys new FILE` makes one)",
                          file, *pair->public_key ? "secret" : "public");
}

int resil__key_pair_read (const char *file, resil__key_pair_t *pair)
{
    struct stat is;
    int fd = open (file, O_RDONLY | O_CLOEXEC);
    FILE *stream = fd < 0 ? NULL : fdopen (fd, "r");
    if (!stream || fstat (fd, &is)) {
        int error = errno;
        if (stream)
            fclose (stream);
        else if (fd >= 0)
            close (fd);
        return resil__refuse (error, "the key file %s cannot be read: %s", file, strerror (error));
    }
    int rc = is.st_mode & 077 ? resil__refuse (EACCES,
                                               "others may read the key file %s: `chmod 600 %s`, "
                                               "or make a new one if they have",
                                               file, file)
                              : parse (file, stream, pair);
    int error = errno;
    fclose (stream);
    errno = error;
    return rc;
}
