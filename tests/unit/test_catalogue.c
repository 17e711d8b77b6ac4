/* The shipped catalogue against its heads, tests/data/catalogue/ID/{match,miss}-*.head: as they are, and rewritten in the ways by
 * which one would smuggle a field past a rule. What follows the empty line of a file is the body; a field X-SNI stands for the name
 * that the proxy saw in TLS. A rule without heads fails, so new rules are data in both places. */
#include "config.h"

#include "policy_kit.h"

#include "../../service/core/policy_priv.h"

#include <dirent.h>

/* --- the shipped catalogue ------------------------------------------------------------------------------------------- */

/* The first byte behind the empty line; the end if there is none. */
static const char *body_start(const char *bytes, size_t n)
{
    const char *blank = memmem(bytes, n, "\n\r\n", 3);
    return blank ? blank + 3 : bytes + n;
}

static struct sp_policy_input input_of(const struct sp_message *msg, const char *bytes, size_t n)
{
    const char *body = body_start(bytes, n);
    bool is_response = msg->kind == SP_MESSAGE_RESPONSE;
    const struct sp_field *sni = sp_message_field(msg, SP_STR("X-SNI"));
    return (struct sp_policy_input){
        .stage = stage_of(msg),
        .sni = sni ? sni->value : SP_STR(""),
        .request = is_response ? NULL : msg,
        .response = is_response ? msg : NULL,
        .body = { body, (size_t) (bytes + n - body) },
        .is_body_known = true,
    };
}

/* Whether this rule matches, whatever other rules say. */
static bool rule_matches(const struct sp_compiled *rule, const struct sp_policy_input *in)
{
    struct sp_subject subject = { .in = in, .request = in->request, .head = in->response ? in->response : in->request };
    return rule->rule.stage == in->stage && sp_rule_match(rule, &subject) == SP_MATCH_YES;
}

static void must_match(const struct sp_policy *policy, const struct sp_compiled *rule, const char *what, const char *bytes, size_t n)
{
    struct sp_head *head = NULL;
    enum sp_message_kind kind = rule->rule.stage == SP_STAGE_RESPONSE ? SP_MESSAGE_RESPONSE : SP_MESSAGE_REQUEST;
    ck_assert_msg(sp_head_parse(bytes, n, kind, &head) == SP_OK, "%s: not a head", what);
    struct sp_policy_input in = input_of(sp_head_message(head), bytes, n);
    ck_assert_msg(rule_matches(rule, &in), "%s: %s does not match\n%.400s", what, rule->id, bytes);
    struct sp_policy_result result;
    sp_policy_decide(policy, &in, &result);
    ck_assert_msg(result.action >= rule->rule.action, "%s: decided %s", what, sp_action_name(result.action));
    sp_head_free(&head);
}

static void must_miss(const struct sp_compiled *rule, const char *what, const char *bytes, size_t n)
{
    struct sp_head *head = NULL;
    enum sp_message_kind kind = strncmp(bytes, "HTTP/", 5) == 0 ? SP_MESSAGE_RESPONSE : SP_MESSAGE_REQUEST;
    ck_assert_msg(sp_head_parse(bytes, n, kind, &head) == SP_OK, "%s: not a head", what);
    struct sp_policy_input in = input_of(sp_head_message(head), bytes, n);
    ck_assert_msg(!rule_matches(rule, &in), "%s: %s matches", what, rule->id);
    sp_head_free(&head);
}

/* Ways to write the same fields. Each gets one field line without its end ("Name: value", folds inside) and writes it anew. */
typedef void (*rewrite_fn)(FILE *out, const char *name, int name_n, const char *rest, int rest_n);

static void rewrite_lower(FILE *out, const char *name, int name_n, const char *rest, int rest_n)
{
    for (int i = 0; i < name_n; i++)
        fputc(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i], out);
    fprintf(out, ":%.*s\r\n", rest_n, rest);
}

