/*  SPDX-License-Identifier: Apache-2.0 */
#include "monitor/access.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "foundation/errmsg.h"
#include "foundation/text.h"

/*  Of the file, in bytes: more than 10,000 keys. */
#define FILE_MAX (1024 * 1024)

static const char *const roles[] = {
    [RESIL__NO_ROLE] = "",
    [RESIL__VIEWER] = "viewer",
    [RESIL__OPERATOR] = "operator",
    [RESIL__ADMIN] = "admin",
};

const char *resil__role_name (resil__role_t role)
{
    return roles[role];
}

resil__role_t resil__role_of (const char *name)
{
    for (resil__role_t role = RESIL__VIEWER; role <= RESIL__ADMIN; role++)
        if (strcmp (name, roles[role]) == 0)
            return role;
    return RESIL__NO_ROLE;
}

/*  ---- The list -------------------------------------------------------------------------------------- */

static const resil__grantee_t *find (const resil__access_list_t *list, const char *key)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp (list->grantees[i].key, key) == 0)
            return &list->grantees[i];
    return NULL;
}

/*  One line, without its end. 0: it is well, or empty; else -1. */
static int parse_line (resil__access_list_t *list, const char *file, int number, char *line)
{
    char *rest = line, *words[4] = {NULL};
    size_t count = 0;
    resil__grantee_t grantee = {.role = RESIL__NO_ROLE};
    line[strcspn (line, "\r")] = 0;
    /*  A key may begin with a # too. */
    for (char *word; count < 4 && (word = strtok_r (rest, " \t", &rest)) &&
                     (*word != '#' || resil__key_is_valid (word));)
        words[count++] = word;
    if (count == 0)
        return 0;
    if (count != 3)
        return resil__refuse (EINVAL, "%s, line %d: it must be PUBLIC-KEY ROLE NAME", file, number);
    grantee.role = resil__role_of (words[1]);
    if (!resil__key_is_valid (words[0]))
        return resil__refuse (EINVAL, "%s, line %d: a public key has 40 characters of Z85", file,
                              number);
    if (!grantee.role)
        return resil__refuse (EINVAL, "%s, line %d: the role must be viewer, operator or admin",
                              file, number);
    if (find (list, words[0]))
        return resil__refuse (EINVAL, "%s, line %d: that key stands in a line before", file,
                              number);
    strcpy (grantee.key, words[0]);
    resil__text_clean (grantee.name, sizeof grantee.name, words[2], strlen (words[2]));
    resil__grantee_t *larger = realloc (list->grantees, (list->count + 1) * sizeof *list->grantees);
    if (!larger)
        return resil__refuse (ENOMEM, "no memory for %s", file);
    list->grantees = larger;
    list->grantees[list->count++] = grantee;
    return 0;
}

int resil__access_parse (resil__access_list_t *list, const char *file, const char *text)
{
    char *copy = strdup (text);
    int number = 1, rc = copy ? 0 : resil__refuse (ENOMEM, "no memory for %s", file);
    *list = (resil__access_list_t){.count = 0};
    for (char *rest = copy, *line; rc == 0 && (line = strsep (&rest, "\n")); number++)
        rc = parse_line (list, file, number, line);
    if (rc)
        resil__access_list_release (list);
    free (copy);
    return rc;
}

void resil__access_list_release (resil__access_list_t *list)
{
    free (list->grantees);
    *list = (resil__access_list_t){.count = 0};
}

bool resil__access_is_less (const resil__access_list_t *before, const resil__access_list_t *now)
{
    for (size_t i = 0; i < before->count; i++) {
        const resil__grantee_t *grantee = find (now, before->grantees[i].key);
        if (!grantee || grantee->role < before->grantees[i].role)
            return true;
    }
    return false;
}

/*  ---- The file -------------------------------------------------------------------------------------- */

/*  Its text, to be freed, and how it looked; NULL with errno and a sentence. */
static char *read_file (const char *file, struct stat *is)
{
    int fd = open (file, O_RDONLY | O_CLOEXEC);
    char *text = fd >= 0 ? malloc (FILE_MAX + 1) : NULL;
    ssize_t size = -1, more = 0;
    if (text && fstat (fd, is) == 0)
        for (size = 0;
             size < FILE_MAX && (more = read (fd, text + size, (size_t) (FILE_MAX - size))) > 0;)
            size += more;
    if (size < 0 || more < 0 || size == FILE_MAX) {
        resil__refuse (size == FILE_MAX ? EFBIG : errno, "the access list %s cannot be read: %s",
                       file, strerror (size == FILE_MAX ? EFBIG : errno));
        free (text);
        text = NULL;
    }
    else if (is->st_mode & 022) {
        resil__refuse (EACCES, "others may write to the access list %s: `chmod go-w %s`", file,
                       file);
        free (text);
        text = NULL;
    }
    else
        text[size] = 0;
    int error = errno;
    if (fd >= 0)
        close (fd);
    errno = error;
    return text;
}

static int read_list (const char *file, struct stat *is, resil__access_list_t *list)
{
    char *text = read_file (file, is);
    int rc = text ? resil__access_parse (list, file, text) : -1;
    int error = errno;
    free (text);
    errno = error;
    return rc;
}

int resil__access_open (resil__access_t *self, const char *file)
{
    self->file = file;
    return read_list (file, &self->seen, &self->list);
}

void resil__access_close (resil__access_t *self)
{
    resil__access_list_release (&self->list);
}

static bool is_same (const struct stat *one, const struct stat *other)
{
    return one->st_ino == other->st_ino && one->st_dev == other->st_dev &&
           one->st_size == other->st_size && one->st_mode == other->st_mode &&
           one->st_mtim.tv_sec == other->st_mtim.tv_sec &&
           one->st_mtim.tv_nsec == other->st_mtim.tv_nsec;
}

bool resil__access_refresh (resil__access_t *self, bool *is_wrong)
{
    struct stat is = {0};
    resil__access_list_t list = {.count = 0};
    *is_wrong = false;
    if (stat (self->file, &is) == 0 && is_same (&is, &self->seen))
        return false;
    bool was_there = self->seen.st_ino != 0;
    struct stat seen = {0};
    if (read_list (self->file, &seen, &list)) {
        *is_wrong = was_there || is.st_ino != 0;
        seen = is;
    }
    self->seen = seen;
    resil__access_list_t before = self->list;
    self->list = list;
    bool is_less = resil__access_is_less (&before, &list);
    resil__access_list_release (&before);
    return is_less;
}

resil__role_t resil__access_find (resil__access_t *self, const char *key,
                                  char name[RESIL__KEY_NAME_ROOM])
{
    const resil__grantee_t *grantee = find (&self->list, key);
    if (!grantee)
        return RESIL__NO_ROLE;
    strcpy (name, grantee->name);
    return grantee->role;
}
