/*  The bytes that a document of a protocol shows as examples: its blocks ```text, in hexadecimal.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_DOCUMENT_H
#define TESTS_DOCUMENT_H

#include <stdlib.h>
#include <string.h>

#include "support.h"

#define DOCUMENT_BLOCK 4096

/*  The next two digits of a line of the document as a byte; -1: there are no more. What follows three spaces is for
    the reader. */
static inline int document_next_byte (const char **at)
{
    if (strncmp (*at, "   ", 3) == 0)
        return -1;
    while (**at == ' ')
        (*at)++;
    char digits[3] = {(*at)[0], (*at)[0] ? (*at)[1] : 0, 0}, *end;
    long byte = strtol (digits, &end, 16);
    if (end != digits + 2)
        return -1;
    *at += 2;
    return (int) byte;
}

/*  Has each block checked by a function that says how many frames it found in it. Returns how many there were in all;
    without the sources the case is skipped. `name` is below the sources. */
static inline int document_check (const char *name,
                                  int (*check_block) (const unsigned char *bytes, size_t size))
{
    char path[1024], line[512];
    unsigned char block[DOCUMENT_BLOCK];
    size_t size = 0;
    int count = 0;
    bool is_inside = false;
    const char *source = getenv ("RESIL_SOURCE");
    if (!source)
        skip ();
    snprintf (path, sizeof path, "%s/%s", source, name);
    FILE *file = fopen (path, "re");
    assert_non_null (file);
    while (fgets (line, sizeof line, file)) {
        if (strncmp (line, "```", 3) == 0) {
            if (is_inside)
                count += check_block (block, size);
            is_inside = strncmp (line, "```text", 7) == 0;
            size = 0;
            continue;
        }
        const char *at = line + strspn (line, " ");
        for (int byte; is_inside && (byte = document_next_byte (&at)) >= 0;) {
            assert_true (size < sizeof block);
            block[size++] = (unsigned char) byte;
        }
    }
    fclose (file);
    return count;
}

#endif
