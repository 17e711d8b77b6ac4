/* What a site says of rules: its own, lists of domains, other actions, exceptions. Each with its truth table and its mistakes. */
#include "config.h"

#include "policy_kit.h"

#include "../../service/core/policy_priv.h"

#define CATALOGUE                                                                                                                          \
    RULES(RULE("cat-put", "request", "method = \"PUT\";", "block") "," RULE("cat-x", "request",                                            \
        "when = ( { field = \"X\"; present = "                                                                                             \
        "true; } );",                                                                                                                      \
        "report") "," RULE("cat-connect", "connect", "authority = \":22$\";", "block"))
#define LIST_TEXT "listed.example\n203.0.113.7\n"
#define OWN(id, action, conditions) "rules = ( { id = \"" id "\"; stage = \"request\"; action = \"" action "\"; " conditions " } );"
#define LISTS(action) "lists = ( { name = \"l\"; file = \"LIST\"; category = \"anonymous-proxy\"; action = \"" action "\"; } );\n"

/* --- order ----------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *site;
    const char *head;
    const char *rule; /* "" for none */
    enum sp_action action;
    const char *excepted; /* the rule that was passed over; "" for none */
} order_cases[] = {
    /* the catalogue alone */
    { "", "PUT http://h/ HTTP/1.1\r\n\r\n", "cat-put", SP_ACTION_BLOCK, "" },
    { "", "GET http://h/ HTTP/1.1\r\nX: 1\r\n\r\n", "cat-x", SP_ACTION_REPORT, "" },
    /* a site's own rule comes first */
    { "rules = ( { id = \"own\"; stage = \"request\"; method = \"PUT\"; action = \"block\"; } );", "PUT http://h/ HTTP/1.1\r\n\r\n", "own",
        SP_ACTION_BLOCK, "" },
    { "rules = ( { id = \"own\"; stage = \"request\"; method = \"PUT\"; action = \"report\"; } );", "PUT http://h/ HTTP/1.1\r\n\r\n",
        "cat-put", SP_ACTION_BLOCK, "" },
    { "rules = ( { id = \"own\"; stage = \"request\"; method = \"GET\"; action = \"report\"; } );", "GET http://h/ HTTP/1.1\r\nX:1\r\n\r\n",
        "own", SP_ACTION_REPORT, "" },
    /* one that allows ends the search, in its place */
    { "rules = ( { id = \"own\"; stage = \"request\"; method = \"PUT\"; action = \"allow\"; } );", "PUT http://h/ HTTP/1.1\r\n\r\n", "own",
        SP_ACTION_ALLOW, "" },
    { "rules = ( { id = \"own\"; stage = \"connect\"; method = \"CONNECT\"; action = \"allow\"; } );", "PUT http://h/ HTTP/1.1\r\n\r\n",
        "cat-put", SP_ACTION_BLOCK, "" },
    { "rules = ( { id = \"first\"; stage = \"request\"; method = \"PUT\"; action = \"block\"; },"
      "{ id = \"own\"; stage = \"request\"; method = \"PUT\"; action = \"allow\"; } );",
        "PUT http://h/ HTTP/1.1\r\n\r\n", "first", SP_ACTION_BLOCK, "" },
    { "rules = ( { id = \"first\"; stage = \"request\"; method = \"PUT\"; action = \"report\"; },"
      "{ id = \"own\"; stage = \"request\"; method = \"PUT\"; action = \"allow\"; } );",
        "PUT http://h/ HTTP/1.1\r\n\r\n", "first", SP_ACTION_REPORT, "" },
    /* lists: after own rules, before the catalogue; for CONNECT and requests */
    { LISTS("block"), "PUT http://www.Listed.example./ HTTP/1.1\r\n\r\n", "list:l", SP_ACTION_BLOCK, "" },
    { LISTS("block"), "CONNECT listed.example:443 HTTP/1.1\r\n\r\n", "list:l", SP_ACTION_BLOCK, "" },
    { LISTS("block"), "GET / HTTP/1.1\r\nHost: listed.example:8080\r\n\r\n", "list:l", SP_ACTION_BLOCK, "" },
    { LISTS("block"), "GET http://u:p@listed.example/ HTTP/1.1\r\n\r\n", "list:l", SP_ACTION_BLOCK, "" },
    { LISTS("block"), "GET http://[::ffff:203.0.113.7]/ HTTP/1.1\r\n\r\n", "list:l", SP_ACTION_BLOCK, "" },
    { LISTS("block"), "CONNECT 0xcb007107:443 HTTP/1.1\r\n\r\n", "list:l", SP_ACTION_BLOCK, "" },
    { LISTS("block"), "GET http://unlisted.example/ HTTP/1.1\r\n\r\n", "", SP_ACTION_ALLOW, "" },
    { LISTS("block"), "HTTP/1.1 200 OK\r\n\r\n", "", SP_ACTION_ALLOW, "" },
    { LISTS("report"), "PUT http://listed.example/ HTTP/1.1\r\n\r\n", "cat-put", SP_ACTION_BLOCK, "" },
    { LISTS("report"), "GET http://listed.example/ HTTP/1.1\r\nX: 1\r\n\r\n", "list:l", SP_ACTION_REPORT, "" },
    { LISTS("allow"), "PUT http://listed.example/ HTTP/1.1\r\n\r\n", "list:l", SP_ACTION_ALLOW, "" },
    { LISTS("block") "rules = ( { id = \"own\"; stage = \"request\"; host = \"^listed\"; action = \"allow\"; } );",
        "PUT http://listed.example/ HTTP/1.1\r\n\r\n", "own", SP_ACTION_ALLOW, "" },
    /* an exception passes rules over; the next one decides */
    { "exceptions = ( { host = \"h\"; } );", "PUT http://h/ HTTP/1.1\r\n\r\n", "", SP_ACTION_ALLOW, "cat-put" },
    { "exceptions = ( { host = \"h\"; rules = \"cat-p*\"; } );", "PUT http://h/ HTTP/1.1\r\nX: 1\r\n\r\n", "cat-x", SP_ACTION_REPORT,
        "cat-put" },
    { "exceptions = ( { host = \"h\"; rules = \"cat-x\"; } );", "PUT http://h/ HTTP/1.1\r\n\r\n", "cat-put", SP_ACTION_BLOCK, "" },
    { LISTS("block") "exceptions = ( { host = \"www.listed.example\"; rules = \"list:*\"; } );",
        "GET http://www.listed.example/ HTTP/1.1\r\n\r\n", "", SP_ACTION_ALLOW, "list:l" },
    { LISTS("block") "exceptions = ( { host = \"www.listed.example\"; rules = \"list:*\"; } );",
        "PUT http://www.listed.example/ HTTP/1.1\r\n\r\n", "cat-put", SP_ACTION_BLOCK, "list:l" },
    { LISTS("block") "exceptions = ( { host = \"www.listed.example\"; rules = \"list:*\"; } );",
        "GET http://listed.example/ HTTP/1.1\r\n\r\n", "list:l", SP_ACTION_BLOCK, "" },
    /* ... of one's own too, but not one that allows */
    { "rules = ( { id = \"own\"; stage = \"request\"; method = \"PUT\"; action = \"block\"; } ); exceptions = ( { host = \"h\"; rules = "
      "\"own\"; } );",
        "PUT http://h/ HTTP/1.1\r\n\r\n", "cat-put", SP_ACTION_BLOCK, "own" },
    { "rules = ( { id = \"own\"; stage = \"request\"; method = \"PUT\"; action = \"allow\"; } ); exceptions = ( { host = \"h\"; rules = "
      "\"own\"; } );",
        "PUT http://h/ HTTP/1.1\r\n\r\n", "own", SP_ACTION_ALLOW, "" },
};

