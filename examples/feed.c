/*  feed: count the lines of a source for as long as they come.

    One component reads the source. What it cannot go on from (a connection refused or
    lost, a line that is too long) it reports as irrecoverable, and its supervisor starts it
    again, with a growing delay; its figures are in its arguments and outlive it. A file or
    a pipe that ends completes it; so do Ctrl-C and --for. Then come the figures.

    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 65536
#define CONNECT_MS 5000
#define PROGRESS_US 1000000

enum { EXIT_USAGE = 2 };

typedef enum { SOURCE_TCP, SOURCE_FILE, SOURCE_STDIN } source_kind_t;

/*  The component's arguments: its alone while it is supervised, so without a lock. */
typedef struct {
    const char *source; /*  as the user named it                              */
    source_kind_t kind;
    char host[256]; /*  of a tcp source                                   */
    char port[32];
    bool shows_progress;
    resil_supervisor_t *stop_when_done; /*  if there is a stopwatch to end too    */

    int fd;                          /*  -1 while it is not open                           */
    off_t offset;                    /*  of a file: where the next incarnation goes on     */
    bool skipping;                   /*  inside a line that was too long                   */
    size_t held;                     /*  bytes of an unfinished line in buffer             */
    char buffer[LINE_MAX_BYTES + 1]; /*  full without a newline: it is too long    */

    uint64_t starts;
    uint64_t lines;
    uint64_t bytes;
    uint64_t losses;    /*  connections that were up and broke                */
    uint64_t too_long;  /*  lines                                             */
    int64_t lost_at_us; /*  of a connection with no line since; 0: none      */
    int64_t longest_gap_us;

    int64_t progress_at_us;  /*  when to show the next                             */
    uint64_t progress_lines; /*  what the last one showed                         */
} feed_t;

static int64_t now_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/*  Report what an error of the system has kept from working. */
static int fail (resil_self_t *self, const feed_t *feed, const char *what, int error)
{
    return resil_fail (self, error, "%s %s: %s", what, feed->source, strerror (error));
}

/*  ---- Opening the source ---- */

/*  On loopback, a socket that knocks at a closed port again and again may be given that very port
    for itself, and then TCP connects it to itself. Nobody is there. */
static bool is_connected_to_itself (int fd)
{
    struct sockaddr_storage here, there;
    socklen_t here_size = sizeof here, there_size = sizeof there;
    memset (&here, 0, sizeof here);
    memset (&there, 0, sizeof there);
    return getsockname (fd, (struct sockaddr *) &here, &here_size) == 0 &&
           getpeername (fd, (struct sockaddr *) &there, &there_size) == 0 &&
           here_size == there_size && memcmp (&here, &there, here_size) == 0;
}

