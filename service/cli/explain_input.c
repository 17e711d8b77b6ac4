/* What is to be explained: a head made of arguments as Squid would send it (RFC 7230 5.3.2: absolute form to a proxy), or heads as
 * somebody captured them. Captured bytes are not repaired: how odd a head is may be the reason why it was blocked. */
#include "config.h"

#include "explain.h"

#include "sallyport/netaddr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADS_MAX (2u * 1024u * 1024u + 4096u) /* two heads of the largest size that the parser takes */
#define BODY_FIRST_BYTES (64u * 1024u)         /* of a body's file, read at once */
#define MADE_HEAD_MAX (512u * 1024u)

/* --- files ------------------------------------------------------------------------------------------------------------- */

/* Reads up to max bytes from fd to the end of text. *is_end_out: there are no more. */
static bool read_some(int fd, struct sp_buf *text, size_t max, bool *is_end_out)
{
    char piece[4096];
    *is_end_out = false;
    for (size_t total = 0; total < max;) {
        size_t want = max - total < sizeof(piece) ? max - total : sizeof(piece);
        ssize_t n = read(fd, piece, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0) {
            *is_end_out = true;
            return true;
        }
        if (sp_buf_add(text, piece, (size_t) n) != SP_OK) {
            errno = ENOMEM;
            return false;
        }
        total += (size_t) n;
    }
    return true;
}

static int open_named(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        errno = EISDIR;
        return -1;
    }
    return fd;
}

/* --- captured heads ------------------------------------------------------------------------------------------------------- */

/* Length of the head at the start of s, its empty line included; 0 if there is none. */
static size_t head_length(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\n')
            continue;
        if (i + 1 < s.n && s.p[i + 1] == '\n')
            return i + 2;
        if (i + 2 < s.n && s.p[i + 1] == '\r' && s.p[i + 2] == '\n')
            return i + 3;
    }
    return 0;
}

/* Takes a head off the front of *rest. What was pasted without its empty line is a head too. */
static bool take_head(struct sp_str *rest, enum sp_message_kind kind, struct sp_head **head_out, bool *is_broken_out)
{
    const char *name = kind == SP_MESSAGE_REQUEST ? "request" : "response";
    size_t n = head_length(*rest);
    struct sp_buf whole;
    sp_buf_init(&whole, HEADS_MAX + 4);
    enum sp_status status = sp_buf_add(&whole, rest->p, n > 0 ? n : rest->n);
    if (status == SP_OK && n == 0)
        status = sp_buf_add_str(&whole, SP_STR("\r\n\r\n"));
    if (status == SP_OK)
        status = sp_head_parse(whole.p, whole.n, kind, head_out);
    sp_buf_fini(&whole);
    rest->p += n > 0 ? n : rest->n;
    rest->n -= n > 0 ? n : rest->n;
    if (status == SP_ERR_LIMIT)
        *is_broken_out = true;
    else if (status == SP_ERR_SYNTAX)
        sp_cli_fail("there is no %s head: it must begin with its start line", name);
    else if (status != SP_OK)
        sp_cli_fail("%s head: %s", name, sp_status_name(status));
    return status == SP_OK || status == SP_ERR_LIMIT;
}

static bool is_response(struct sp_str s)
{
    return sp_str_starts_nocase(s, SP_STR("HTTP/"));
}

static bool take_heads(struct sp_explain_input *in, struct sp_str rest, bool wants_response)
{
    bool is_alone = is_response(rest);
    if (!is_alone && !take_head(&rest, SP_MESSAGE_REQUEST, &in->request, &in->is_request_broken))
        return false;
    if ((wants_response || is_alone) && !take_head(&rest, SP_MESSAGE_RESPONSE, &in->response, &in->is_response_broken))
        return false;
    in->body = rest;
    return true;
}

static bool read_stdin(struct sp_explain_input *in, bool wants_response)
{
    bool is_end;
    if (!read_some(STDIN_FILENO, &in->text, HEADS_MAX, &is_end)) {
        sp_cli_fail("standard input: %s", strerror(errno));
        return false;
    }
    if (in->text.n == 0) {
        sp_cli_fail("standard input is empty: it must hold a head");
        return false;
    }
    if (!take_heads(in, (struct sp_str){ in->text.p, in->text.n }, wants_response))
        return false;
    in->body_fd = is_end ? -1 : STDIN_FILENO;
    in->has_body = in->body.n > 0 || !is_end;
    return true;
}