START_TEST(test_order)
{
    struct sp_policy *policy = policy_of_site(order_cases[_i].site, CATALOGUE, LIST_TEXT);
    struct sp_policy_result result = ask(policy, order_cases[_i].head, &(struct asker){ "", "", "" });
    ck_assert_str_eq(result.rule ? result.rule->id : "", order_cases[_i].rule);
    ck_assert_int_eq(result.action, order_cases[_i].action);
    ck_assert_str_eq(result.excepted ? result.excepted->id : "", order_cases[_i].excepted);
    ck_assert_int_eq(result.exception != NULL, result.excepted != NULL);
    ck_assert(!result.wants_body && !result.is_limited);
    sp_policy_free(&policy);
}
END_TEST

/* --- exceptions ------------------------------------------------------------------------------------------------------ */

#define PUT(host) "PUT http://" host "/ HTTP/1.1\r\n\r\n"

static const struct {
    const char *exception;
    const char *head;
    struct asker asker;
    bool holds;
} exception_cases[] = {
    /* host: the name and all below it */
    { "host = \"p.example\";", PUT("p.example"), { "", "", "" }, true },
    { "host = \"p.example\";", PUT("vpn.P.example."), { "", "", "" }, true },
    { "host = \"p.example\";", PUT("p.example:8443"), { "", "", "" }, true },
    { "host = \"p.example\";", PUT("user@p.example"), { "", "", "" }, true },
    { "host = \"p.example\";", "PUT / HTTP/1.1\r\nHost: p.example\r\n\r\n", { "", "", "" }, true },
    { "host = \"p.example\";", "PUT http://other.example/ HTTP/1.1\r\nHost: p.example\r\n\r\n", { "", "", "" }, false },
    { "host = \"p.example\";", PUT("p.example@other.example"), { "", "", "" }, false },
    { "host = \"p.example\";", PUT("p.example.evil.example"), { "", "", "" }, false },
    { "host = \"p.example\";", PUT("xp.example"), { "", "", "" }, false },
    { "host = \"p.example\";", PUT("example"), { "", "", "" }, false },
    { "host = \"p.example\";", "PUT /p.example HTTP/1.1\r\n\r\n", { "", "", "" }, false },
    { "host = \"*.P.example.\";", PUT("p.example"), { "", "", "" }, true },
    { "host = \"intranet\";", PUT("intranet"), { "", "", "" }, true },
    { "host = ( \"a.example\", \"b.example\" );", PUT("b.example"), { "", "", "" }, true },
    { "host = ( \"a.example\", \"b.example\" );", PUT("c.example"), { "", "", "" }, false },
    { "host = \"192.0.2.1\";", PUT("192.0.2.1"), { "", "", "" }, true },
    { "host = \"192.0.2.1\";", PUT("[::ffff:192.0.2.1]"), { "", "", "" }, true },
    { "host = \"192.0.2.1\";", PUT("192.0.2.10"), { "", "", "" }, false },
    { "host = \"2001:db8::1\";", PUT("[2001:DB8:0::1]:80"), { "", "", "" }, true },
    { "host = \"p.example\";", "CONNECT p.example:22 HTTP/1.1\r\n\r\n", { "", "", "" }, true },
    { "host = \"p.example\";", "CONNECT o.example:22 HTTP/1.1\r\nHost: p.example:22\r\n\r\n", { "", "", "" }, false },
    /* where the TLS connection went must be covered too */
    { "host = \"p.example\";", PUT("p.example"), { "", "", "P.example." }, true },
    { "host = \"p.example\";", PUT("p.example"), { "", "", "www.p.example" }, true },
    { "host = \"p.example\";", PUT("p.example"), { "", "", "evil.example" }, false },
    { "host = \"p.example\";", PUT("evil.example"), { "", "", "p.example" }, false },
    { "host = \"p.example\"; client = \"10.0.0.0/8\";", PUT("p.example"), { "10.1.1.1", "", "evil.example" }, false },
    { "client = \"10.0.0.0/8\";", PUT("p.example"), { "10.1.1.1", "", "evil.example" }, true },
    /* client */
    { "client = \"10.0.0.0/8\";", PUT("h"), { "10.1.1.1", "", "" }, true },
    { "client = \"10.0.0.0/8\";", PUT("h"), { "::ffff:10.1.1.1", "", "" }, true },
    { "client = \"10.0.0.0/8\";", PUT("h"), { "11.1.1.1", "", "" }, false },
    { "client = \"10.0.0.0/8\";", PUT("h"), { "", "", "" }, false },
    { "client = \"10.0.0.0/8\";", PUT("h"), { "10.1.1.1.example", "", "" }, false },
    { "client = ( \"192.0.2.1\", \"2001:db8::/32\" );", PUT("h"), { "2001:db8:1::2", "", "" }, true },
    { "client = ( \"192.0.2.1\", \"2001:db8::/32\" );", PUT("h"), { "192.0.2.1", "", "" }, true },
    { "client = ( \"192.0.2.1\", \"2001:db8::/32\" );", PUT("h"), { "192.0.2.2", "", "" }, false },
    /* user */
    { "user = \"bob\";", PUT("h"), { "", "bob", "" }, true },
    { "user = \"bob\";", PUT("h"), { "", "BOB", "" }, true },
    { "user = \"bob\";", PUT("h"), { "", "bobby", "" }, false },
    { "user = \"bob\";", PUT("h"), { "", "", "" }, false },
    { "user = ( \"alice\", \"bob\" );", PUT("h"), { "", "alice", "" }, true },
    /* all that is said must hold */
    { "host = \"h\"; client = \"10.0.0.0/8\"; user = \"bob\";", PUT("h"), { "10.1.1.1", "bob", "" }, true },
    { "host = \"h\"; client = \"10.0.0.0/8\"; user = \"bob\";", PUT("x"), { "10.1.1.1", "bob", "" }, false },
    { "host = \"h\"; client = \"10.0.0.0/8\"; user = \"bob\";", PUT("h"), { "11.1.1.1", "bob", "" }, false },
    { "host = \"h\"; client = \"10.0.0.0/8\"; user = \"bob\";", PUT("h"), { "10.1.1.1", "eve", "" }, false },
    /* rules */
    { "host = \"h\"; rules = [ \"cat-put\" ];", PUT("h"), { "", "", "" }, true },
    { "host = \"h\"; rules = ( \"cat-x\", \"cat-p*t\" );", PUT("h"), { "", "", "" }, true },
    { "host = \"h\"; rules = \"*\";", PUT("h"), { "", "", "" }, true },
    { "host = \"h\"; rules = \"cat-x\";", PUT("h"), { "", "", "" }, false },
};

