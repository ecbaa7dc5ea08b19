/*  SPDX-License-Identifier: Apache-2.0 */
#include "tools/arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tool.h"

/*  ---- What there is ------------------------------------------------------------------------ */

typedef struct {
    char letter; /*  by which verbs name it; lower case: so can the user, as -e        */
    const char *name;
    const char *value; /*  what it takes, or NULL                                   */
    const char *about;
} option_t;

/*  Those that each verb takes that speaks with a program. */
#define REMOTE "eoKSth"

static const option_t options[] = {
    {'e', "endpoint", "WHERE", "which program: tcp://HOST:PORT, its name or its process id"},
    {'o', "output", "FORMAT",
     "table, wide, json or jsonl; of metrics prom; of graph text, dot or svg"},
    {'t', "timeout", "TIME", "how long to wait at most: 500ms, 5s (unless said), 2m"},
    {'K', "key", "FILE", "your own key pair; or RESIL_KEY"},
    {'S', "server-key", "KEY", "the program's public key; or RESIL_SERVER_KEY"},
    {'f', "follow", NULL, "go on, as events come"},
    {'s', "since", "WHEN", "from this number on, or since so long: 1200, 30s, 5m"},
    {'T', "type", "TYPES", "only these types of events: state,command"},
    {'p', "path", "PATH", "only what happens there and below"},
    {'F', "for", "STATE", "ready, or a state: up, down, waiting, done, ..."},
    {'I', "incarnation", "NUMBER", "only if it is this one"},
    {'N', "no-wait", NULL, "do not wait until it is done"},
    {'G', "tag", "NUMBER", "the message's tag; 0 unless said"},
    {'h', "help", NULL, "this"},
};
#define OPTIONS (sizeof options / sizeof *options)

static const tool_verb_t verbs[] = {
    {"ls", "", "the programs that run here and can be watched", 0, 0, "oh", tool_ls},
    {"status", "[PATH]", "how all stands, a line each", 0, 1, REMOTE, tool_status},
    {"tree", "[PATH]", "the same, as a tree", 0, 1, REMOTE, tool_tree},
    {"describe", "PATH", "one of them, with the story of its failures", 1, 1, REMOTE,
     tool_describe},
    {"events", "", "what has happened, and what happens", 0, 0, REMOTE "fsTp", tool_events},
    {"start", "PATH", "have it started", 1, 1, REMOTE "IN", tool_steer},
    {"stop", "PATH", "have it stopped, until it is started", 1, 1, REMOTE "IN", tool_steer},
    {"restart", "PATH", "have it started anew", 1, 1, REMOTE "IN", tool_steer},
    {"wait", "PATH", "wait until it is so", 1, 1, REMOTE "F", tool_wait},
    {"call", "PATH TEXT", "send it a message, and print its answer", 2, 2, REMOTE "G", tool_call},
    {"metrics", "[PATH]", "numbers: restarts, times, CPU, memory, mail", 0, 1, REMOTE,
     tool_metrics},
    {"graph", "[PATH]", "a picture of its pipelines: as text, or -o dot, -o svg", 0, 1, REMOTE,
     tool_graph},
    {"health", "", "whether all is up that should be", 0, 0, REMOTE, tool_health},
    {"dead-letters", "", "messages that nobody has handled", 0, 0, REMOTE, tool_dead_letters},
    {"top", "[WHERE ...]", "all of it, live, of one program or several", 0, TOOL_WORDS_MAX, "eKSth",
     tool_top},
    {"keys", "new FILE | public FILE | allow FILE KEY ROLE NAME", "make keys, and let them in", 2,
     5, "h", tool_keys},
    {"demo", "", "a small program that fails and recovers, watched until Ctrl-C", 0, 0, "th",
     tool_demo},
    {"completion", "bash", "completion for a shell, to be sourced", 1, 1, "h", tool_completion},
    {0},
};

const tool_verb_t *tool_verbs (void)
{
    return verbs;
}

static bool takes (const tool_verb_t *verb, const option_t *option)
{
    return strchr (verb->options, option->letter) != NULL;
}

/*  ---- Reading ------------------------------------------------------------------------------ */

static int refuse (tool_arguments_t *self, const char *format, ...) RESIL_PRINTF (2, 3);
static int refuse (tool_arguments_t *self, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (self->problem, sizeof self->problem, format, args);
    va_end (args);
    return -1;
}

static const option_t *find_option (const char *name, size_t length)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (strlen (options[i].name) == length && strncmp (options[i].name, name, length) == 0)
            return &options[i];
    return NULL;
}

