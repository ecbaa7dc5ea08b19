/*  SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_COMMAND_H
#define RESIL_FOUNDATION_COMMAND_H

#include <stdbool.h>

/*  Is there an executable of that name, as execvp would find it? */
bool resil__command_is_there (const char *command);

#endif