static bool read_response_head(struct sp_explain_input *in, const char *path)
{
    struct sp_buf text;
    bool is_end, is_read = false;
    sp_buf_init(&text, HEADS_MAX);
    int fd = open_named(path);
    if (fd < 0 || !read_some(fd, &text, HEADS_MAX, &is_end)) {
        sp_cli_fail("%s: %s", path, strerror(errno));
    } else {
        struct sp_str rest = { text.p ? text.p : "", text.n };
        is_read = take_head(&rest, SP_MESSAGE_RESPONSE, &in->response, &in->is_response_broken);
    }
    if (fd >= 0)
        close(fd);
    sp_buf_fini(&text);
    return is_read;
}

/* --- a head made of arguments ----------------------------------------------------------------------------------------------- */

static bool has_field(const struct sp_cli_options *options, struct sp_str name)
{
    for (int i = 0; i < options->n_headers; i++) {
        const char *colon = strchr(options->headers[i], ':');
        struct sp_str given = { options->headers[i], colon ? (size_t) (colon - options->headers[i]) : 0 };
        if (sp_str_equal_nocase(sp_str_trim(given), name))
            return true;
    }
    return false;
}

/* The authority of a URL or of "host:port": what Squid puts into Host. */
static struct sp_str authority_of(const char *target)
{
    const char *start = strstr(target, "://");
    struct sp_str authority = sp_str_from(start ? start + 3 : target);
    authority.n = strcspn(authority.p, "/?#");
    const char *at = authority.n > 0 ? memrchr(authority.p, '@', authority.n) : NULL;
    size_t skip = at ? (size_t) (at - authority.p) + 1 : 0;
    return (struct sp_str){ authority.p + skip, authority.n - skip };
}

static bool check_argument(const char *what, const char *text)
{
    if (text[0] != '\0' && !strpbrk(text, "\r\n"))
        return true;
    sp_cli_fail(text[0] ? "%s with a line end in it: give such a head on standard input" : "%s is empty", what);
    return false;
}

static bool check_arguments(const struct sp_cli_options *options, const char *method, const char *target)
{
    if (!check_argument("the method", method) || !check_argument("the URL", target))
        return false;
    for (int i = 0; i < options->n_headers; i++) {
        if (!check_argument("a header", options->headers[i]))
            return false;
        if (!strchr(options->headers[i], ':')) {
            sp_cli_fail("-H takes \"NAME: VALUE\", and \"%s\" has no colon", options->headers[i]);
            return false;
        }
    }
    bool is_connect = strcasecmp(method, "CONNECT") == 0;
    if (!is_connect && !strstr(target, "://")) {
        sp_cli_fail("\"%s\" is no URL: it must begin with http:// or https://", target);
        return false;
    }
    if (is_connect && strpbrk(target, "/?#"))
        sp_cli_line(stderr, "warning: CONNECT takes HOST:PORT, which \"%s\" is not", target);
    return true;
}

static enum sp_status write_head(const struct sp_cli_options *options, const char *method, const char *target, uint64_t body_bytes,
    bool is_length_known, struct sp_buf *text)
{
    enum sp_status status = sp_buf_addf(text, "%s %s HTTP/1.1\r\n", method, target);
    if (status == SP_OK && !has_field(options, SP_STR("Host"))) {
        struct sp_str host = authority_of(target);
        status = sp_buf_addf(text, "Host: %.*s\r\n", (int) host.n, host.p);
    }
    for (int i = 0; i < options->n_headers && status == SP_OK; i++)
        status = sp_buf_addf(text, "%s\r\n", options->headers[i]);
    bool has_framing = has_field(options, SP_STR("Content-Length")) || has_field(options, SP_STR("Transfer-Encoding"));
    if (status == SP_OK && is_length_known && !has_framing)
        status = sp_buf_addf(text, "Content-Length: %llu\r\n", (unsigned long long) body_bytes);
    return status == SP_OK ? sp_buf_add_str(text, SP_STR("\r\n")) : status;
}

/* The length of the body that goes with the request; false if it has none or nobody knows. */
static bool request_length(const struct sp_cli_options *options, const struct sp_explain_input *in, uint64_t *bytes_out)
{
    struct stat st;
    if (options->values[SP_CLI_RESPONSE_HEAD] || !options->values[SP_CLI_BODY])
        return false;
    bool is_file = in->body_fd >= 0 && fstat(in->body_fd, &st) == 0 && S_ISREG(st.st_mode);
    *bytes_out = is_file ? (uint64_t) st.st_size : in->body.n;
    return is_file || in->body_fd < 0;
}

