/*  SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/afar.h"

static resil__contents_t contents = {.is_own = true};
resil__mailbox_t resil__afar_mailbox = {.contents = &contents};
const resil__afar_t *resil__afar;
