/*  How a process has ended, what that means for its component, and how it is told. Pure functions.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PROCESS_DEATH_H
#define RESIL_PROCESS_DEATH_H

#include "component/outbox.h"
#include "component/program.h"
#include "process/lines.h"

typedef struct {
    bool is_known;         /*  else somebody else in this program has waited for it     */
    int status;            /*  as wait tells it                                         */
    bool is_out_of_memory; /*  the kernel killed it for that                            */
    int64_t cpu_us;        /*  that it had on a core                                    */
    uint64_t peak_bytes;   /*  of its memory, resident                                  */
} resil__death_t;

/*  By its own will: what the exit status says. RESIL__COMPLETED, RESIL__IGNORED or RESIL__FAILED. */
resil__outcome_t resil__death_judge (const resil__death_t *death, const resil_process_t *process);

/*  The number of the signal, or the exit status; -1: not known. */
int resil__death_code (const resil__death_t *death);

/*  "killed by SIGSEGV (core dumped) at address 0x0, near its limit of memory: 63 of 64 MiB; <trace>; last on stderr: <lines>". What is NULL
    or empty is left out; what does not fit is cut at the end. */
void resil__death_describe (char *text, size_t room, const resil__death_t *death,
                            const resil_process_limits_t *limits, const char *trace,
                            const resil__tail_t *tail);

/*  What a step of the shim's that failed was about: "cannot run \"/bin/x\": No such file or directory". */
void resil__shim_describe (char *text, size_t room, int step, int error,
                           const resil_process_t *process);

#endif
