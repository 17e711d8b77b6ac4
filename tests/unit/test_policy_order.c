/* Which rule decides: random rules, exceptions and heads against a model that tests everything in turn, so that the index can only
 * make the same decisions sooner; and whether the body is asked for when it matters. */
#include "config.h"

#include "policy_kit.h"

#include <stdarg.h>
#include <strings.h>

/* --- order, against a model ------------------------------------------------------------------------------------------ */

#define MODEL_RULES 150
#define MODEL_HEADS 3000
#define MODEL_NAMES 24
#define MODEL_OWN 20 /* of the rules: a site's own, the first */
#define MODEL_EXCEPTIONS 12
#define MODEL_BODIES 8 /* sets of three letters */

static unsigned next_random(unsigned *state, unsigned below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

/* What a rule of the model asks. What patterns look for are letters, so that strchr can be the judge; a head spells each as "tok-a.",
 * and rules ask for it in several ways, with and without bytes by which they can be found. */
struct model_rule {
    int method; /* -1: any */
    int path;   /* the letter that must be in the path, or -1 */
    int host;   /* of the target, or -1 */
    int form;   /* in which patterns are written */
    int names[2];
    int kinds[2]; /* 0 unused, 1 present, 2 absent, 3 value holds letter, 4 a name starts with */
    int letters[2];
    int body; /* the letter that must be in the body, or -1 */
    enum sp_action action;
};

/* -1: not said */
struct model_exception {
    int host;
    int client;
    int user;
    int rules; /* of the rules, those whose number begins with this digit */
};

struct model_head {
    int method;
    char path[8];
    int n_fields;
    int names[12];
    char values[12][4];
    int host;
    int client;
    int user;
    bool is_below; /* of host */
};

/* What the model says: the rule, or -1; and the first rule that was passed over, with its exception. */
struct model_answer {
    int rule;
    enum sp_action action;
    int excepted;
    int exception;
};

struct model {
    struct model_rule rules[MODEL_RULES];
    struct model_exception exceptions[MODEL_EXCEPTIONS];
    int n_exceptions;
};

static const char *const model_clients[] = { "10.1.1.1", "192.0.2.9", "2001:db8::5", "" };
static const char *const model_networks[] = { "10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32" };
static const char *const model_users[] = { "alice", "bob", "" };

static const char *const model_methods[] = { "GET", "POST", "PUT" };

/* Names that share beginnings, lengths and end letters; some that almost every head has. */
static void model_name(int i, char out[16])
{
    static const char *const stems[] = { "X-Alpha", "X-Alphb", "Accept", "Cookie", "H", "Host-A", "host-B", "X-Alpha-Long" };
    snprintf(out, 16, i >= 8 ? "%s%d" : "%s", stems[i % 8], i / 8);
}

static bool starts_with_name(const char *name, const char *prefix)
{
    return strncasecmp(name, prefix, strlen(prefix)) == 0;
}

static bool model_field(const struct model_rule *rule, int c, const struct model_head *head)
{
    bool is_present = false, has_value = false, has_prefix = false;
    char wanted[16], name[16];
    model_name(rule->names[c], wanted);
    for (int i = 0; i < head->n_fields; i++) {
        model_name(head->names[i], name);
        has_prefix |= starts_with_name(name, wanted);
        if (head->names[i] != rule->names[c])
            continue;
        is_present = true;
        has_value |= strchr(head->values[i], 'a' + rule->letters[c]) != NULL;
    }
    bool truth[] = { true, is_present, !is_present, has_value, has_prefix };
    return truth[rule->kinds[c]];
}

static bool model_matches(const struct model_rule *rule, const struct model_head *head)
{
    if (rule->method >= 0 && rule->method != head->method)
        return false;
    if (rule->path >= 0 && !strchr(head->path, 'a' + rule->path))
        return false;
    if (rule->host >= 0 && rule->host != head->host)
        return false;
    return model_field(rule, 0, head) && model_field(rule, 1, head);
}

static bool begins_with_digit(int number, int digit)
{
    while (number >= 10)
        number /= 10;
    return number == digit;
}

/* The first exception that covers the rule; -1 for none. */
static int model_cover(const struct model *model, int rule, const struct model_head *head)
{
    for (int e = 0; e < model->n_exceptions; e++) {
        const struct model_exception *exception = &model->exceptions[e];
        bool holds = exception->host < 0 || exception->host == head->host;
        holds = holds && (exception->client < 0 || exception->client == head->client);
        holds = holds && (exception->user < 0 || exception->user == head->user);
        if (holds && (exception->rules < 0 || begins_with_digit(rule, exception->rules)))
            return e;
    }
    return -1;
}

/* bodies: the letters in the body, as a bit set; -1: not known, so no rule on it matches. */
static struct model_answer model_decide(const struct model *model, const struct model_head *head, int bodies)
{
    struct model_answer answer = { -1, SP_ACTION_ALLOW, -1, -1 };
    for (int i = 0; i < MODEL_RULES; i++) {
        const struct model_rule *rule = &model->rules[i];
        bool is_off = rule->action == SP_ACTION_ALLOW && i >= MODEL_OWN;
        if (is_off || (rule->action == SP_ACTION_REPORT && answer.rule >= 0) || !model_matches(rule, head))
            continue;
        if (rule->body >= 0 && (bodies < 0 || (bodies >> rule->body & 1) == 0))
            continue;
        int cover = rule->action == SP_ACTION_ALLOW ? -1 : model_cover(model, i, head);
        if (cover >= 0) {
            if (answer.excepted < 0) {
                answer.excepted = i;
                answer.exception = cover;
            }
            continue;
        }
        if (rule->action != SP_ACTION_ALLOW || answer.rule < 0) {
            answer.rule = i;
            answer.action = rule->action;
        }
        if (rule->action != SP_ACTION_REPORT)
            break;
    }
    return answer;
}

/* Whether some body changes what is done, or what is reported. */
static bool model_wants(const struct model *model, const struct model_head *head, const struct model_answer *without)
{
    for (int bodies = 0; bodies < MODEL_BODIES; bodies++) {
        struct model_answer with = model_decide(model, head, bodies);
        if (with.action != without->action || (with.rule != without->rule && with.action == SP_ACTION_REPORT))
            return true;
    }
    return false;
}

static void append(char *text, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void append(char *text, size_t size, const char *fmt, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text + used, size - used, fmt, args);
    va_end(args);
    ck_assert(n >= 0 && (size_t) n < size - used);
}

static void model_rule_new(struct model_rule *rule, unsigned *seed)
{
    rule->method = next_random(seed, 3) == 0 ? (int) next_random(seed, 3) : -1;
    rule->path = next_random(seed, 2) == 0 ? (int) next_random(seed, 6) : -1;
    rule->host = next_random(seed, 6) == 0 ? (int) next_random(seed, 4) : -1;
    rule->form = (int) next_random(seed, 64);
    rule->action = (enum sp_action) next_random(seed, 16) / 6;
    rule->body = next_random(seed, 8) == 0 ? (int) next_random(seed, 3) : -1;
    for (int c = 0; c < 2; c++) {
        rule->names[c] = (int) next_random(seed, MODEL_NAMES);
        rule->kinds[c] = (int) next_random(seed, 5);
        rule->letters[c] = (int) next_random(seed, 6);
    }
    if (rule->method < 0 && rule->path < 0 && rule->host < 0 && rule->kinds[0] == 0 && rule->kinds[1] == 0)
        rule->kinds[0] = 1;
}

/* The pattern for a letter. */
static void model_pattern(int form, int letter, char out[32])
{
    static const char *const forms[] = { "@\\\\.", "tok-@", "(?i)TOK-@", "t(o|u)k-@", "-@\\\\.(tok|$|\\\\s)", "tok?-+@[.]", "no-@|tok-@" };
    snprintf(out, 32, "%s", forms[form % 7]);
    for (char *p = out; *p; p++)
        if (*p == '@')
            *p = (char) ('a' + letter);
}

static void model_rule_text(const struct model_rule *rule, int i, char *text, size_t size)
{
    static const char *const actions[] = { "allow", "report", "block" };
    append(text, size,
        "%s{ id = \"r%d\"; name = \"n\"; stage = \"request\"; action = \"%s\"; evidence = \"seen\"; false_positives = \"f\"; reference = "
        "\"r\";",
        i > 0 && i != MODEL_OWN ? "," : "", i, actions[rule->action]);
    if (rule->body >= 0)
        append(text, size, " body = \"%c\";", 'a' + rule->body);
    if (rule->method >= 0)
        append(text, size, " method = \"%s\";", model_methods[rule->method]);
    char pattern[32];
    if (rule->path >= 0) {
        model_pattern(rule->form, rule->path, pattern);
        append(text, size, " path = \"%s\";", pattern);
    }
    if (rule->host >= 0)
        append(text, size, rule->form % 2 == 0 ? " host = \"(?i)h%d\\\\.example$\";" : " authority = \"(?i)h%d\\\\.EXAMPLE:80$\";",
            rule->host);
    append(text, size, " when = (");
    const char *comma = "";
    for (int c = 0; c < 2; c++) {
        char name[16];
        model_name(rule->names[c], name);
        if (rule->kinds[c] == 0)
            continue;
        append(text, size, "%s { %s = \"%s\"; ", comma, rule->kinds[c] == 4 ? "field_prefix" : "field", name);
        model_pattern(rule->form / 8, rule->letters[c], pattern);
        if (rule->kinds[c] == 3)
            append(text, size, "value = \"%s\"; }", pattern);
        else
            append(text, size, "present = %s; }", rule->kinds[c] == 2 ? "false" : "true");
        comma = ",";
    }
    append(text, size, " ); }\n");
}

static void model_exception_new(struct model_exception *exception, unsigned *seed)
{
    exception->host = next_random(seed, 2) == 0 ? (int) next_random(seed, 4) : -1;
    exception->client = next_random(seed, 3) == 0 ? (int) next_random(seed, 3) : -1;
    exception->user = next_random(seed, 3) == 0 ? (int) next_random(seed, 2) : -1;
    exception->rules = next_random(seed, 4) != 0 ? 1 + (int) next_random(seed, 9) : -1;
    if (exception->host < 0 && exception->client < 0 && exception->user < 0)
        exception->host = 0;
}

static void model_exception_text(const struct model_exception *exception, int i, char *text, size_t size)
{
    append(text, size, "%s{", i > 0 ? "," : "");
    if (exception->host >= 0)
        append(text, size, " host = \"h%d.example\";", exception->host);
    if (exception->client >= 0)
        append(text, size, " client = [ \"198.51.100.1\", \"%s\" ];", model_networks[exception->client]);
    if (exception->user >= 0)
        append(text, size, " user = \"%s\";", model_users[exception->user]);
    if (exception->rules >= 0)
        append(text, size, " rules = \"r%d*\";", exception->rules);
    append(text, size, " }\n");
}

static void model_head_new(struct model_head *head, unsigned *seed, char *bytes, size_t size)
{
    head->method = (int) next_random(seed, 3);
    head->n_fields = (int) next_random(seed, 12);
    snprintf(head->path, sizeof(head->path), "/%c%c", 'a' + (int) next_random(seed, 12), 'a' + (int) next_random(seed, 12));
    bytes[0] = '\0';
    head->host = (int) next_random(seed, 5);
    head->is_below = next_random(seed, 2) == 0;
    head->client = (int) next_random(seed, 4);
    head->user = (int) next_random(seed, 3);
    append(bytes, size, "%s http://%sh%d.Example/tok-%c.tok-%c. HTTP/1.1\r\n", model_methods[head->method], head->is_below ? "x.y." : "",
        head->host, head->path[1], head->path[2]);
    for (int i = 0; i < head->n_fields; i++) {
        char name[16];
        head->names[i] = (int) next_random(seed, MODEL_NAMES);
        model_name(head->names[i], name);
        snprintf(head->values[i], 4, "%c%c", 'a' + (int) next_random(seed, 12), 'a' + (int) next_random(seed, 12));
        for (char *p = name; *p; p++)
            if (next_random(seed, 4) == 0)
                *p = (char) (*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
        append(bytes, size, "%s: tok-%c.%stok-%c.\r\n", name, head->values[i][0], next_random(seed, 4) == 0 ? "\r\n " : "",
            head->values[i][1]);
    }
    append(bytes, size, "\r\n");
}

static struct sp_policy *model_new(struct model *model, int round, unsigned *seed)
{
    size_t size = MODEL_RULES * 500;
    char *catalogue = calloc(1, size), *site = calloc(1, size);
    append(catalogue, size, "category = \"vpn\"; rules = (");
    append(site, size, "rules = (");
    for (int i = 0; i < MODEL_RULES; i++) {
        struct model_rule *rule = &model->rules[i];
        model_rule_new(rule, seed);
        /* few rules in some rounds, so that "none" and "only reported" happen as well */
        if (round % 2 == 1 && next_random(seed, 4) != 0)
            rule->action = next_random(seed, 3) == 0 ? SP_ACTION_REPORT : SP_ACTION_ALLOW;
        if (i < MODEL_OWN && rule->action == SP_ACTION_ALLOW && round % 3 != 0)
            rule->action = SP_ACTION_REPORT;
        model_rule_text(rule, i, i < MODEL_OWN ? site : catalogue, size);
    }
    append(catalogue, size, ");");
    append(site, size, ");\nexceptions = (");
    model->n_exceptions = round % 4 == 0 ? 0 : MODEL_EXCEPTIONS;
    for (int i = 0; i < model->n_exceptions; i++) {
        model_exception_new(&model->exceptions[i], seed);
        model_exception_text(&model->exceptions[i], i, site, size);
    }
    append(site, size, ");");
    struct sp_policy *policy = policy_of_site(site, catalogue, "");
    free(catalogue);
    free(site);
    return policy;
}

static void check_answer(
    const struct sp_policy *policy, const struct model_answer *want, const struct sp_policy_result *result, const char *bytes)
{
    int got = result->rule ? atoi(result->rule->id + 1) : -1;
    ck_assert_msg(got == want->rule, "rule %d, not %d, on\n%s", got, want->rule, bytes);
    ck_assert_int_eq(result->action, want->action);
    got = result->excepted ? atoi(result->excepted->id + 1) : -1;
    ck_assert_msg(got == want->excepted, "passed over %d, not %d, on\n%s", got, want->excepted, bytes);
    ck_assert_ptr_eq(result->exception, want->exception >= 0 ? sp_policy_exception(policy, (size_t) want->exception) : NULL);
}

START_TEST(test_model)
{
    unsigned seed = 7u + (unsigned) _i;
    static struct model model;
    struct sp_policy *policy = model_new(&model, _i, &seed);
    bool has_own_allow = false;
    for (int i = 0; i < MODEL_OWN; i++)
        has_own_allow = has_own_allow || model.rules[i].action == SP_ACTION_ALLOW;
    for (int i = 0; i < MODEL_HEADS; i++) {
        struct model_head model_head;
        char bytes[1000], body[4] = "";
        model_head_new(&model_head, &seed, bytes, sizeof(bytes));
        int bodies = (int) next_random(&seed, MODEL_BODIES);
        for (int letter = 0, n = 0; letter < 3; letter++)
            if ((bodies >> letter & 1) != 0)
                body[n++] = (char) ('a' + letter);
        struct sp_head *head = parse(bytes, strlen(bytes), SP_MESSAGE_REQUEST);
        struct sp_policy_input in = head_input(sp_head_message(head));
        in.client = sp_str_from(model_clients[model_head.client]);
        in.user = sp_str_from(model_users[model_head.user]);
        in.body = sp_str_from(body);
        struct sp_policy_result result;
        struct model_answer want = model_decide(&model, &model_head, bodies);
        sp_policy_decide(policy, &in, &result);
        check_answer(policy, &want, &result, bytes);
        ck_assert(!result.wants_body);
        in.is_body_known = false;
        want = model_decide(&model, &model_head, -1);
        sp_policy_decide(policy, &in, &result);
        check_answer(policy, &want, &result, bytes);
        bool wants = model_wants(&model, &model_head, &want); /* one that may allow first makes the answer guess too much */
        ck_assert_msg(
            result.wants_body == wants || (result.wants_body && has_own_allow), "body wanted: %d on\n%s", result.wants_body, bytes);
        sp_head_free(&head);
    }
    sp_policy_free(&policy);
}
END_TEST

/* --- wherever it stands ---------------------------------------------------------------------------------------------- */

#define SHORT_BYTES_MIN 4
#define LONG_TEXT "abcdefghijklmnopqrst"
#define SHORT_TEXT "zyxwvutsrqponmlkjihg"
#define PLACES_RULES                                                                                                                       \
    RULES(RULE("path-long", "request", "path = \"" LONG_TEXT "\";", "block") ","                                                           \
        RULE("path-short", "request", "path = \"%.*s\";", "block") ","                                                                     \
        RULE("value-long", "request", "when = ( { field = \"Cookie\"; value = \"" LONG_TEXT "\"; } );", "block") ","                       \
        RULE("value-short", "request", "when = ( { field = \"Cookie\"; value = \"%.*s\"; } );", "block"))

static void check_place(const struct sp_policy *policy, const char *rule, const char *path, const char *value)
{
    char head[200];
    const int n = snprintf(head, sizeof(head), "GET /%s HTTP/1.1\r\nHost: h\r\nCookie: %s\r\n\r\n", path, value);
    struct sp_head *parsed = parse(head, (size_t) n, SP_MESSAGE_REQUEST);
    struct sp_policy_result result = decide(policy, sp_head_message(parsed));
    ck_assert_msg(result.rule && strcmp(result.rule->id, rule) == 0, "%s: %s", rule, head);
    sp_head_free(&parsed);
}

/* _i: bytes of the shorter of two texts, on which it hangs at what places of a path and of a value the index looks. */
START_TEST(test_every_place)
{
    char rules[2000], with_short[80], with_long[80];
    snprintf(rules, sizeof(rules), PLACES_RULES, _i, SHORT_TEXT, _i, SHORT_TEXT);
    struct sp_policy *policy = policy_of(rules, NULL);
    for (int before = 0; before <= 20; before++) {
        for (int behind = 0; behind <= 2; behind++) {
            snprintf(with_short, sizeof(with_short), "%.*s%.*s%.*s", before, "....................", _i, SHORT_TEXT, behind, "..");
            snprintf(with_long, sizeof(with_long), "%.*s" LONG_TEXT "%.*s", before, "....................", behind, "..");
            check_place(policy, "path-short", with_short, "c=d");
            check_place(policy, "path-long", with_long, "c=d");
            check_place(policy, "value-short", "", with_short);
            check_place(policy, "value-long", "", with_long);
        }
    }
    sp_policy_free(&policy);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("policy_order");
    tcase_add_loop_test(tc, test_model, 0, 12);
    tcase_add_loop_test(tc, test_every_place, SHORT_BYTES_MIN, (int) strlen(LONG_TEXT) + 1);
    return unit_run("policy_order", tc);
}