START_TEST(test_exception)
{
    char site[400];
    snprintf(site, sizeof(site), "exceptions = ( { host = \"unrelated.example\"; user = \"nobody\"; },\n { %s } );",
        exception_cases[_i].exception);
    struct sp_policy *policy = policy_of_site(site, CATALOGUE, LIST_TEXT);
    struct sp_policy_result result = ask(policy, exception_cases[_i].head, &exception_cases[_i].asker);
    ck_assert_msg(
        (result.action == SP_ACTION_ALLOW) == exception_cases[_i].holds, "%s: %s", exception_cases[_i].exception, exception_cases[_i].head);
    ck_assert_int_eq(result.exception != NULL, exception_cases[_i].holds);
    if (result.exception) {
        ck_assert_ptr_eq(result.exception, sp_policy_exception(policy, 1));
        ck_assert_ptr_nonnull(strstr(result.exception->origin, "/site.conf:2"));
    }
    sp_policy_free(&policy);
}
END_TEST

START_TEST(test_exception_text)
{
    struct sp_policy *policy = policy_of_site("exceptions = ( { rules = [ \"cat-*\", \"*x\" ]; user = \"bob\"; host = ( \"a.example\", "
                                              "\"b.example\" ); client = \"10.0.0.0/8\"; } );",
        CATALOGUE, LIST_TEXT);
    ck_assert_uint_eq(sp_policy_count_exceptions(policy), 1);
    ck_assert_str_eq(sp_policy_exception(policy, 0)->text, "host a.example, b.example; client 10.0.0.0/8; user bob; rules cat-*, *x");
    ck_assert_ptr_null(sp_policy_exception(policy, 1));
    sp_policy_free(&policy);
}
END_TEST