static const option_t *find_letter (char letter)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (options[i].letter == letter && letter >= 'a' && letter <= 'z')
            return &options[i];
    return NULL;
}

/*  "500ms", "5s", "2m", "1h"; without a unit seconds. -1: it is none. */
static int64_t time_ms (const char *text)
{
    char *unit;
    errno = 0;
    double number = strtod (text, &unit);
    double factor = strcmp (unit, "ms") == 0            ? 1
                    : strcmp (unit, "s") == 0 || !*unit ? 1000
                    : strcmp (unit, "m") == 0           ? 60000
                    : strcmp (unit, "h") == 0           ? 3600000
                                                        : -1;
    bool is_number = unit != text && *text >= '0' && *text <= '9' && errno == 0;
    return is_number && factor > 0 && number * factor <= (double) RESIL_LONGEST_MS
               ? (int64_t) (number * factor)
               : -1;
}

static int64_t whole_number (const char *text)
{
    char *end;
    errno = 0;
    long long number = strtoll (text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno ? number : -1;
}

static int set_output (tool_arguments_t *self, const char *value)
{
    static const char *const names[] = {"table", "wide", "json", "jsonl",
                                        "prom",  "text", "dot",  "svg"};
    for (tool_output_t output = TOOL_TABLE; output <= TOOL_SVG; output++)
        if (strcmp (names[output], value) == 0) {
            self->output = output;
            return 0;
        }
    return refuse (
        self,
        "there is no output \"%s\": table, wide, json, jsonl; prom of metrics; text, dot, "
        "svg of graph",
        value);
}

static int set_number (tool_arguments_t *self, const char *name, const char *value, int64_t *number)
{
    *number = whole_number (value);
    return *number < 0 ? refuse (self, "--%s: \"%s\" is no number", name, value) : 0;
}

static int set (tool_arguments_t *self, const option_t *option, const char *value)
{
    switch (option->letter) {
    case 'e':
        if (self->endpoint_count == TOOL_ENDPOINTS_MAX)
            return refuse (self, "at most %d programs at once", TOOL_ENDPOINTS_MAX);
        self->endpoints[self->endpoint_count++] = value;
        return 0;
    case 'o':
        return set_output (self, value);
    case 't':
        self->timeout_ms = time_ms (value);
        self->has_timeout = true;
        return self->timeout_ms < 0
                   ? refuse (self, "--timeout: \"%s\" is no time: 500ms, 5s, 2m", value)
                   : 0;
    case 'K':
        self->key = value;
        return 0;
    case 'S':
        self->server_key = value;
        return 0;
    case 'f':
        self->follows = true;
        return 0;
    case 's':
        self->since = value;
        return whole_number (value) < 0 && time_ms (value) < 0
                   ? refuse (self, "--since: \"%s\" is neither a number nor a time: 1200, 30s, 5m",
                             value)
                   : 0;
    case 'T':
        self->type = value;
        return 0;
    case 'p':
        self->path = value;
        return 0;
    case 'F':
        self->until = value;
        return 0;
    case 'I':
        return set_number (self, option->name, value, &self->incarnation);
    case 'N':
        self->waits = false;
        return 0;
    case 'G':
        return set_number (self, option->name, value, &self->tag);
    default:
        self->is_help = true;
        return 0;
    }
}

/*  An option at argv[*at], of which the value may be the next word. */
static int parse_option (tool_arguments_t *self, int argc, char *const *argv, int *at)
{
    const char *word = argv[*at], *value = NULL;
    const option_t *option;
    if (word[1] == '-') {
        const char *equals = strchr (word, '=');
        size_t length = equals ? (size_t) (equals - word) - 2 : strlen (word) - 2;
        option = find_option (word + 2, length);
        value = equals ? equals + 1 : NULL;
    }
    else {
        option = find_letter (word[1]);
        value = word[2] ? word + 2 : NULL;
    }
    if (strcmp (word, "--version") == 0) {
        self->is_version = true;
        return 0;
    }
    if (!option || (self->verb && !takes (self->verb, option)))
        return refuse (self, "%s%sthere is no option %s", self->verb ? self->verb->name : "",
                       self->verb ? ": " : "", word);
    if (!option->value && value)
        return refuse (self, "--%s takes no value", option->name);
    if (option->value && !value) {
        if (*at + 1 >= argc)
            return refuse (self, "--%s wants a value: %s", option->name, option->value);
        value = argv[++*at];
    }
    return set (self, option, value);
}

static int set_verb (tool_arguments_t *self, const char *name)
{
    for (const tool_verb_t *verb = verbs; verb->name; verb++)
        if (strcmp (verb->name, name) == 0) {
            self->verb = verb;
            return 0;
        }
    return refuse (self, "there is no verb \"%s\"; `resil --help` has those that there are", name);
}

static int add_word (tool_arguments_t *self, const char *word)
{
    if (self->word_count == self->verb->most)
        return refuse (self, "%s: \"%s\" is one word too many: resil %s %s", self->verb->name, word,
                       self->verb->name, self->verb->usage);
    self->words[self->word_count++] = word;
    return 0;
}

static int check (tool_arguments_t *self)
{
    if (self->is_help || self->is_version)
        return 0;
    if (!self->verb)
        return refuse (self, "what is to be done? `resil --help` says what can be");
    if (self->word_count < self->verb->least)
        return refuse (self, "%s wants more words: resil %s %s", self->verb->name, self->verb->name,
                       self->verb->usage);
    if (self->output == TOOL_PROM && self->verb->run != tool_metrics)
        return refuse (self, "only metrics can be printed as prom");
    if (self->output >= TOOL_TEXT && self->verb->run != tool_graph)
        return refuse (self, "only a graph can be drawn as text, dot or svg");
    if (self->endpoint_count > 1 && self->verb->run != tool_top)
        return refuse (self, "%s is about one program: say --endpoint once", self->verb->name);
    return 0;
}

int tool_arguments_parse (int argc, char *const *argv, tool_arguments_t *self)
{
    bool is_word = false; /*  all is, after "--"                                       */
    *self = (tool_arguments_t){.timeout_ms = 5000, .waits = true};
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        int rc;
        if (!is_word && strcmp (word, "--") == 0) {
            is_word = true;
            continue;
        }
        /*  A key may begin with a - too. */
        bool is_key = self->verb && self->verb->run == tool_keys && tool_is_key (word);
        if (!is_word && !is_key && word[0] == '-' && word[1])
            rc = parse_option (self, argc, argv, &at);
        else
            rc = self->verb ? add_word (self, word) : set_verb (self, word);
        if (rc)
            return -1;
    }
    return check (self);
}