static void rewrite_upper(FILE *out, const char *name, int name_n, const char *rest, int rest_n)
{
    for (int i = 0; i < name_n; i++)
        fputc(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 32 : name[i], out);
    fprintf(out, ":%.*s\r\n", rest_n, rest);
}

static void rewrite_blank_before_colon(FILE *out, const char *name, int name_n, const char *rest, int rest_n)
{
    fprintf(out, "%.*s \t:%.*s\r\n", name_n, name, rest_n, rest);
}

static void rewrite_fold(FILE *out, const char *name, int name_n, const char *rest, int rest_n)
{
    fprintf(out, "%.*s:\r\n \r\n\t %.*s\r\n \r\n", name_n, name, rest_n, rest);
}

static void rewrite_fold_before_colon(FILE *out, const char *name, int name_n, const char *rest, int rest_n)
{
    fprintf(out, "%.*s\r\n :%.*s\r\n", name_n, name, rest_n, rest);
}

static void rewrite_line_feeds(FILE *out, const char *name, int name_n, const char *rest, int rest_n)
{
    fprintf(out, "%.*s:%.*s\n", name_n, name, rest_n, rest);
}

static void rewrite_nul_around(FILE *out, const char *name, int name_n, const char *rest, int rest_n)
{
    fprintf(out, "%.*s", name_n, name);
    fputc('\0', out);
    fputc(':', out);
    fputc('\0', out);
    fprintf(out, "%.*s", rest_n, rest);
    fputc('\0', out);
    fputs("\r\n", out);
}

static void rewrite_double(FILE *out, const char *name, int name_n, const char *rest, int rest_n)
{
    fprintf(out, "%.*s: something else\r\n%.*s:%.*s\r\n%.*s:\r\n", name_n, name, name_n, name, rest_n, rest, name_n, name);
}

static void rewrite_crowd(FILE *out, const char *name, int name_n, const char *rest, int rest_n)
{
    for (int i = 0; i < 100; i++)
        fprintf(out, "X-Crowd-%d: %d\r\n", i, i);
    fprintf(out, "%.*s:%.*s\r\n", name_n, name, rest_n, rest);
}

static void rewrite_huge_neighbour(FILE *out, const char *name, int name_n, const char *rest, int rest_n)
{
    fprintf(out, "X-Huge: %065536d\r\n%.*s:%.*s\r\n", 0, name_n, name, rest_n, rest);
}

static const struct {
    const char *name;
    rewrite_fn write;
} rewrites[] = {
    { "lower case", rewrite_lower },
    { "upper case", rewrite_upper },
    { "blank before the colon", rewrite_blank_before_colon },
    { "folded value", rewrite_fold },
    { "folded before the colon", rewrite_fold_before_colon },
    { "bare line feeds", rewrite_line_feeds },
    { "NUL around", rewrite_nul_around },
    { "among duplicates", rewrite_double },
    { "in a crowd", rewrite_crowd },
    { "beside 64 KiB", rewrite_huge_neighbour },
};

/* The head with each field rewritten, and the body as it is. The files have CR LF line ends. */
static char *rewrite_head(const char *bytes, size_t n, rewrite_fn write, size_t *n_out)
{
    char *result = NULL;
    FILE *out = open_memstream(&result, n_out);
    const char *end = bytes + n;
    const char *line = strstr(bytes, "\r\n") + 2;
    fwrite(bytes, 1, (size_t) (line - bytes), out);
    while (line < end && *line != '\r') {
        const char *eol = line;
        do
            eol = memmem(eol + 1, (size_t) (end - eol - 1), "\r\n", 2);
        while (eol && (eol[2] == ' ' || eol[2] == '\t'));
        ck_assert_ptr_nonnull(eol);
        const char *colon = memchr(line, ':', (size_t) (eol - line));
        const char *rest = colon ? colon + 1 : eol;
        write(out, line, (int) ((colon ? colon : eol) - line), rest, (int) (eol - rest));
        line = eol + 2;
    }
    fwrite(line, 1, (size_t) (end - line), out);
    fclose(out);
    return result;
}