/* As many as there may be: each is found, and no other. */
START_TEST(test_many_exceptions)
{
    size_t size = (SP_POLICY_MAX_EXCEPTIONS + 1) * 80;
    char *site = calloc(1, size);
    for (int n = SP_POLICY_MAX_EXCEPTIONS; n <= SP_POLICY_MAX_EXCEPTIONS + 1; n++) {
        size_t used = (size_t) snprintf(site, size, "exceptions = (");
        for (int i = 0; i < n; i++)
            used +=
                (size_t) snprintf(site + used, size - used, "%s{ host = ( \"a%d.example\", \"b%d.example\" ); }\n", i > 0 ? "," : "", i, i);
        snprintf(site + used, size - used, ");");
        struct site files;
        struct sp_error err = { 0 };
        struct sp_policy *policy = NULL;
        new_site(&files, site, CATALOGUE, LIST_TEXT);
        enum sp_status status = load_site(&files, &err, &policy);
        drop_site(&files);
        ck_assert_int_eq(status, n <= SP_POLICY_MAX_EXCEPTIONS ? SP_OK : SP_ERR_CONF);
        for (int i = 0; policy && i < n; i++) {
            char head[100];
            snprintf(head, sizeof(head), "PUT http://x.%c%d.example/ HTTP/1.1\r\n\r\n", "ab"[i % 2], i);
            ck_assert_ptr_eq(ask(policy, head, &(struct asker){ "", "", "" }).exception, sp_policy_exception(policy, (size_t) i));
        }
        sp_policy_free(&policy);
    }
    free(site);
}
END_TEST

/* A list is asked for the server name too. */
START_TEST(test_list_and_sni)
{
    struct sp_policy *policy = policy_of_site(LISTS("block"), CATALOGUE, LIST_TEXT);
    ck_assert_int_eq(ask(policy, "GET http://h/ HTTP/1.1\r\n\r\n", &(struct asker){ "", "", "x.listed.example" }).action, SP_ACTION_BLOCK);
    ck_assert_int_eq(ask(policy, "GET http://listed.example/ HTTP/1.1\r\n\r\n", &(struct asker){ "", "", "h" }).action, SP_ACTION_BLOCK);
    ck_assert_int_eq(ask(policy, "GET http://h/ HTTP/1.1\r\n\r\n", &(struct asker){ "", "", "h" }).action, SP_ACTION_ALLOW);
    sp_policy_free(&policy);
}
END_TEST

/* --- other actions --------------------------------------------------------------------------------------------------- */

static const struct {
    const char *site;
    enum sp_action put, x, connect;
} action_cases[] = {
    { "", SP_ACTION_BLOCK, SP_ACTION_REPORT, SP_ACTION_BLOCK },
    { "rule_actions = ( { rule = \"cat-put\"; action = \"report\"; } );", SP_ACTION_REPORT, SP_ACTION_REPORT, SP_ACTION_BLOCK },
    { "rule_actions = ( { rule = \"cat-x\"; action = \"block\"; } );", SP_ACTION_BLOCK, SP_ACTION_BLOCK, SP_ACTION_BLOCK },
    { "rule_actions = ( { rule = \"*\"; action = \"allow\"; } );", SP_ACTION_ALLOW, SP_ACTION_ALLOW, SP_ACTION_ALLOW },
    { "rule_actions = ( { rule = \"cat-*t\"; action = \"allow\"; } );", SP_ACTION_ALLOW, SP_ACTION_REPORT, SP_ACTION_ALLOW },
    { "rule_actions = ( { rule = \"*\"; action = \"allow\"; }, { rule = \"cat-x\"; action = \"block\"; } );", SP_ACTION_ALLOW,
        SP_ACTION_BLOCK, SP_ACTION_ALLOW },
    { "rule_actions = ( { rule = \"cat-x\"; action = \"block\"; }, { rule = \"*\"; action = \"report\"; } );", SP_ACTION_REPORT,
        SP_ACTION_REPORT, SP_ACTION_REPORT },
    /* a site's own stay as they are */
    { "rules = ( { id = \"own\"; stage = \"request\"; method = \"PUT\"; action = \"block\"; } );"
      "rule_actions = ( { rule = \"*\"; action = \"report\"; } );",
        SP_ACTION_REPORT, SP_ACTION_REPORT, SP_ACTION_REPORT },
};

