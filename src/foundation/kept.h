/*  Texts that are kept for the life of the program, each once: equal texts are the same pointer.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_KEPT_H
#define RESIL_FOUNDATION_KEPT_H

/*  NULL: no memory. Any thread. For few texts: they are gone through. */
const char *resil__keep_text (const char *text);

/*  The one that is kept already, or NULL. */
const char *resil__find_text (const char *text);

#endif
