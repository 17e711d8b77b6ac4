/* How long one policy decision takes: the policy of a configuration file, asked about ordinary heads over and over, one clock
 * reading around each. Prints JSON with percentiles in nanoseconds; the clock's own cost is part of them.
 * Usage: decide CONFIG DECISIONS */
#include "config.h"

#include "sallyport/conf.h"
#include "sallyport/message_parse.h"
#include "sallyport/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AGENT "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
#define BROWSER                                                                                                                            \
    AGENT "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"                 \
          "Accept-Encoding: gzip, deflate, br, zstd\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\n"                       \
          "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nPriority: u=0, i\r\n"

static const char *const heads[] = {
    "GET https://www.example.com/news/2026/article-17.html?ref=home HTTP/1.1\r\nHost: www.example.com\r\n" BROWSER
    "Cookie: session=0123456789abcdef; theme=dark; consent=yes\r\n\r\n",
    "GET https://cdn.example.net/assets/app.4f2a.js HTTP/1.1\r\nHost: cdn.example.net\r\n" AGENT
    "Accept: */*\r\nReferer: https://a.example/\r\n\r\n",
    "POST https://api.example.org/v1/items HTTP/1.1\r\nHost: api.example.org\r\n" AGENT
    "Content-Type: application/json\r\nContent-Length: 512\r\nAuthorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln\r\n\r\n",
    "CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com:443\r\n" AGENT "\r\n",
    "GET http://deb.example.org/debian/dists/stable/InRelease HTTP/1.1\r\nHost: deb.example.org\r\nUser-Agent: Debian APT-HTTP/1.3\r\n\r\n",
};
#define HEADS (sizeof(heads) / sizeof(heads[0]))

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct sp_error err = { 0 };
    struct sp_conf *conf = NULL;
    struct sp_policy *policy = NULL;
    struct sp_head *parsed[HEADS] = { NULL };
    const size_t n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    int64_t *took = calloc(n ? n : 1, sizeof(*took));
    int status = EXIT_FAILURE;
    if (n == 0 || !took || sp_conf_load(argv[1], &err, NULL, &conf) != SP_OK || sp_policy_new(conf, &err, &policy) != SP_OK)
        goto out;
    for (size_t i = 0; i < HEADS; i++)
        if (sp_head_parse(heads[i], strlen(heads[i]), SP_MESSAGE_REQUEST, &parsed[i]) != SP_OK)
            goto out;
    for (size_t i = 0; i < n; i++) {
        const struct sp_message *msg = sp_head_message(parsed[i % HEADS]);
        const struct sp_policy_input in = { .stage = msg->is_connect ? SP_STAGE_CONNECT : SP_STAGE_REQUEST,
            .request = msg,
            .client = SP_STR("192.0.2.7"),
            .user = SP_STR("bob"),
            .is_body_known = true };
        struct sp_policy_result found;
        const int64_t start = now_ns();
        sp_policy_decide(policy, &in, &found);
        took[i] = now_ns() - start;
        if (found.action == SP_ACTION_BLOCK) {
            snprintf(err.text, sizeof(err.text), "an ordinary head is refused by %s", found.rule->id);
            goto out;
        }
    }
    qsort(took, n, sizeof(*took), compare);
    printf("{\"rules\": %zu, \"exceptions\": %zu, \"p50_ns\": %lld, \"p99_ns\": %lld, \"p999_ns\": %lld}\n", sp_policy_count(policy),
        sp_policy_count_exceptions(policy), (long long) took[n / 2], (long long) took[n * 99 / 100], (long long) took[n * 999 / 1000]);
    status = EXIT_SUCCESS;
out:
    if (status != EXIT_SUCCESS)
        fprintf(stderr, "decide: %s\n", err.text[0] ? err.text : "usage: decide CONFIG DECISIONS");
    for (size_t i = 0; i < HEADS; i++)
        sp_head_free(&parsed[i]);
    sp_policy_free(&policy);
    sp_conf_free(&conf);
    free(took);
    return status;
}
