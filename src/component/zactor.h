/*  The built-in type "zactor".

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_COMPONENT_ZACTOR_H
#define RESIL_COMPONENT_ZACTOR_H

#include <resil/zactor.h>

int resil__zactor_start (resil_self_t *self, void *args);

#define RESIL__ZACTOR_TYPE                                                                         \
    {                                                                                              \
        RESIL_TYPE, .name = RESIL_ZACTOR, .start = resil__zactor_start                             \
    }

#endif
