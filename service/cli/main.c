/* The `sallyport` command: a table of subcommands, one parser for their options, help from the table. The work is done by the
 * same core that runs inside the proxy. */
#include "config.h"

#include "cli.h"

#include "sallyport/conf.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct sp_cli_command *const commands[] = { &sp_cli_check, &sp_cli_explain, &sp_cli_find, &sp_cli_metrics, &sp_cli_reload,
    &sp_cli_report, &sp_cli_rules, &sp_cli_scan, &sp_cli_status, &sp_cli_tail };
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

enum { OPTION_DEFAULTS = 256, OPTION_JSON, OPTION_VERSION, OPTION_OWN /* and enum sp_cli_option above it */ };

static const struct option long_options[] = {
    { "access-log", required_argument, NULL, OPTION_OWN + SP_CLI_ACCESS_LOG },
    { "action", required_argument, NULL, OPTION_OWN + SP_CLI_ACTION },
    { "blocked", no_argument, NULL, OPTION_OWN + SP_CLI_BLOCKED },
    { "body", required_argument, NULL, OPTION_OWN + SP_CLI_BODY },
    { "category", required_argument, NULL, OPTION_OWN + SP_CLI_CATEGORY },
    { "client", required_argument, NULL, OPTION_OWN + SP_CLI_CLIENT },
    { "color", required_argument, NULL, OPTION_OWN + SP_CLI_COLOR },
    { "config", required_argument, NULL, 'c' },
    { "defaults", no_argument, NULL, OPTION_DEFAULTS },
    { "force", no_argument, NULL, OPTION_OWN + SP_CLI_FORCE },
    { "help", no_argument, NULL, 'h' },
    { "header", required_argument, NULL, 'H' },
    { "host", required_argument, NULL, OPTION_OWN + SP_CLI_HOST },
    { "html", required_argument, NULL, OPTION_OWN + SP_CLI_HTML },
    { "json", no_argument, NULL, OPTION_JSON },
    { "lines", required_argument, NULL, 'n' },
    { "log", required_argument, NULL, OPTION_OWN + SP_CLI_LOG },
    { "listen", required_argument, NULL, OPTION_OWN + SP_CLI_LISTEN },
    { "no-wait", no_argument, NULL, OPTION_OWN + SP_CLI_NO_WAIT },
    { "outcome", required_argument, NULL, OPTION_OWN + SP_CLI_OUTCOME },
    { "response", no_argument, NULL, OPTION_OWN + SP_CLI_RESPONSE },
    { "response-head", required_argument, NULL, OPTION_OWN + SP_CLI_RESPONSE_HEAD },
    { "rule", required_argument, NULL, OPTION_OWN + SP_CLI_RULE },
    { "since", required_argument, NULL, OPTION_OWN + SP_CLI_SINCE },
    { "sni", required_argument, NULL, OPTION_OWN + SP_CLI_SNI },
    { "until", required_argument, NULL, OPTION_OWN + SP_CLI_UNTIL },
    { "token-file", required_argument, NULL, OPTION_OWN + SP_CLI_TOKEN_FILE },
    { "user", required_argument, NULL, OPTION_OWN + SP_CLI_USER },
    { "version", no_argument, NULL, OPTION_VERSION },
    { NULL, 0, NULL, 0 },
};

struct request {
    struct sp_cli_options options;
    bool wants_help, wants_version;
};

static void print_overview(FILE *out)
{
    fputs("sallyport - what the gate in your web proxy would do, and how it is\n\n"
          "usage: sallyport COMMAND [OPTION]...\n\ncommands:\n",
        out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out,
        "\noptions of every command:\n"
        "  -c, --config FILE  configuration file [%s]\n"
        "      --json         output for programs\n"
        "  -h, --help         help on the command\n"
        "      --version      version of sallyport\n\n"
        "exit status: 0 all is well, 1 something was found or is degraded, 2 error\n\n"
        "examples:\n"
        "  sallyport check             is the configuration right?\n"
        "  sallyport explain GET https://example.com/   would it be blocked, and why?\n"
        "  sallyport rules             what is recognised, and what is done about it?\n"
        "  sallyport scan report.pdf   would the proxy let this file pass?\n"
        "  sallyport status            is the scanner serving?\n"
        "  sallyport tail --blocked    what is refused, as it happens\n"
        "  sallyport find 4a1f09c2b7d30001   all about the id on a block page\n"
        "  sallyport report --since 7d --html week.html   a week in charts\n"
        "  sallyport help scan         more on one command\n",
        sp_conf_default_path());
}