/* Each way of writing it must still match. */
static void match_rewritten(const struct sp_policy *policy, const struct sp_compiled *rule, const char *path, const char *bytes, size_t n)
{
    for (size_t i = 0; i < sizeof(rewrites) / sizeof(rewrites[0]); i++) {
        char what[1200];
        size_t rewritten_n = 0;
        char *rewritten = rewrite_head(bytes, n, rewrites[i].write, &rewritten_n);
        snprintf(what, sizeof(what), "%s, %s", path, rewrites[i].name);
        must_match(policy, rule, what, rewritten, rewritten_n);
        free(rewritten);
    }
}

/* Origin form and absolute form of one target are the same to a rule. */
static void match_other_form(const struct sp_policy *policy, const struct sp_compiled *rule, const char *path, const char *bytes, size_t n)
{
    const char *target = strchr(bytes, ' ') + 1;
    if (rule->rule.stage != SP_STAGE_REQUEST || *target != '/')
        return;
    char *other = malloc(n + 64);
    int used = sprintf(other, "%.*sHtTp://user:pw@h.example:8080", (int) (target - bytes), bytes);
    memcpy(other + used, target, n - (size_t) (target - bytes));
    must_match(policy, rule, path, other, (size_t) used + n - (size_t) (target - bytes));
    free(other);
}

/* Cut anywhere, or with a byte changed: an answer or a refusal, nothing else. Every value of every byte would take too long with
 * some hundred heads; they take turns. */
static void abuse(const struct sp_policy *policy, const char *bytes, size_t n, enum sp_message_kind kind)
{
    static const char values[] = { '\0', ' ', '\t', '\r', '\n', ':', '/', '@', '[', ']', '.', '0', 'A', '\x7f', '\x80', '\xff' };
    for (size_t at = 0; at < n; at++) {
        for (int is_cut = 0; is_cut <= 1; is_cut++) {
            size_t size = is_cut ? at : n;
            char *exact = malloc(size > 0 ? size : 1);
            memcpy(exact, bytes, size);
            if (!is_cut)
                exact[at] = values[(at + n) % sizeof(values)];
            struct sp_head *head = NULL;
            if (sp_head_parse(exact, size, kind, &head) == SP_OK)
                (void) decide(policy, sp_head_message(head));
            sp_head_free(&head);
            free(exact);
        }
    }
}

struct counts {
    int matches;
    int misses;
};

static void check_head_file(
    const struct sp_policy *policy, const struct sp_compiled *rule, const char *dir, const char *name, struct counts *counts)
{
    char path[1100];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    size_t n;
    char *bytes = read_whole(path, &n);
    if (strncmp(name, "match-", 6) == 0) {
        must_match(policy, rule, path, bytes, n);
        match_rewritten(policy, rule, path, bytes, n);
        match_other_form(policy, rule, path, bytes, n);
        size_t head_n = (size_t) (body_start(bytes, n) - bytes);
        abuse(policy, bytes, head_n, rule->rule.stage == SP_STAGE_RESPONSE ? SP_MESSAGE_RESPONSE : SP_MESSAGE_REQUEST);
        counts->matches++;
    } else if (strncmp(name, "miss-", 5) == 0) {
        must_miss(rule, path, bytes, n);
        counts->misses++;
    } else {
        ck_abort_msg("%s: neither match- nor miss-", path);
    }
    free(bytes);
}

static void check_rule_files(const struct sp_policy *policy, const struct sp_compiled *rule)
{
    char below[200], path[512];
    snprintf(below, sizeof(below), "tests/data/catalogue/%s", rule->id);
    DIR *dir = opendir(data_dir(below, path));
    ck_assert_msg(dir != NULL, "rule %s has no heads in %s", rule->id, path);
    struct counts counts = { 0, 0 };
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (entry->d_name[0] != '.')
            check_head_file(policy, rule, path, entry->d_name, &counts);
    closedir(dir);
    ck_assert_msg(counts.matches > 0 && counts.misses > 0, "rule %s needs a match-*.head and a miss-*.head", rule->id);
}

