/*  The crash handler. In it only what is safe in a handler of signals is used: write, and memory that was made
    beforehand. The one call that no standard calls safe is backtrace (): its first use, which loads a library, is made at
    the start, and what it looks at afterwards takes no lock with the libraries of today; should it hang all the same, an
    alarm ends the process by the signal that it died of.

    Which library an address is in is looked up in a table from the start: those that are loaded later are not named.

    SPDX-License-Identifier: Apache-2.0 */
#include "hosted/crash.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "protocol/component.h"

#define FRAMES_MAX 64
#define MODULES_MAX 64
#define MODULE_NAME 128
#define STACK_BYTES 65536
#define LONGEST_S 3

typedef struct {
    uintptr_t base;
    uintptr_t begin;
    uintptr_t end;
    char name[MODULE_NAME];
} module_t;

static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static struct {
    int fd; /*  -1: nothing is reported                                                  */
    atomic_int thread; /*  that crashes first; 0: none                                  */
    atomic_int number; /*  of the signal                                                */
    int modules;
    module_t module[MODULES_MAX];
} the = {.fd = -1};

/*  ---- In the handler -------------------------------------------------------------------------------- */

/*  A line, which is cut where it does not fit. */
typedef struct {
    size_t size;
    char text[512];
} line_t;

static void add_text (line_t *line, const char *text)
{
    while (*text && line->size < sizeof line->text)
        line->text[line->size++] = *text++;
}

static void add_number (line_t *line, uint64_t number, unsigned base)
{
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = 0;
    do
        digits[--at] = "0123456789abcdef"[number % base];
    while (number /= base);
    add_text (line, base == 16 ? "0x" : "");
    add_text (line, digits + at);
}

static void write_line (const line_t *line)
{
    size_t written = 0;
    while (written < line->size) {
        ssize_t size = write (the.fd, line->text + written, line->size - written);
        if (size < 0 && errno != EINTR)
            return;
        written += size > 0 ? (size_t) size : 0;
    }
}

static const char *name_of (int number)
{
    switch (number) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGFPE:
        return "SIGFPE";
    case SIGILL:
        return "SIGILL";
    default:
        return "SIGABRT";
    }
}

/*  Has the processor raised it, so that it has an address? */
static bool has_address (const siginfo_t *info)
{
    return info->si_signo != SIGABRT && info->si_code > 0;
}

/*  Nobody else can say of one that is dead. The lowest that is free is given first, so it is how many there are, nearly. */
static void tell_descriptors (line_t *line)
{
    struct rlimit limit;
    if (getrlimit (RLIMIT_NOFILE, &limit))
        return;
    int free_one = fcntl (the.fd, F_DUPFD_CLOEXEC, 0);
    uint64_t used = free_one < 0 ? limit.rlim_cur : (uint64_t) free_one;
    if (free_one >= 0)
        close (free_one);
    if (used / 4 < limit.rlim_cur / 5)
        return;
    add_text (line, ", near its limit of descriptors: ");
    add_number (line, used, 10);
    add_text (line, " of ");
    add_number (line, limit.rlim_cur, 10);
}

static void tell_signal (const siginfo_t *info, int thread)
{
    line_t line = {0};
    add_text (&line, name_of (info->si_signo));
    if (has_address (info)) {
        add_text (&line, " at address ");
        add_number (&line, (uintptr_t) info->si_addr, 16);
    }
    add_text (&line, ", thread ");
    add_number (&line, (uint64_t) thread, 10);
    tell_descriptors (&line);
    add_text (&line, "\n");
    write_line (&line);
}

static void tell_frame (int number, uintptr_t address)
{
    line_t line = {0};
    add_text (&line, "#");
    add_number (&line, (uint64_t) number, 10);
    add_text (&line, " ");
    add_number (&line, address, 16);
    for (int i = 0; i < the.modules; i++)
        if (address >= the.module[i].begin && address < the.module[i].end) {
            add_text (&line, " ");
            add_text (&line, the.module[i].name);
            add_text (&line, "+");
            add_number (&line, address - the.module[i].base, 16);
            break;
        }
    add_text (&line, "\n");
    write_line (&line);
}

/*  Where it was when the signal came; 0: not known on this machine. */
static uintptr_t where (const void *context)
{
    const ucontext_t *is = context;
#if defined(__x86_64__)
    return (uintptr_t) is->uc_mcontext.gregs[REG_RIP];
#elif defined(__i386__)
    return (uintptr_t) is->uc_mcontext.gregs[REG_EIP];
#elif defined(__aarch64__)
    return (uintptr_t) is->uc_mcontext.pc;
#else
    (void) is;
    return 0;
#endif
}