static const struct sp_rule *rule_called(const struct sp_policy *policy, const char *id)
{
    for (size_t i = 0; i < sp_policy_count(policy); i++)
        if (strcmp(sp_policy_rule(policy, i)->id, id) == 0)
            return sp_policy_rule(policy, i);
    return NULL;
}

START_TEST(test_action)
{
    /* What a rule is named for counts more than what its category may do. */
    for (int has_ceiling = 0; has_ceiling <= 1; has_ceiling++) {
        struct site files;
        struct sp_error err = { 0 };
        struct sp_policy *policy = NULL;
        new_site(&files, action_cases[_i].site, CATALOGUE, LIST_TEXT);
        struct sp_conf conf = { .path = files.conf, .catalogue = files.catalogue, .spool_dir = files.spool };
        conf.has_category_action[SP_CATEGORY_VPN] = has_ceiling;
        conf.category_action[SP_CATEGORY_VPN] = SP_ACTION_BLOCK;
        ck_assert_msg(sp_policy_new(&conf, &err, &policy) == SP_OK, "%s", err.text);
        ck_assert_int_eq(rule_called(policy, "cat-put")->action, action_cases[_i].put);
        ck_assert_int_eq(rule_called(policy, "cat-put")->own_action, SP_ACTION_BLOCK);
        ck_assert_int_eq(rule_called(policy, "cat-x")->action, action_cases[_i].x);
        ck_assert_int_eq(rule_called(policy, "cat-connect")->action, action_cases[_i].connect);
        const struct sp_rule *own = rule_called(policy, "own");
        ck_assert(!own || own->action == SP_ACTION_BLOCK);
        sp_policy_free(&policy);
        drop_site(&files);
    }
}
END_TEST

START_TEST(test_action_over_category)
{
    struct site files;
    struct sp_error err = { 0 };
    struct sp_policy *policy = NULL;
    new_site(&files, "rule_actions = ( { rule = \"cat-put\"; action = \"block\"; } );", CATALOGUE, LIST_TEXT);
    struct sp_conf conf = { .path = files.conf, .catalogue = files.catalogue, .spool_dir = files.spool };
    conf.has_category_action[SP_CATEGORY_VPN] = true;
    conf.category_action[SP_CATEGORY_VPN] = SP_ACTION_ALLOW;
    ck_assert_int_eq(sp_policy_new(&conf, &err, &policy), SP_OK);
    ck_assert_int_eq(rule_called(policy, "cat-put")->action, SP_ACTION_BLOCK);
    ck_assert_int_eq(rule_called(policy, "cat-connect")->action, SP_ACTION_ALLOW);
    sp_policy_free(&policy);
    drop_site(&files);
}
END_TEST

static bool glob_model(const char *glob, const char *name)
{
    if (*glob == '\0')
        return *name == '\0';
    if (*glob == '*')
        return glob_model(glob + 1, name) || (*name && glob_model(glob, name + 1));
    return *glob == *name && glob_model(glob + 1, name + 1);
}

/* All globs and names of up to six letters out of few. */
START_TEST(test_glob)
{
    static const char letters[] = "ab*";
    char glob[7], name[7];
    for (int g = 0; g < 4096; g++) {
        size_t n = 0;
        for (int left = g; left > 0 && n < 6; left /= 4)
            if (left % 4 < 3)
                glob[n++] = letters[left % 4];
        glob[n] = '\0';
        for (int v = 1; v < 128; v++) {
            n = 0;
            for (int left = v; left > 1; left /= 2)
                name[n++] = letters[left % 2];
            name[n] = '\0';
            ck_assert_msg(sp_glob_matches(glob, name) == glob_model(glob, name), "%s on %s", glob, name);
        }
    }
}
END_TEST

/* --- mistakes -------------------------------------------------------------------------------------------------------- */

#define OWN_RULE(rest) "\nrules = ( { id = \"own\"; stage = \"request\"; method = \"GET\"; action = \"block\";\n" rest " } );"
#define ONE_LIST(rest) "\nlists = ( { name = \"l\";\n" rest " } );"

