/* sallyport metrics: everything that is counted, once as text, or served with the dashboard. */
#include "config.h"

#include "cli.h"
#include "prometheus.h"
#include "web/web.h"

static enum sp_cli_exit print_once(const struct sp_conf *conf)
{
    struct sp_buf text;
    sp_buf_init(&text, SP_PROMETHEUS_MAX_BYTES);
    enum sp_status status = sp_prometheus_write(conf, &text);
    if (status == SP_OK)
        fwrite(text.p, 1, text.n, stdout);
    sp_buf_fini(&text);
    return status == SP_OK ? SP_CLI_OK : sp_cli_fail("%s", sp_status_name(status));
}

static enum sp_cli_exit serve(const struct sp_conf *conf, const struct sp_cli_options *options)
{
    struct sp_error err = { 0 };
    const struct sp_web_options web = {
        .conf = conf,
        .listen = options->values[SP_CLI_LISTEN],
        .token_file = options->values[SP_CLI_TOKEN_FILE],
        .metrics = sp_prometheus_write,
        .metrics_type = SP_PROMETHEUS_CONTENT_TYPE,
    };
    return sp_web_run(&web, &err) == SP_OK ? SP_CLI_OK : sp_cli_fail("%s", err.text);
}

static enum sp_cli_exit run(const struct sp_cli_options *options)
{
    struct sp_conf *conf = NULL;
    struct sp_error err = { 0 };
    enum sp_cli_exit status;
    if (options->values[SP_CLI_TOKEN_FILE] && !options->values[SP_CLI_LISTEN])
        return sp_cli_fail("--token-file goes with --listen");
    if (options->json)
        return sp_cli_fail("metrics has one form. As JSON: sallyport status --json");
    if (sp_conf_load(options->config, &err, NULL, &conf) != SP_OK)
        return sp_cli_fail("%s", err.text);
    status = options->values[SP_CLI_LISTEN] ? serve(conf, options) : print_once(conf);
    sp_conf_free(&conf);
    return status;
}

const struct sp_cli_command sp_cli_metrics = {
    .name = "metrics",
    .args = "",
    .summary = "print the counters for Prometheus, or serve them with the dashboard",
    .help = "Without --listen: prints the counters once, in Prometheus' text format.\n"
            "With it: serves the dashboard (/), the counters (/metrics) and the health of the scanner for load balancers (/healthz),\n"
            "in the foreground, until SIGTERM. It only reads. Started as root it becomes the user that owns run_dir.\n\n"
            "options:\n"
            "      --listen ADDR:PORT  where: 127.0.0.1:9301, [::1]:9301, or another address of this machine with --token-file\n"
            "      --token-file FILE   its first line (16 characters or more) is asked for: by browsers once, of scrapers as\n"
            "                          \"Authorization: Bearer TOKEN\". The connection is not encrypted: use a network that you trust,\n"
            "                          a tunnel (ssh -L) or a proxy with TLS.\n\n"
            "exit status: 0 printed, or stopped by a signal; 2 error\n\n"
            "examples:\n"
            "  sallyport metrics | grep ^sallyport_transactions\n"
            "  sallyport metrics --listen 127.0.0.1:9301\n"
            "  openssl rand -hex 24 > /etc/sallyport/metrics.token; chmod 640 /etc/sallyport/metrics.token\n"
            "  sallyport metrics --listen 192.0.2.10:9301 --token-file /etc/sallyport/metrics.token\n",
    .takes = 1u << SP_CLI_LISTEN | 1u << SP_CLI_TOKEN_FILE,
    .usage = "[--listen ADDR:PORT] [--token-file FILE]",
    .run = run,
};