static bool make_request(const struct sp_cli_options *options, struct sp_explain_input *in)
{
    const char *target = options->args[options->n_args - 1];
    const char *method = options->n_args > 1 ? options->args[0] : "GET";
    if (!check_arguments(options, method, target))
        return false;
    uint64_t bytes = 0;
    bool is_length_known = request_length(options, in, &bytes);
    struct sp_buf text;
    sp_buf_init(&text, MADE_HEAD_MAX);
    enum sp_status status = write_head(options, method, target, bytes, is_length_known, &text);
    if (status == SP_OK)
        status = sp_head_parse(text.p, text.n, SP_MESSAGE_REQUEST, &in->request);
    sp_buf_fini(&text);
    if (status == SP_ERR_LIMIT)
        in->is_request_broken = true;
    else if (status != SP_OK)
        sp_cli_fail("the head cannot be made of these arguments: %s", sp_status_name(status));
    return status == SP_OK || status == SP_ERR_LIMIT;
}

/* --- all of it -------------------------------------------------------------------------------------------------------------- */

static bool open_body(struct sp_explain_input *in, const char *path)
{
    bool is_end;
    in->body_fd = open_named(path);
    if (in->body_fd < 0 || !read_some(in->body_fd, &in->text, BODY_FIRST_BYTES, &is_end)) {
        sp_cli_fail("%s: %s", path, strerror(errno));
        return false;
    }
    in->body = (struct sp_str){ in->text.p ? in->text.p : "", in->text.n };
    in->has_body = in->text.n > 0;
    return true;
}

static bool check_combination(const struct sp_cli_options *options, bool is_stdin)
{
    const char *fault = NULL;
    if (is_stdin && options->n_args > 1)
        fault = "\"-\" stands alone: the method and the URL are on standard input";
    else if (is_stdin && options->n_headers > 0)
        fault = "-H belongs to a method and a URL; a head on standard input has its own";
    else if (is_stdin && options->values[SP_CLI_BODY])
        fault = "--body belongs to a method and a URL; on standard input the body follows the head";
    else if (!is_stdin && options->values[SP_CLI_RESPONSE])
        fault = "--response is for heads on standard input; with a method and a URL, name the file: --response-head FILE";
    else if (is_stdin && options->values[SP_CLI_RESPONSE] && options->values[SP_CLI_RESPONSE_HEAD])
        fault = "--response and --response-head are two places for one head";
    else if (options->n_args > 2)
        fault = "one argument too many: explain takes METHOD URL";
    if (fault)
        sp_cli_fail("%s", fault);
    return fault == NULL;
}

bool sp_explain_read(const struct sp_cli_options *options, struct sp_explain_input *in)
{
    const char *const *values = options->values;
    *in = (struct sp_explain_input){ .body_fd = -1, .body = { "", 0 } };
    in->client = sp_str_from(values[SP_CLI_CLIENT]);
    in->user = sp_str_from(values[SP_CLI_USER]);
    in->sni = sp_str_from(values[SP_CLI_SNI]);
    sp_buf_init(&in->text, HEADS_MAX);
    bool is_stdin = strcmp(options->args[0], "-") == 0;
    struct sp_netaddr address;
    if (!check_combination(options, is_stdin))
        return false;
    if (values[SP_CLI_CLIENT] && !sp_netaddr_parse(in->client, &address)) {
        sp_cli_fail("--client: \"%s\" is no address", values[SP_CLI_CLIENT]);
        return false;
    }
    if (is_stdin)
        return read_stdin(in, values[SP_CLI_RESPONSE] != NULL) &&
            (!values[SP_CLI_RESPONSE_HEAD] || read_response_head(in, values[SP_CLI_RESPONSE_HEAD]));
    if (values[SP_CLI_BODY] && !open_body(in, values[SP_CLI_BODY]))
        return false;
    return make_request(options, in) && (!values[SP_CLI_RESPONSE_HEAD] || read_response_head(in, values[SP_CLI_RESPONSE_HEAD]));
}

void sp_explain_fini(struct sp_explain_input *in)
{
    if (in->body_fd > STDERR_FILENO)
        close(in->body_fd);
    in->body_fd = -1;
    sp_head_free(&in->request);
    sp_head_free(&in->response);
    sp_buf_fini(&in->text);
}
