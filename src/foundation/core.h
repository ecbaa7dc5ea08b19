/*  What a core is told beside its work.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_CORE_H
#define RESIL_FOUNDATION_CORE_H

/*  Of each thread, for what is looked at with every message: a few words of the room that a program has
    for this from its start on, in place of a call to the linker each time. */
#define RESIL__OF_THREAD __attribute__ ((tls_model ("initial-exec"))) _Thread_local

/*  A function for what is seldom: what leads to it stands out of the way of all else, and whoever calls it is not made to save
    registers for it from the start. */
#define RESIL__SELDOM __attribute__ ((cold, noinline))

/*  In a loop that waits for another core. */
static inline void resil__relax (void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause ();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/*  This core is going to write there. Compilers know prefetchw only where every core has it; to those
    that have not it is no operation. */
static inline void resil__own_soon (const void *at)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *) at));
#else
    __builtin_prefetch (at, 1);
#endif
}

#endif