/*  ---- Help --------------------------------------------------------------------------------- */

static void put_options (FILE *out, const char *letters)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const option_t *option = &options[i];
        char words[64], letter[8] = "    ";
        if (letters && !strchr (letters, option->letter))
            continue;
        if (find_letter (option->letter))
            snprintf (letter, sizeof letter, "-%c, ", option->letter);
        snprintf (words, sizeof words, "%s--%s%s%s", letter, option->name, option->value ? " " : "",
                  option->value ? option->value : "");
        fprintf (out, "  %-26s %s\n", words, option->about);
    }
}

static void put_overview (FILE *out)
{
    fprintf (out, "Watch and steer programs that are made with resil.\n\n"
                  "Usage: resil VERB [WORDS] [OPTIONS]\n\n");
    for (const tool_verb_t *verb = verbs; verb->name; verb++)
        fprintf (out, "  %-26s %s\n", verb->name, verb->summary);
    fprintf (out, "\nOptions (resil VERB --help has those of a verb):\n");
    put_options (out, REMOTE);
    fprintf (out, "  %-26s %s\n", "    --version", "print the version");
    fprintf (out,
             "\nWhich program: --endpoint, else RESIL_ENDPOINT, else the only one that runs here.\n"
             "\nStatus: 0 ok, 1 failed, 2 wrong usage, 3 something is down, 4 no such path, 5 not\n"
             "reached or no answer in time, 6 refused, 7 conflict.\n");
}

char *tool_help (const tool_verb_t *verb)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream (&text, &size);
    if (!out)
        return NULL;
    if (verb) {
        fprintf (out, "%s: %s\n\nUsage: resil %s%s%s [OPTIONS]\n\n", verb->name, verb->summary,
                 verb->name, *verb->usage ? " " : "", verb->usage);
        put_options (out, verb->options);
    }
    else
        put_overview (out);
    fclose (out);
    return text;
}

char *tool_option_words (const tool_verb_t *verb)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream (&text, &size);
    for (size_t i = 0; out && i < OPTIONS; i++)
        if (takes (verb, &options[i]))
            fprintf (out, "%s--%s", ftell (out) ? " " : "", options[i].name);
    if (out)
        fclose (out);
    return text;
}
