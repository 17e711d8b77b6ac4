/* `sallyport metrics --listen`: a small web server for people (the dashboard), Prometheus (/metrics) and load balancers (/healthz). It
 * only reads: the scoreboard of the scanner, the counters of the proxy module and the decision log. For the command line. */
#ifndef SALLYPORT_WEB_WEB_H
#define SALLYPORT_WEB_WEB_H

#include "sallyport/buf.h"
#include "sallyport/conf.h"

/* Appends everything that the gate counts as Prometheus text. Called from several threads at once. */
typedef enum sp_status (*sp_web_metrics_fn)(const struct sp_conf *conf, struct sp_buf *out);

struct sp_web_options {
    const struct sp_conf *conf;
    const char *listen;     /* "127.0.0.1:9301", "[::1]:9301", "9301" */
    const char *token_file; /* or NULL */
    sp_web_metrics_fn metrics;
    const char *metrics_type; /* its Content-Type */
};

/* Serves until SIGTERM or SIGINT, then ends in good order: SP_OK. Called as root it becomes the user that owns run_dir, or nobody;
 * the token file is read before. Starts threads and changes the signal mask, so the process should have nothing else to do. */
enum sp_status sp_web_run(const struct sp_web_options *options, struct sp_error *err) SP_MUST_CHECK;

#endif
