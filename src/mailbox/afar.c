/*  SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/afar.h"

resil__mailbox_t resil__afar_mailbox;
const resil__afar_t *resil__afar;
