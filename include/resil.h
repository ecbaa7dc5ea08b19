/*  resil: supervised components over ZeroMQ. The one header a program names.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_H
#define RESIL_H

#include <resil/base.h>
#include <resil/error.h>
#include <resil/log.h>
#include <resil/address.h>
#include <resil/message.h>
#include <resil/self.h>
#include <resil/type.h>
#include <resil/process.h>
#include <resil/spec.h>
#include <resil/supervisor.h>
#include <resil/snapshot.h>
#include <resil/event.h>
#include <resil/messaging.h>
#include <resil/dead_letter.h>
#include <resil/host.h>
#include <resil/zactor.h>
#include <resil/guardian.h>
#include <resil/systemd.h>
#include <resil/monitor.h>
#include <resil/watcher.h>
#include <resil/pipeline.h>
#include <resil/files.h>
#include <resil/sources.h>
#include <resil/executable.h>

#endif