static void print_help(const struct sp_cli_command *command)
{
    printf("sallyport %s - %s\n\n", command->name, command->summary);
    printf("usage: sallyport %s [-c FILE] [--json]%s%s%s%s%s\n\n", command->name, command->has_defaults ? " [--defaults]" : "",
        command->usage ? " " : "", command->usage ? command->usage : "", command->args[0] ? " " : "", command->args);
    fputs(command->help, stdout);
}

static const struct sp_cli_command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* --- completion ------------------------------------------------------------------------------------------------------- */

/* What may follow an option: the name of a file, one of several words, or else any word. */
static const struct {
    const char *option, *values;
} option_values[] = {
    { "access-log", "FILE" },
    { "action", "allow|report|block|none" },
    { "body", "FILE" },
    { "color", "auto|always|never" },
    { "config", "FILE" },
    { "html", "FILE" },
    { "listen", "127.0.0.1:9301|[::1]:9301" },
    { "log", "FILE" },
    { "outcome",
#define SP_OUTCOME_ROW(id, name, action, configurable, when) name "|"
#include "sallyport/outcome.def"
#undef SP_OUTCOME_ROW
    },
    { "response-head", "FILE" },
    { "since", "1h|1d|7d|30d|today|yesterday|all" },
    { "token-file", "FILE" },
    { "until", "today|yesterday|now" },
};

static const char *values_of(const struct option *option)
{
    if (option->has_arg == no_argument)
        return "-";
    for (size_t i = 0; i < sizeof(option_values) / sizeof(option_values[0]); i++)
        if (strcmp(option->name, option_values[i].option) == 0)
            return option_values[i].values;
    return "WORD";
}

static bool takes_option(const struct sp_cli_command *command, const struct option *option)
{
    if (option->val >= OPTION_OWN)
        return command->takes & 1u << (option->val - OPTION_OWN);
    switch (option->val) {
    case 'H':
        return command->takes & 1u << SP_CLI_HEADER;
    case 'n':
        return command->takes & 1u << SP_CLI_LINES;
    case OPTION_DEFAULTS:
        return command->has_defaults;
    case OPTION_VERSION:
        return false;
    default:
        return true;
    }
}

/* sallyport __complete [COMMAND]: for completions/, a line for each thing that may come, its parts apart by tabs. */
static void print_completions(const char *name)
{
    const struct sp_cli_command *command = name ? find_command(name) : NULL;
    const bool is_help = name && strcmp(name, "help") == 0;
    if (!name || name[0] == '\0' || is_help) {
        if (!is_help)
            puts("command\thelp\thelp on a command");
        for (size_t i = 0; i < COMMAND_COUNT; i++)
            printf("%s\t%s\t%s\n", "command", commands[i]->name, commands[i]->summary);
        puts("option\t--help\t-\noption\t--version\t-\noption\t--config\tFILE\noption\t-c\tFILE");
    }
    if (!command)
        return;
    if (command->has_args)
        printf("argument\t%s\n", strncmp(command->args, "FILE", strlen("FILE")) == 0 ? "FILE" : "WORD");
    puts("option\t-c\tFILE");
    for (const struct option *option = long_options; option->name; option++)
        if (takes_option(command, option))
            printf("option\t--%s\t%s\n", option->name, values_of(option));
}

/* ----------------------------------------------------------------------------------------------------------------------- */

static enum sp_cli_exit usage_fault(const char *what, const char *which)
{
    sp_cli_fail("%s%s", what, which);
    fputs("Try: sallyport --help\n", stderr);
    return SP_CLI_ERROR;
}

/* The first option given that the command does not take; NULL if there is none. */
static const char *stray_option(const struct sp_cli_options *options, const struct sp_cli_command *command)
{
    if (options->n_headers > 0 && !(command->takes & 1u << SP_CLI_HEADER))
        return "header";
    for (const struct option *option = long_options; option->name; option++) {
        int own = option->val == 'n' ? SP_CLI_LINES : option->val - OPTION_OWN;
        if (own >= 0 && options->values[own] && !(command->takes & 1u << own))
            return option->name;
    }
    return NULL;
}