static const struct {
    const char *site;
    const char *want;
} bad_cases[] = {
    { "\nrule_actions = ( { rule = \"cat-p\";\n action = \"block\"; } );", "site.conf:2: no rule is called \"cat-p\"" },
    { "\nrule_actions = ( { rule = \"nope-*\"; action = \"block\"; } );", "site.conf:2: no rule is called \"nope-*\"" },
    { "\nrule_actions = ( { rule = \"cat-x\";\n action = \"deny\"; } );",
        "site.conf:3: action \"deny\" is not one of allow, report, block" },
    { "\nrule_actions = ( { rule = \"cat-x\"; } );", "site.conf:2: the rule has no action" },
    { "\nrule_actions = ( { action = \"block\"; } );", "site.conf:2: no rule is named" },
    { "\nrule_actions = ( { rule = \"cat-x\"; action = \"block\";\n id = \"x\"; } );", "site.conf:3: unknown key \"id\"" },
    { "\nrule_actions = \"cat-x\";", "site.conf:2: rule_actions must be a list" },
    { "\nrule_actions = ( \"cat-x\" );", "site.conf:2: an element of rule_actions must be a group" },
    { OWN_RULE("") "rule_actions = ( { rule = \"own\"; action = \"report\"; } );", "\"own\" is your own: change its action at " },
    { OWN_RULE("id = \"own\";"), "duplicate setting name" },
    { OWN_RULE("metod = \"PUT\";"), "site.conf:3: unknown key \"metod\"" },
    { OWN_RULE("category = \"No Good\";"), "site.conf:3: category \"No Good\": lower-case letters, digits and - only" },
    { OWN_RULE("evidence = \"maybe\";"), "site.conf:3: evidence \"maybe\" is not one of seen, accepted, unverified" },
    { "\nrules = ( { id = \"cat-x\"; stage = \"request\"; method = \"GET\"; action = \"block\"; } );",
        "a.conf:1: id \"cat-x\" is taken by " },
    { "\nrules = ( { stage = \"request\"; method = \"GET\"; action = \"block\"; } );", "site.conf:2: the rule has no id" },
    { "\nrules = ( { id = \"own\"; method = \"GET\"; action = \"block\"; } );", "site.conf:2: the rule has no stage" },
    { "\nrules = ( { id = \"own\"; stage = \"request\"; method = \"GET\"; } );", "site.conf:2: the rule has no action" },
    { "\nrules = ( { id = \"own\"; stage = \"request\"; action = \"allow\"; } );", "site.conf:2: the rule has no condition" },
    { "\nrules = ( { id = \"list:l\"; stage = \"request\"; method = \"GET\"; action = \"block\"; } );",
        "site.conf:2: id \"list:l\": lower-case letters, digits and - only" },
    { "\nrules: { };", "site.conf:2: rules must be a list of rules" },
    { "\nrules = ( 5 );", "site.conf:2: a rule must be a group" },
    { ONE_LIST(""), "site.conf:2: the rule has no file" },
    { "\nlists = ( { file = \"LIST\"; } );", "site.conf:2: the rule has no name" },
    { "\nlists = ( { name = \"L\"; file = \"LIST\"; } );", "site.conf:2: name \"L\": lower-case letters, digits and - only" },
    { ONE_LIST("file = \"list.txt\";"), "site.conf:3: file must be an absolute path, beginning with /" },
    { ONE_LIST("file = \"/nonexistent/list\";"), "site.conf:2: /nonexistent/list: cannot be opened: No such file or directory" },
    { ONE_LIST("file = \"LIST\"; action = \"deny\";"), "site.conf:3: action \"deny\" is not one of allow, report, block" },
    { ONE_LIST("file = \"LIST\"; category = \"A\";"), "site.conf:3: category \"A\": lower-case letters, digits and - only" },
    { ONE_LIST("file = \"LIST\"; stage = \"request\";"), "site.conf:3: unknown key \"stage\"" },
    { "lists = ( { name = \"l\"; file = \"LIST\"; },\n { name = \"l\"; file = \"/x\"; } );", "site.conf:2: name \"l\" is taken by " },
    { "\nlists = ( \"LIST\" );", "site.conf:2: a list must be a group" },
    { "\nlists = \"LIST\";", "site.conf:2: lists must be a list of domain lists" },
    { "\nexceptions = \"h\";", "site.conf:2: exceptions must be a list" },
    { "\nexceptions = ( \"h\" );", "site.conf:2: an exception must be a group" },
    { "\nexceptions = ( { } );", "site.conf:2: an exception needs host, client or user" },
    { "\nexceptions = ( { rules = \"cat-x\"; } );", "site.conf:2: an exception needs host, client or user" },
    { "\nexceptions = ( { host = \"h\";\n hots = \"i\"; } );", "site.conf:3: unknown key \"hots\"" },
    { "\nexceptions = ( { host = \"h\";\n rules = \"cat-p\"; } );", "site.conf:3: no rule is called \"cat-p\"" },
    { "\nexceptions = ( { host = \"h\";\n rules = [ \"cat-x\",\n \"x*\" ]; } );", "site.conf:4: no rule is called \"x*\"" },
    { "\nexceptions = ( { host = \"h\"; rules = []; } );", "site.conf:2: rules is empty: leave it out to mean all" },
    { "\nexceptions = ( { host = []; } );", "site.conf:2: host is empty" },
    { "\nexceptions = ( { host = \"\"; } );", "site.conf:2: host is empty" },
    { "\nexceptions = ( { host = 5; } );", "site.conf:2: host must be a string" },
    { "\nexceptions = ( { host = \"h:443\"; } );", "site.conf:2: host: \"h:443\" is not a host" },
    { "\nexceptions = ( { host = \"https://h/\"; } );", "site.conf:2: host: \"https://h/\" is not a host" },
    { "\nexceptions = ( { host = \"*\"; } );", "site.conf:2: host: \"*\" is not a host" },
    { "\nexceptions = ( { host = \"10.0.0.0/8\"; } );", "site.conf:2: host: \"10.0.0.0/8\" is not a host" },
    { "\nexceptions = ( { client = \"10.0.0.0/40\"; } );",
        "site.conf:2: client: \"10.0.0.0/40\" has no prefix length from 0 to 32 behind the /" },
    { "\nexceptions = ( { client = []; } );", "site.conf:2: client is empty" },
    { "\nexceptions = ( { user = \"\"; } );", "site.conf:2: user is empty" },
    { "\nexceptions = ( { user = [ 1 ]; } );", "site.conf:2: user must be a string" },
    { "\nrules = ( ;", "site.conf:2: " },
};

