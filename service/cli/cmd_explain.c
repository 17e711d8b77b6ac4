/* sallyport explain: why a request was or would be blocked. */
#include "config.h"

#include "explain.h"

/* Prints the answer on the request, and the one on the response if there is a response. */
static enum sp_cli_exit explain(const struct sp_cli_options *options, struct sp_gate *gate, struct sp_explain_input *in)
{
    bool has_request = in->request || in->is_request_broken, has_response = in->response || in->is_response_broken;
    struct sp_explain_answer request = { 0 }, response = { 0 };
    enum sp_cli_exit status = SP_CLI_ERROR;
    if (has_request && !sp_explain_judge(gate, in, SP_REQMOD, &request))
        goto out;
    if (has_response && !sp_explain_judge(gate, in, SP_RESPMOD, &response))
        goto out;
    const struct sp_explain_answer *last = has_response ? &response : &request;
    if (options->json) {
        struct json_object *out = sp_explain_json(gate, last);
        if (has_request && has_response)
            sp_cli_json_add(out, "request", sp_explain_json(gate, &request));
        sp_cli_json_print(out);
    } else {
        if (has_request)
            sp_explain_print(gate, &request);
        if (has_request && has_response)
            puts("");
        if (has_response)
            sp_explain_print(gate, &response);
    }
    status = request.is_refused || response.is_refused ? SP_CLI_FOUND : SP_CLI_OK;
    if (last->is_unknown)
        status = SP_CLI_ERROR;
out:
    sp_explain_answer_fini(&request);
    sp_explain_answer_fini(&response);
    return status;
}

static enum sp_cli_exit check_log_options(const struct sp_cli_options *options)
{
    if (options->n_args > 0)
        return sp_cli_fail("with --access-log there is no %s: each line of the file is a request", options->args[0]);
    for (int i = 0; i < SP_CLI_OPTION_COUNT; i++)
        if ((i != SP_CLI_ACCESS_LOG && options->values[i]) || options->n_headers > 0)
            return sp_cli_fail("with --access-log there are no other options but -c and --json");
    return SP_CLI_OK;
}

static enum sp_cli_exit run(const struct sp_cli_options *options)
{
    const char *log = options->values[SP_CLI_ACCESS_LOG];
    if (!log && options->n_args == 0)
        return sp_cli_fail("explain needs METHOD URL, \"-\", or --access-log FILE. Try: sallyport help explain");
    if (log && check_log_options(options) != SP_CLI_OK)
        return SP_CLI_ERROR;
    struct sp_error err = { 0 };
    struct sp_gate *gate;
    struct sp_explain_input in = { .body_fd = -1 };
    if (sp_gate_open(options->config, 0, &err, &gate) != SP_OK)
        return sp_cli_fail("%s", err.text);
    enum sp_cli_exit status = SP_CLI_ERROR;
    if (log)
        status = sp_explain_log(options, gate, log);
    else if (sp_explain_read(options, &in))
        status = explain(options, gate, &in);
    sp_explain_fini(&in);
    sp_gate_release(&gate);
    return status;
}

const struct sp_cli_command sp_cli_explain = {
    .name = "explain",
    .args = "[METHOD] URL | - | --access-log FILE",
    .usage = "[-H HEADER]... [OPTION]...",
    .summary = "say why a request was or would be blocked, or why not",
    .help = "Asks the code that runs inside the proxy, with the configuration as it is now. It says what would be\n"
            "done; the rule, where it stands and which of its conditions hold; the exception that let a request\n"
            "pass; and how a refusal looks. Neither the decision log nor the counters see it.\n\n"
            "a request in words:\n"
            "  METHOD URL            as a browser would send it to the proxy: CONNECT host:443, GET https://host/path.\n"
            "                        The head is made as Squid passes it on. METHOD may be left out: GET\n"
            "  -H, --header HEADER   \"NAME: VALUE\", as often as needed\n"
            "      --body FILE       the body of the last message (the response, if there is one)\n"
            "      --response-head FILE   the head of the answer to it, which is judged too\n\n"
            "a request as captured:\n"
            "  -                     a head on standard input, taken as it is; what follows it is its body.\n"
            "                        A head that begins with HTTP/ is a response\n"
            "      --response        the head of the response follows that of the request\n\n"
            "who asks, for rules and exceptions that look at it:\n"
            "      --client ADDRESS  the client's address, IPv4 or IPv6\n"
            "      --user NAME       the name that the proxy authenticated\n"
            "      --sni NAME        the server name in the client's TLS\n\n"
            "requests of the past:\n"
            "      --access-log FILE Squid's access.log in its native form; \"-\" is standard input. Prints each line\n"
            "                        that would be blocked or reported: line number, action, rule, time, client,\n"
            "                        user, method, URL; then counts. Such a log has no header fields, no bodies and,\n"
            "                        as Squid comes, no queries: rules that look at them cannot be judged by it.\n"
            "                        Lines of status 407 are left out, for their requests come again\n\n"
            "A body is scanned as the proxy would, so sallyport-scand must run for it. In monitor mode a request that\n"
            "rules would block passes: that is said, and the exit status is 0.\n"
            "With --json the answer is one object. After a response, it is about the response, and the request's is\n"
            "in \"request\". Of an access.log there is one object a line and a last one, \"summary\".\n\n"
            "exit status: 0 would pass, 1 would be blocked (of an access.log: at least one line), 2 error\n\n"
            "examples:\n"
            "  sallyport explain CONNECT vpn.example:443 -H 'SSTPVERSION: 1.0' --client 10.1.2.3 --user bob\n"
            "  sallyport explain https://example.com/ -H 'User-Agent: Mozilla/5.0'\n"
            "  printf 'GET / HTTP/1.1\\nHost: example.com\\n\\n' | sallyport explain - --json | jq -r .rule.id\n"
            "  sallyport explain POST https://example.com/login --body form.txt\n"
            "  sallyport explain --access-log /var/log/squid/access.log\n"
            "  zcat -f /var/log/squid/access.log.* | sallyport explain --access-log - | tail -n 40\n",
    .has_args = true,
    .may_lack_args = true,
    .takes = 1u << SP_CLI_ACCESS_LOG | 1u << SP_CLI_BODY | 1u << SP_CLI_CLIENT | 1u << SP_CLI_HEADER | 1u << SP_CLI_RESPONSE |
        1u << SP_CLI_RESPONSE_HEAD | 1u << SP_CLI_SNI | 1u << SP_CLI_USER,
    .run = run,
};