/* Options may stand before and after the command. False: told on stderr. */
static bool parse_options(int argc, char **argv, struct request *request)
{
    int c;
    while ((c = getopt_long(argc, argv, "c:hH:n:", long_options, NULL)) != -1) {
        if (c >= OPTION_OWN) {
            request->options.values[c - OPTION_OWN] = optarg ? optarg : "";
            continue;
        }
        switch (c) {
        case 'c':
            request->options.config = optarg;
            break;
        case 'h':
            request->wants_help = true;
            break;
        case 'H':
            request->options.headers[request->options.n_headers++] = optarg;
            break;
        case 'n':
            request->options.values[SP_CLI_LINES] = optarg;
            break;
        case OPTION_DEFAULTS:
            request->options.defaults = true;
            break;
        case OPTION_JSON:
            request->options.json = true;
            break;
        case OPTION_VERSION:
            request->wants_version = true;
            break;
        default:
            fputs("Try: sallyport --help\n", stderr);
            return false;
        }
    }
    request->options.args = argv + optind;
    request->options.n_args = argc - optind;
    return true;
}

static enum sp_cli_exit run_help(const struct sp_cli_options *options)
{
    if (options->n_args == 0) {
        print_overview(stdout);
        return SP_CLI_OK;
    }
    const struct sp_cli_command *command = find_command(options->args[0]);
    if (!command)
        return usage_fault("there is no command ", options->args[0]);
    print_help(command);
    return SP_CLI_OK;
}

static enum sp_cli_exit run_command(struct request *request)
{
    struct sp_cli_options *options = &request->options;
    const char *name = options->args[0];
    const struct sp_cli_command *command = find_command(name);
    if (!command)
        return usage_fault("there is no command ", name);
    if (request->wants_help) {
        print_help(command);
        return SP_CLI_OK;
    }
    options->args++;
    options->n_args--;
    if (options->defaults && !command->has_defaults)
        return usage_fault("--defaults does not belong to ", name);
    const char *stray = stray_option(options, command);
    if (stray) {
        sp_cli_fail("--%s does not belong to %s", stray, name);
        fputs("Try: sallyport --help\n", stderr);
        return SP_CLI_ERROR;
    }
    if (options->n_args > 0 && !command->has_args)
        return usage_fault("one argument too many: ", options->args[0]);
    if (options->n_args == 0 && command->has_args && !command->may_lack_args) {
        sp_cli_fail("%s needs an argument: %s", name, command->args);
        fprintf(stderr, "Try: sallyport help %s\n", name);
        return SP_CLI_ERROR;
    }
    return command->run(options);
}

static enum sp_cli_exit run(struct request *request)
{
    struct sp_cli_options *options = &request->options;
    if (request->wants_version) {
        puts("sallyport " PACKAGE_VERSION);
        return SP_CLI_OK;
    }
    if (options->n_args > 0 && strcmp(options->args[0], "help") == 0) {
        options->args++;
        options->n_args--;
        return run_help(options);
    }
    if (options->n_args > 0 && strcmp(options->args[0], "__complete") == 0) {
        print_completions(options->n_args > 1 ? options->args[1] : NULL);
        return SP_CLI_OK;
    }
    if (options->n_args > 0)
        return run_command(request);
    print_overview(request->wants_help ? stdout : stderr);
    return request->wants_help ? SP_CLI_OK : SP_CLI_ERROR;
}

int main(int argc, char **argv)
{
    struct request request = { .options = { .config = sp_conf_default_path() } };
    request.options.headers = calloc((size_t) argc + 1, sizeof(char *)); /* more than there can be */
    if (!request.options.headers)
        return (int) sp_cli_fail("out of memory");
    enum sp_cli_exit status = parse_options(argc, argv, &request) ? run(&request) : SP_CLI_ERROR;
    free(request.options.headers);
    if (fflush(stdout) != 0 || ferror(stdout))
        return (int) sp_cli_fail("standard output cannot be written");
    return (int) status;
}