START_TEST(test_bad)
{
    struct site files;
    struct sp_error err = { 0 };
    struct sp_policy *policy = NULL;
    new_site(&files, bad_cases[_i].site, CATALOGUE, LIST_TEXT);
    ck_assert_msg(
        load_site(&files, &err, &policy) == SP_ERR_CONF || strstr(bad_cases[_i].want, "nonexistent"), "%s: accepted", bad_cases[_i].site);
    ck_assert_ptr_null(policy);
    ck_assert_msg(strstr(err.text, bad_cases[_i].want) != NULL, "%s, not %s", err.text, bad_cases[_i].want);
    drop_site(&files);
}
END_TEST

START_TEST(test_bad_list)
{
    struct site files;
    struct sp_error err = { 0 };
    struct sp_policy *policy = NULL;
    new_site(&files, LISTS("block"), CATALOGUE, "a.example\n<html>\n");
    ck_assert_int_eq(load_site(&files, &err, &policy), SP_ERR_CONF);
    ck_assert_ptr_nonnull(strstr(err.text, "/list:2: \"<html>\" is not a domain"));
    drop_site(&files);
}
END_TEST

START_TEST(test_no_site_file)
{
    struct sp_error err = { 0 };
    struct sp_policy *policy = NULL;
    char path[] = "/nonexistent/sallyport.conf", dir[512];
    data_dir("etc/catalogue", dir);
    struct sp_conf conf = { .path = path, .catalogue = dir };
    ck_assert_int_eq(sp_policy_new(&conf, &err, &policy), SP_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, path));
}
END_TEST

/* --- what is told ---------------------------------------------------------------------------------------------------- */

START_TEST(test_own_rule_data)
{
    struct sp_policy *policy =
        policy_of_site("rules = ( { id = \"own\"; stage = \"request\"; method = \"PUT\"; action = \"allow\"; },\n"
                       "{ id = \"two\"; category = \"uploads\"; name = \"N\"; stage = \"request\"; method = \"PUT\";"
                       " action = \"block\"; reference = \"R\"; false_positives = \"F\"; evidence = \"unverified\"; } );" LISTS("report"),
            CATALOGUE, LIST_TEXT);
    const struct sp_rule *own = sp_policy_rule(policy, 0), *two = sp_policy_rule(policy, 1), *list = sp_policy_rule(policy, 2);
    ck_assert_str_eq(own->name, "own");
    ck_assert_str_eq(own->category, "site");
    ck_assert_str_eq(own->reference, "");
    ck_assert_str_eq(own->false_positives, "");
    ck_assert_ptr_nonnull(strstr(own->origin, "/site.conf:1"));
    ck_assert_str_eq(two->name, "N");
    ck_assert_str_eq(two->category, "uploads");
    ck_assert_str_eq(two->reference, "R");
    ck_assert_str_eq(two->false_positives, "F");
    ck_assert_int_eq(two->action, SP_ACTION_BLOCK);
    ck_assert_str_eq(list->id, "list:l");
    ck_assert_str_eq(list->category, "anonymous-proxy");
    ck_assert_int_eq(list->action, SP_ACTION_REPORT);
    ck_assert_uint_eq(sp_policy_count(policy), 6);
    struct sp_policy_list told;
    ck_assert(sp_policy_list(policy, 0, &told) && !sp_policy_list(policy, 1, &told));
    ck_assert_ptr_eq(told.rule, list);
    ck_assert_uint_eq(told.domains, 2);
    ck_assert(!told.is_shared && strstr(told.note, "copy of its own"));
    sp_policy_free(&policy);
}
END_TEST

static const struct {
    const char *rule;
    const char *head;
    const char *text;
} describe_cases[] = {
    { "cat-put", "PUT http://h/ HTTP/1.1\r\n\r\n", "yes: stage is request\nyes: method is PUT\n" },
    { "cat-put", "GET http://h/ HTTP/1.1\r\n\r\n", "yes: stage is request\nno: method is PUT\n" },
    { "cat-put", "CONNECT h:1 HTTP/1.1\r\n\r\n", "no: stage is request\nno: method is PUT\n" },
    { "all", "POST http://h.example/p HTTP/1.1\r\nA: 1\r\n\r\n",
        "yes: stage is request\nyes: method is POST or PUT\nno: user is bob or eve\nyes: client is in 10.0.0.0/8\nyes: field A is present\n"
        "yes: field B* is absent\nyes: host matches example$\nno: sni_differs\nno: value of field A matches ^2\nno: jwt of field A matches "
        ".\n"
        "unknown: body matches a\\nb (the body is not known)\n" },
    { "status", "HTTP/1.1 200 OK\r\n\r\n", "yes: stage is response\nyes: status is 200 or 206\n" },
};