START_TEST(test_shipped_rules)
{
    struct sp_policy *policy = load_shipped(NULL);
    ck_assert_uint_gt(policy->n_rules, 0);
    for (size_t i = 0; i < policy->n_rules; i++)
        check_rule_files(policy, &policy->rules[i]);
    sp_policy_free(&policy);
}
END_TEST

/* No folder of heads whose rule is gone. */
START_TEST(test_no_stray_heads)
{
    struct sp_policy *policy = load_shipped(NULL);
    char path[512];
    DIR *dir = opendir(data_dir("tests/data/catalogue", path));
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        bool is_rule = entry->d_name[0] == '.';
        for (size_t i = 0; i < policy->n_rules && !is_rule; i++)
            is_rule = strcmp(policy->rules[i].id, entry->d_name) == 0;
        ck_assert_msg(is_rule, "tests/data/catalogue/%s: no such rule", entry->d_name);
    }
    closedir(dir);
    sp_policy_free(&policy);
}
END_TEST

/* SSTP is refused wherever it shows, and by which rule. */
static const struct {
    const char *head;
    const char *rule; /* "" for none */
} sstp_cases[] = {
    { "CONNECT h:443 HTTP/1.1\r\nSSTPVERSION: 1.0\r\n\r\n", "sstp-a-version" },
    { "CONNECT h:80 HTTP/1.1\r\nsstpversion : 9\r\n\r\n", "sstp-a-version" },
    { "connect h:443 HTTP/1.1\r\nSSTPVERSION: 1.0\r\n\r\n", "sstp-a-version" },
    { "CONNECT h:443 HTTP/1.1\r\nSSTP_VERSION: 1.0\r\n\r\n", "sstp-a-version-legacy" },
    { "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", "" },
    { "SSTP_DUPLEX_POST /x HTTP/1.1\r\n\r\n", "sstp-b-method" },
    { "POST https://h/sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\r\n\r\n", "sstp-b-path" },
    { "GET /x HTTP/1.1\r\nSstpCorrelationId: {1}\r\n\r\n", "sstp-b-corr" },
    { "POST /x HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n", "sstp-b-length" },
    { "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n", "sstp-b-resp" },
    { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", "" },
    { "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "" },
};

START_TEST(test_sstp)
{
    struct sp_policy *policy = load_shipped(NULL);
    struct sp_policy_result result = decide_bytes(policy, sstp_cases[_i].head);
    ck_assert_str_eq(result.rule ? result.rule->id : "", sstp_cases[_i].rule);
    ck_assert_int_eq(result.action, result.rule ? SP_ACTION_BLOCK : SP_ACTION_ALLOW);
    sp_policy_free(&policy);
}
END_TEST

/* A value of 64 KiB and more is only a value. */
START_TEST(test_huge_value)
{
    struct sp_policy *policy = load_shipped(NULL);
    for (size_t size = 1024; size <= HEAD_MAX; size *= 4) {
        char *bytes = malloc(size + 100);
        size_t n = (size_t) sprintf(bytes, "CONNECT h:443 HTTP/1.1\r\nSSTPVERSION: ");
        memset(bytes + n, 'A', size);
        memcpy(bytes + n + size, "\r\n\r\n", 5);
        struct sp_policy_result result = decide_bytes(policy, bytes);
        ck_assert_int_eq(result.action, SP_ACTION_BLOCK);
        free(bytes);
    }
    sp_policy_free(&policy);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("catalogue");
    add_table(tc, test_sstp, sstp_cases);
    tcase_add_test(tc, test_shipped_rules);
    tcase_add_test(tc, test_no_stray_heads);
    tcase_add_test(tc, test_huge_value);
    return unit_run("catalogue", tc);
}
