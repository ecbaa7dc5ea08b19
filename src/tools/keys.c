/*  keys: key pairs and access lists, in files.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "tools/tool.h"

#define KEY_LENGTH 40

bool tool_is_key (const char *word)
{
    uint8_t binary[32];
    return strlen (word) == KEY_LENGTH && zmq_z85_decode (binary, word);
}

static int fail_file (const char *file)
{
    return tool_fail (TOOL_FAILED, "%s: %s", file, strerror (errno));
}

/*  A key pair in a file that nobody else may read; one that is there is left alone. */
static int make (const char *file)
{
    char public_key[KEY_LENGTH + 1], secret_key[KEY_LENGTH + 1];
    if (zmq_curve_keypair (public_key, secret_key))
        return tool_fail (TOOL_FAILED, "this libzmq has no CURVE: no keys can be made");
    int fd = open (file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST
                   ? tool_fail (TOOL_CONFLICT, "%s is there already, and was left alone", file)
                   : fail_file (file);
    int written = dprintf (fd, "public %s\nsecret %s\n", public_key, secret_key);
    if (written < 0 || fsync (fd) || close (fd)) {
        int status = fail_file (file);
        unlink (file);
        return status;
    }
    printf ("%s\n", public_key);
    return TOOL_OK;
}

static int show_public (const char *file)
{
    char line[256], key[KEY_LENGTH + 2] = "";
    FILE *stream = fopen (file, "re");
    if (!stream)
        return fail_file (file);
    while (!*key && fgets (line, sizeof line, stream))
        sscanf (line, "public %41s", key);
    fclose (stream);
    if (strlen (key) != KEY_LENGTH)
        return tool_fail (TOOL_FAILED, "%s has no line \"public\" with a key", file);
    printf ("%s\n", key);
    return TOOL_OK;
}

static bool is_role (const char *word)
{
    return strcmp (word, "viewer") == 0 || strcmp (word, "operator") == 0 ||
           strcmp (word, "admin") == 0;
}

/*  A line more in an access list, which is made if it is not there. */
static int allow (const char *file, const char *key, const char *role, const char *name)
{
    if (!tool_is_key (key))
        return tool_fail (TOOL_USAGE, "\"%s\" is no public key: 40 characters of Z85", key);
    if (!is_role (role))
        return tool_fail (TOOL_USAGE, "there is no role \"%s\": viewer, operator or admin", role);
    if (!*name || strpbrk (name, " \t\r\n#"))
        return tool_fail (TOOL_USAGE, "a name has no blanks and no '#': \"%s\"", name);
    int fd = open (file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_file (file);
    int written = dprintf (fd, "%s %s %s\n", key, role, name);
    return written < 0 || close (fd) ? fail_file (file) : TOOL_OK;
}

int tool_keys (const tool_arguments_t *arguments)
{
    const char *const *words = arguments->words;
    if (strcmp (words[0], "new") == 0 && arguments->word_count == 2)
        return make (words[1]);
    if (strcmp (words[0], "public") == 0 && arguments->word_count == 2)
        return show_public (words[1]);
    if (strcmp (words[0], "allow") == 0 && arguments->word_count == 5)
        return allow (words[1], words[2], words[3], words[4]);
    return tool_fail (TOOL_USAGE, "keys: resil keys %s", arguments->verb->usage);
}