START_TEST(test_describe)
{
    struct sp_policy *policy =
        policy_of(RULES(RULE("cat-put", "request", "method = \"PUT\";", "block") "," RULE("all", "request",
                      "method = ( \"POST\", \"PUT\" ); user = ( \"bob\", \"eve\" ); client = \"10.0.0.0/8\"; host = \"example$\"; "
                      "sni_differs = true; "
                      "body = \"a\\nb\"; when = ( { field = \"A\"; present = true; }, { field_prefix = \"B\"; present = false; }, "
                      "{ field = \"A\"; value = \"^2\"; }, { field = \"A\"; jwt = \".\"; } );",
                      "block") "," RULE("status", "response", "status = ( 200, 206 );", "block")),
            NULL);
    const char *bytes = describe_cases[_i].head;
    struct sp_head *head = parse(bytes, strlen(bytes), strncmp(bytes, "HTTP/", 5) == 0 ? SP_MESSAGE_RESPONSE : SP_MESSAGE_REQUEST);
    struct sp_policy_input in = head_input(sp_head_message(head));
    in.client = SP_STR("10.1.2.3");
    in.is_body_known = false;
    struct sp_buf text;
    sp_buf_init(&text, 4096);
    ck_assert_int_eq(sp_policy_describe(policy, rule_called(policy, describe_cases[_i].rule), &in, &text), SP_OK);
    ck_assert_str_eq(text.p, describe_cases[_i].text);
    sp_buf_fini(&text);
    sp_buf_init(&text, 10);
    ck_assert_int_eq(sp_policy_describe(policy, rule_called(policy, describe_cases[_i].rule), &in, &text), SP_ERR_LIMIT);
    sp_buf_fini(&text);
    sp_head_free(&head);
    sp_policy_free(&policy);
}
END_TEST

START_TEST(test_describe_list)
{
    struct sp_policy *policy = policy_of_site(LISTS("block"), CATALOGUE, LIST_TEXT);
    static const char bytes[] = "CONNECT x.LISTED.example:443 HTTP/1.1\r\n\r\n";
    struct sp_head *head = parse(bytes, sizeof(bytes) - 1, SP_MESSAGE_REQUEST);
    struct sp_policy_input in = head_input(sp_head_message(head));
    struct sp_buf text;
    sp_buf_init(&text, 4096);
    ck_assert_int_eq(sp_policy_describe(policy, rule_called(policy, "list:l"), &in, &text), SP_OK);
    ck_assert_ptr_eq(strstr(text.p, "yes: stage is connect or request\nyes: listed in /"), text.p);
    ck_assert_ptr_nonnull(strstr(text.p, "/list as listed.example\n"));
    sp_buf_clear(&text);
    in = (struct sp_policy_input){ .stage = SP_STAGE_RESPONSE };
    ck_assert_int_eq(sp_policy_describe(policy, rule_called(policy, "list:l"), &in, &text), SP_OK);
    ck_assert_ptr_eq(strstr(text.p, "no: stage is connect or request\nno: listed in /"), text.p);
    sp_buf_fini(&text);
    sp_head_free(&head);
    sp_policy_free(&policy);
}
END_TEST

START_TEST(test_digest)
{
    /* The first two are the same policy; every other one differs from all. */
    static const char *const sites[] = { "", "# nothing\n", "rule_actions = ( { rule = \"cat-x\"; action = \"block\"; } );",
        "exceptions = ( { host = \"h\"; } );", "exceptions = ( { host = \"i\"; } );", "exceptions = ( { user = \"h\"; } );",
        "exceptions = ( { host = \"h\"; rules = \"cat-*\"; } );", LISTS("block"), LISTS("report"),
        OWN("o", "block", "client = \"10.0.0.0/8\";"), OWN("o", "block", "client = \"10.0.0.0/9\";"),
        OWN("o", "block", "user = \"10.0.0.0/9\";") };
    enum { COUNT = sizeof(sites) / sizeof(sites[0]) };
    uint64_t digests[COUNT + 1];
    for (size_t i = 0; i <= COUNT; i++) { /* the last one: a list with another content */
        struct sp_policy *policy =
            policy_of_site(i < COUNT ? sites[i] : LISTS("block"), CATALOGUE, i < COUNT ? LIST_TEXT : "other.example\n");
        digests[i] = sp_policy_digest(policy);
        sp_policy_free(&policy);
        for (size_t k = 0; k < i; k++)
            ck_assert_msg((digests[k] == digests[i]) == (i == 1), "%zu and %zu", k, i);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("policy_site");
    tcase_set_timeout(tc, 30);
    add_table(tc, test_order, order_cases);
    add_table(tc, test_exception, exception_cases);
    add_table(tc, test_action, action_cases);
    add_table(tc, test_bad, bad_cases);
    add_table(tc, test_describe, describe_cases);
    tcase_add_test(tc, test_exception_text);
    tcase_add_test(tc, test_many_exceptions);
    tcase_add_test(tc, test_list_and_sni);
    tcase_add_test(tc, test_action_over_category);
    tcase_add_test(tc, test_glob);
    tcase_add_test(tc, test_bad_list);
    tcase_add_test(tc, test_no_site_file);
    tcase_add_test(tc, test_own_rule_data);
    tcase_add_test(tc, test_describe_list);
    tcase_add_test(tc, test_digest);
    return unit_run("policy_site", tc);
}