/*  Who called what is no code; 0: not known on this machine. */
static uintptr_t who_called (const void *context)
{
    const ucontext_t *is = context;
#if defined(__x86_64__)
    return *(const uintptr_t *) is->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (uintptr_t) is->uc_mcontext.regs[30];
#else
    (void) is;
    return 0;
#endif
}

static bool is_code (uintptr_t address)
{
    for (int i = 0; i < the.modules; i++)
        if (address >= the.module[i].begin && address < the.module[i].end)
            return true;
    return false;
}

/*  The frames of the handler itself are left out; where that cannot be told, all are there. From a call of what is no
    code nothing leads back but the place that it is to return to. */
static void tell_frames (const siginfo_t *info, const void *context)
{
    void *frames[FRAMES_MAX];
    int number = 0;
    uintptr_t crashed_at = where (context);
    if (info->si_signo == SIGSEGV && (uintptr_t) info->si_addr == crashed_at &&
        !is_code (crashed_at)) {
        tell_frame (number++, crashed_at);
        tell_frame (number++, who_called (context));
        return;
    }
    int count = backtrace (frames, FRAMES_MAX), first = 0;
    for (int i = 0; i < count && !first; i++)
        if ((uintptr_t) frames[i] == crashed_at)
            first = i + 1;
    if (crashed_at)
        tell_frame (number++, crashed_at);
    for (int i = first; i < count; i++)
        tell_frame (number++, (uintptr_t) frames[i]);
}

static void die_of (int number)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigaction (number, &usual, NULL);
}

static void on_alarm (int unused)
{
    sigset_t none;
    (void) unused;
    int number = atomic_load (&the.number);
    die_of (number);
    sigemptyset (&none);
    sigaddset (&none, number);
    pthread_sigmask (SIG_UNBLOCK, &none, NULL);
    kill (getpid (), number);
}

static void on_crash (int number, siginfo_t *info, void *context)
{
    int thread = (int) syscall (SYS_gettid), none = 0;
    if (!atomic_compare_exchange_strong (&the.thread, &none, thread) && none != thread)
        for (;;) /*  another one is at it, and ends the process                              */
            pause ();
    atomic_store (&the.number, number);
    struct sigaction in_time = {.sa_handler = on_alarm};
    sigaction (SIGALRM, &in_time, NULL);
    alarm (LONGEST_S);
    tell_signal (info, thread);
    tell_frames (info, context);
    die_of (number);
    /*  What the processor has raised it raises again, as soon as this returns; what was sent is sent again. */
    if (!has_address (info))
        syscall (SYS_tgkill, getpid (), thread, number);
}

/*  ---- Before ---------------------------------------------------------------------------------------- */

/*  The program itself has no name there. */
static int note_module (struct dl_phdr_info *info, size_t size, void *unused)
{
    (void) size, (void) unused;
    if (the.modules == MODULES_MAX)
        return 1;
    module_t *module = &the.module[the.modules];
    *module = (module_t){.base = info->dlpi_addr, .begin = UINTPTR_MAX};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW (Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type != PT_LOAD)
            continue;
        if (begin < module->begin)
            module->begin = begin;
        if (begin + segment->p_memsz > module->end)
            module->end = begin + segment->p_memsz;
    }
    const char *name = info->dlpi_name && *info->dlpi_name ? info->dlpi_name : NULL;
    ssize_t length = -1;
    if (name)
        strncpy (module->name, name, sizeof module->name - 1);
    else if (the.modules == 0)
        length = readlink ("/proc/self/exe", module->name, sizeof module->name - 1);
    if (length > 0)
        module->name[length] = 0;
    the.modules += module->end > 0;
    return 0;
}

void resil__crash_get_ready (void)
{
    void *frame;
    if (the.fd < 0)
        return;
    backtrace (&frame, 1);
    dl_iterate_phdr (note_module, NULL);
}

void resil__crash_report_to (int fd)
{
    the.fd = fd;
    struct sigaction crash = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        sigaddset (&crash.sa_mask, deadly[i]);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        sigaction (deadly[i], &crash, NULL);
    resil__crash_guard_thread ();
}

void resil__crash_none_so_far (void)
{
    static const char ended = RESIL__TRACE_ENDED;
    ssize_t written = the.fd < 0 ? 0 : write (the.fd, &ended, 1);
    (void) written; /*  if nobody listens there is nobody to tell                        */
}

void resil__crash_guard_thread (void)
{
    static _Thread_local bool is_guarded;
    if (the.fd < 0 || is_guarded)
        return;
    void *memory = mmap (NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return;
    stack_t stack = {.ss_sp = memory, .ss_size = STACK_BYTES};
    is_guarded = sigaltstack (&stack, NULL) == 0;
}