/*  Connect one socket to one address. Returns 0, or the errno value of what went wrong. */
static int connect_to (resil_self_t *self, int fd, const struct addrinfo *address)
{
    if (connect (fd, address->ai_addr, address->ai_addrlen) < 0) {
        if (errno != EINPROGRESS)
            return errno;
        int waited = resil_wait_fd (self, fd, POLLOUT, CONNECT_MS);
        if (waited <= 0)
            return waited == 0 ? ETIMEDOUT : errno;
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt (fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
            return errno;
        if (error)
            return error;
    }
    return is_connected_to_itself (fd) ? ECONNREFUSED : 0;
}

/*  Who only reads never learns that the other side is gone, if that could not say so: as when it died
    while this connection was being made. So TCP is to ask, after a second of silence. */
static void have_it_asked (int fd)
{
    int yes = 1, silence_s = 1, between_s = 1, answers_missed = 3;
    setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    setsockopt (fd, IPPROTO_TCP, TCP_KEEPIDLE, &silence_s, sizeof silence_s);
    setsockopt (fd, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof between_s);
    setsockopt (fd, IPPROTO_TCP, TCP_KEEPCNT, &answers_missed, sizeof answers_missed);
}

static int open_tcp (resil_self_t *self, feed_t *feed)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses;
    int problem = getaddrinfo (feed->host, feed->port, &hints, &addresses);
    if (problem)
        return resil_fail (self, 0, "no address for %s: %s", feed->source, gai_strerror (problem));

    int error = 0;
    for (const struct addrinfo *at = addresses; at && feed->fd < 0; at = at->ai_next) {
        int fd = socket (at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        error = fd < 0 ? errno : connect_to (self, fd, at);
        if (!error)
            feed->fd = fd;
        else if (fd >= 0)
            close (fd);
        if (error == ECANCELED)
            break;
    }
    freeaddrinfo (addresses);
    if (feed->fd < 0)
        return error == ECANCELED ? -1 : fail (self, feed, "cannot connect to", error);

    have_it_asked (feed->fd);
    /*  A new connection begins with a new line. */
    feed->held = 0;
    feed->skipping = false;
    return 0;
}

static int open_file (resil_self_t *self, feed_t *feed)
{
    /*  Not blocking, as opening a fifo without a writer would. */
    feed->fd = open (feed->source, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (feed->fd < 0)
        return fail (self, feed, "cannot open", errno);
    if (lseek (feed->fd, feed->offset, SEEK_SET) < 0 && errno != ESPIPE)
        return fail (self, feed, "cannot go on in", errno);
    return 0;
}

static int open_source (resil_self_t *self, feed_t *feed)
{
    switch (feed->kind) {
    case SOURCE_TCP:
        return open_tcp (self, feed);
    case SOURCE_FILE:
        return open_file (self, feed);
    default:
        feed->fd = STDIN_FILENO;
        return 0;
    }
}

static void close_source (void *args)
{
    feed_t *feed = args;
    if (feed->fd > STDIN_FILENO)
        close (feed->fd);
    feed->fd = -1;
}

/*  ---- Reading it ---- */

static void show_progress (feed_t *feed)
{
    int64_t now = now_us ();
    if (!feed->shows_progress || now < feed->progress_at_us)
        return;
    if (feed->progress_at_us > 0)
        printf ("%10" PRIu64 " lines, %" PRIu64 " new\n", feed->lines,
                feed->lines - feed->progress_lines);
    feed->progress_lines = feed->lines;
    feed->progress_at_us = now + PROGRESS_US;
}

static void count_line (feed_t *feed)
{
    /*  What is left of a line that was too long is no line of its own. */
    if (!feed->skipping)
        feed->lines++;
    feed->skipping = false;
    if (feed->lost_at_us > 0) {
        int64_t gap_us = now_us () - feed->lost_at_us;
        feed->lost_at_us = 0;
        if (gap_us > feed->longest_gap_us)
            feed->longest_gap_us = gap_us;
    }
}

/*  Count the lines that are complete now, and hold what follows the last of them. */
static void count_arrived (feed_t *feed, size_t arrived)
{
    const char *line = feed->buffer;
    const char *end = line + feed->held + arrived;
    const char *newline;
    while ((newline = memchr (line, '\n', (size_t) (end - line)))) {
        count_line (feed);
        line = newline + 1;
    }
    feed->held = feed->skipping ? 0 : (size_t) (end - line);
    memmove (feed->buffer, line, feed->held);
    feed->bytes += arrived;
    feed->offset += (off_t) arrived;
}

/*  The source has ended. A file's work is done; a connection is not meant to end. */
static int finish (resil_self_t *self, feed_t *feed, int error)
{
    if (feed->kind == SOURCE_TCP) {
        feed->losses++;
        if (feed->lost_at_us == 0)
            feed->lost_at_us = now_us ();
        return fail (self, feed, "lost", error ? error : ECONNRESET);
    }
    if (error)
        return fail (self, feed, "cannot read", error);
    if (feed->held > 0)
        count_line (feed);
    feed->held = 0;
    if (feed->stop_when_done)
        resil_supervisor_stop (feed->stop_when_done);
    return 0;
}

static int feed_start (resil_self_t *self, void *args)
{
    feed_t *feed = args;
    feed->starts++;
    if (resil_cleanup (self, close_source, feed))
        return fail (self, feed, "cannot begin with", errno);
    if (open_source (self, feed))
        return -1;

    while (true) {
        show_progress (feed);
        int waited = resil_wait_fd (self, feed->fd, POLLIN, PROGRESS_US / 1000);
        if (waited < 0)
            return errno == ECANCELED ? 0 : fail (self, feed, "cannot wait for", errno);
        if (waited == 0)
            continue;

        ssize_t got = read (feed->fd, feed->buffer + feed->held, sizeof feed->buffer - feed->held);
        if (got > 0)
            count_arrived (feed, (size_t) got);
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return finish (self, feed, got == 0 ? 0 : errno);

        if (feed->held == sizeof feed->buffer) {
            feed->held = 0;
            feed->skipping = true;
            feed->too_long++;
            return resil_fail (self, EMSGSIZE, "line %" PRIu64 " of %s is longer than %d bytes",
                               feed->lines + feed->too_long, feed->source, LINE_MAX_BYTES);
        }
    }
}

/*  A connection may come back, and a line that is too long is skipped; a file that cannot
    be read stays so. */
static int feed_handle_irrecoverable (void *args, const resil_error_t *error)
{
    const feed_t *feed = args;
    return feed->kind == SOURCE_TCP || resil_error_code (error) == EMSGSIZE ? 0 : -1;
}

/*  ---- The stopwatch: a second component, for --for ---- */

typedef struct {
    resil_supervisor_t *supervisor;
    int64_t time_ms;
} stopwatch_t;

static int stopwatch_start (resil_self_t *self, void *args)
{
    const stopwatch_t *stopwatch = args;
    if (resil_wait (self, NULL, stopwatch->time_ms) == 0)
        resil_supervisor_stop (stopwatch->supervisor);
    return 0;
}

/*  ---- The program ---- */

static void show_log (const resil_log_entry_t *entry, void *arg)
{
    (void) arg;
    fprintf (stderr, "feed: %s\n", entry->message);
}

/*  Returns 0 if all of it could be written. */
static int show_figures (const feed_t *feed)
{
    printf ("lines              %12" PRIu64 "\n", feed->lines);
    printf ("bytes              %12" PRIu64 "\n", feed->bytes);
    if (feed->too_long > 0)
        printf ("lines too long     %12" PRIu64 "\n", feed->too_long);
    printf ("connection losses  %12" PRIu64 "\n", feed->losses);
    printf ("restarts           %12" PRIu64 "\n", feed->starts > 0 ? feed->starts - 1 : 0);
    printf ("longest gap        %12.3f s\n", (double) feed->longest_gap_us / 1e6);
    if (feed->lost_at_us > 0)
        printf ("no line since      %12.3f s\n", (double) (now_us () - feed->lost_at_us) / 1e6);
    return fflush (stdout) || ferror (stdout);
}

static const char *const usage =
    "usage: feed [--for SECONDS] [--progress] SOURCE\n"
    "Count the lines of SOURCE for as long as they come.\n"
    "\n"
    "SOURCE is tcp://HOST:PORT (an IPv6 address in brackets), the path of a file,\n"
    "or - for standard input.\n"
    "  --for SECONDS   end after that time, as by Ctrl-C\n"
    "  --progress      a line each second, also where the output is no terminal\n"
    "  --help          this text\n"
    "Exit status: 0 counted, 1 failed, 2 wrong usage.\n";

static int refuse_usage (const char *problem, const char *what)
{
    fprintf (stderr, "feed: %s%s\nTry feed --help.\n", problem, what);
    return EXIT_USAGE;
}

/*  Take HOST:PORT apart. Returns 0, or -1 if it is none. */
static int parse_address (feed_t *feed, const char *address)
{
    const char *colon = strrchr (address, ':');
    if (!colon)
        return -1;
    const char *host = address;
    size_t host_size = (size_t) (colon - address);
    if (host_size >= 2 && host[0] == '[' && host[host_size - 1] == ']') {
        host++;
        host_size -= 2;
    }
    else if (memchr (host, ':', host_size))
        return -1;

    char *end;
    long port = strtol (colon + 1, &end, 10);
    if (host_size == 0 || host_size >= sizeof feed->host || strchr (" +-", colon[1]) || *end ||
        port < 1 || port > 65535)
        return -1;
    memcpy (feed->host, host, host_size);
    feed->host[host_size] = '\0';
    snprintf (feed->port, sizeof feed->port, "%ld", port);
    return 0;
}

/*  Milliseconds from decimal seconds, or -1 if it is no time. */
static int64_t parse_seconds (const char *text)
{
    char *end;
    double seconds = strtod (text, &end);
    if (end == text || *end || !(seconds > 0) || seconds * 1000 > (double) RESIL_LONGEST_MS)
        return -1;
    return (int64_t) (seconds * 1000 + 0.5);
}

/*  Supervise until the source has ended or the user wants no more. Returns the exit status. */
static int run (feed_t *feed, int64_t for_ms)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "feed";
    options.delay = (resil_delay_t){
        .initial_ms = 100, .max_ms = 2000, .factor = 2, .jitter_percent = 20, .reset_ms = 1000};

    resil_log_to (show_log, NULL);
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    stopwatch_t stopwatch = {supervisor, for_ms};
    int status = EXIT_FAILURE;
    if (!supervisor)
        goto end;
    if (for_ms > 0) {
        feed->stop_when_done = supervisor;
        if (resil_supervisor_add_simple (supervisor, "stopwatch", stopwatch_start, NULL,
                                         &stopwatch))
            goto end;
    }
    if (resil_supervisor_add_simple (supervisor, "reader", feed_start, feed_handle_irrecoverable,
                                     feed) == 0 &&
        resil_supervisor_run (supervisor) == 0)
        status = EXIT_SUCCESS;

end:
    if (status != EXIT_SUCCESS)
        fprintf (stderr, "feed: %s\n", resil_errmsg ());
    /*  The story first, then the figures. A reader that hangs still has them in its hands. */
    resil_log_flush (1000);
    if (feed->starts > 0 && resil_supervisor_quarantined (supervisor) == 0 && show_figures (feed))
        status = EXIT_FAILURE;
    resil_supervisor_destroy (&supervisor);
    return status;
}

int main (int argc, char *argv[])
{
    static const struct option options[] = {{"for", required_argument, NULL, 'f'},
                                            {"progress", no_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    static feed_t feed = {.fd = -1};
    int64_t for_ms = 0;

    setvbuf (stdout, NULL, _IOLBF, 0);
    feed.shows_progress = isatty (STDOUT_FILENO);
    for (int option; (option = getopt_long (argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 'f':
            for_ms = parse_seconds (optarg);
            if (for_ms <= 0)
                return refuse_usage ("--for wants a number of seconds above 0, not ", optarg);
            break;
        case 'p':
            feed.shows_progress = true;
            break;
        case 'h':
            fputs (usage, stdout);
            return EXIT_SUCCESS;
        default:
            fputs (usage, stderr);
            return EXIT_USAGE;
        }
    if (optind + 1 != argc)
        return refuse_usage (optind == argc ? "no SOURCE is given" : "more than one SOURCE: ",
                             optind == argc ? "" : argv[optind + 1]);

    feed.source = argv[optind];
    if (strcmp (feed.source, "-") == 0)
        feed.kind = SOURCE_STDIN;
    else if (strncmp (feed.source, "tcp://", 6) != 0)
        feed.kind = SOURCE_FILE;
    else if (parse_address (&feed, feed.source + 6))
        return refuse_usage ("not tcp://HOST:PORT: ", feed.source);
    return run (&feed, for_ms);
}
