/* The policy: each predicate's truth table, what a catalogue may not say, effective actions, the digest, and what happens when a
 * pattern gives up. The order of rules is test_policy_order.c, the shipped rules test_catalogue.c. */
#include "config.h"

#include "policy_kit.h"

#include <dirent.h>

/* --- predicates ------------------------------------------------------------------------------------------------------ */

#define GET(fields) "GET /p HTTP/1.1\r\n" fields "\r\n"
#define REQ "request"
#define CON "connect"
#define RES "response"

static const struct {
    const char *stage;
    const char *conditions;
    const char *head;
    bool matches;
} predicate_cases[] = {
    /* method: the whole word, without regard to case, one of a list */
    { REQ, "method = \"POST\";", "POST / HTTP/1.1\r\n\r\n", true },
    { REQ, "method = \"POST\";", "post / HTTP/1.1\r\n\r\n", true },
    { REQ, "method = \"POST\";", "POSTS / HTTP/1.1\r\n\r\n", false },
    { REQ, "method = \"POST\";", "POS / HTTP/1.1\r\n\r\n", false },
    { REQ, "method = ( \"RDG_IN_DATA\", \"RDG_OUT_DATA\" );", "RDG_OUT_DATA / HTTP/1.1\r\n\r\n", true },
    { REQ, "method = ( \"RDG_IN_DATA\", \"RDG_OUT_DATA\" );", "RDG_DATA / HTTP/1.1\r\n\r\n", false },
    /* stages do not mix */
    { CON, "method = \"CONNECT\";", "CONNECT h:1 HTTP/1.1\r\n\r\n", true },
    { CON, "when = ( { field = \"X\"; present = true; } );", "GET / HTTP/1.1\r\nX: 1\r\n\r\n", false },
    { REQ, "when = ( { field = \"X\"; present = true; } );", "CONNECT h:1 HTTP/1.1\r\nX: 1\r\n\r\n", false },
    { RES, "when = ( { field = \"X\"; present = true; } );", "GET / HTTP/1.1\r\nX: 1\r\n\r\n", false },
    { RES, "when = ( { field = \"X\"; present = true; } );", "HTTP/1.1 200 OK\r\nX: 1\r\n\r\n", true },
    /* status */
    { RES, "status = 101;", "HTTP/1.1 101 Switching\r\n\r\n", true },
    { RES, "status = 101;", "HTTP/1.1 200 OK\r\n\r\n", false },
    { RES, "status = ( 200, 206 );", "HTTP/1.1 206 Partial\r\n\r\n", true },
    { RES, "status = ( 200, 206 );", "HTTP/1.1 20 x\r\n\r\n", false },
    /* version */
    { CON, "version = \"^HTTP/1\\\\.0$\";", "CONNECT h:1 HTTP/1.0\r\n\r\n", true },
    { CON, "version = \"^HTTP/1\\\\.0$\";", "CONNECT h:1 HTTP/1.1\r\n\r\n", false },
    { CON, "version = \"^HTTP/1\\\\.0$\";", "CONNECT h:1\r\n\r\n", false },
    { RES, "version = \"^HTTP/1\\\\.0$\";", "HTTP/1.0 200 OK\r\n\r\n", true },
    /* host */
    { REQ, "host = \"^a\\\\.example$\";", "GET http://a.example:81/ HTTP/1.1\r\n\r\n", true },
    { REQ, "host = \"^a\\\\.example$\";", "GET http://u@a.example./ HTTP/1.1\r\n\r\n", true },
    { REQ, "host = \"^a\\\\.example$\";", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", true },
    { REQ, "host = \"^a\\\\.example$\";", "GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", false },
    { REQ, "host = \"^2001:db8::1$\";", "GET http://[2001:db8::1]/ HTTP/1.1\r\n\r\n", true },
    { CON, "host = \"^a\\\\.example$\";", "CONNECT a.example:443 HTTP/1.1\r\n\r\n", true },
    /* authority: one form whatever was written */
    { CON, "authority = \"^a\\\\.example:443$\";", "CONNECT a.example:443 HTTP/1.1\r\n\r\n", true },
    { CON, "authority = \"^a\\\\.example:443$\";", "CONNECT a.example HTTP/1.1\r\n\r\n", true },
    { CON, "authority = \"^a\\\\.example:443$\";", "CONNECT a.example: HTTP/1.1\r\n\r\n", true },
    { CON, "authority = \"^a\\\\.example:443$\";", "CONNECT a.example.:443 HTTP/1.1\r\n\r\n", true },
    { CON, "authority = \"^a\\\\.example:443$\";", "CONNECT a.example:00443 HTTP/1.1\r\n\r\n", true },
    { CON, "authority = \"^a\\\\.example:443$\";", "CONNECT u:p@a.example:443 HTTP/1.1\r\n\r\n", true },
    { CON, "authority = \"^a\\\\.example:443$\";", "CONNECT a.example:4430 HTTP/1.1\r\n\r\n", false },
    { CON, "authority = \"^a\\\\.example:443$\";", "CONNECT b.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", false },
    { CON, "authority = \"(?i)(^|\\\\.)vpn\\\\.example:\";", "CONNECT x.VPN.example:8443 HTTP/1.1\r\n\r\n", true },
    { CON, "authority = \"(?i)(^|\\\\.)vpn\\\\.example:\";", "CONNECT xvpn.example:8443 HTTP/1.1\r\n\r\n", false },
    { CON, "authority = \"(?i)(^|\\\\.)vpn\\\\.example:\";", "CONNECT vpn.example.org:8443 HTTP/1.1\r\n\r\n", false },
    { CON, "authority = \":(22|1194)$\";", "CONNECT h:1194 HTTP/1.1\r\n\r\n", true },
    { CON, "authority = \":(22|1194)$\";", "CONNECT h:11940 HTTP/1.1\r\n\r\n", false },
    { CON, "authority = \"^\\\\[[0-9A-Fa-f:.]+\\\\]:[0-9]+$\";", "CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n", true },
    { CON, "authority = \"^\\\\[[0-9A-Fa-f:.]+\\\\]:[0-9]+$\";", "CONNECT 2001:db8::1 HTTP/1.1\r\n\r\n", true },
    { REQ, "authority = \"^a:80$\";", "GET http://a/ HTTP/1.1\r\n\r\n", true },
    { REQ, "authority = \"^a:443$\";", "GET HTTPS://a/ HTTP/1.1\r\n\r\n", true },
    { REQ, "authority = \"^a$\";", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", true },
    /* path: path and query, as they came */
    { REQ, "path = \"^/x$\";", "GET /x HTTP/1.1\r\n\r\n", true },
    { REQ, "path = \"^/x$\";", "GET http://h/x HTTP/1.1\r\n\r\n", true },
    { REQ, "path = \"^/x$\";", "GET /x? HTTP/1.1\r\n\r\n", false },
    { REQ, "path = \"^/x$\";", "GET /%78 HTTP/1.1\r\n\r\n", false },
    { REQ, "path = \"[?&]q=1\";", "GET http://h?q=1 HTTP/1.1\r\n\r\n", true },
    { REQ, "path = \"h\";", "GET http://h/ HTTP/1.1\r\n\r\n", false },
    { CON, "path = \"^/CSCOSSLC/tunnel$\";", "CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: h\r\n\r\n", true },
    /* presence */
    { REQ, "when = ( { field = \"X-A\"; present = true; } );", GET("X-A: 1\r\n"), true },
    { REQ, "when = ( { field = \"X-A\"; present = true; } );", GET("x-a:\r\n"), true },
    { REQ, "when = ( { field = \"X-A\"; present = true; } );", GET("X-A \t: 1\r\n"), true },
    { REQ, "when = ( { field = \"X-A\"; present = true; } );", GET("X-A\r\n"), true },
    { REQ, "when = ( { field = \"X-A\"; present = true; } );", GET("X-AB: 1\r\nX: X-A\r\nXX-A: 1\r\n"), false },
    { REQ, "when = ( { field = \"X-A\"; present = true; } );", GET(""), false },
    { REQ, "when = ( { field = \"X-A\"; present = true; } );", "GET /p HTTP/1.1\nX: 1\nX-A: 1\n\n", true },
    /* absence */
    { REQ, "when = ( { field = \"X-A\"; present = false; } );", GET(""), true },
    { REQ, "when = ( { field = \"X-A\"; present = false; } );", GET("X-B: 1\r\n"), true },
    { REQ, "when = ( { field = \"X-A\"; present = false; } );", GET("x-A :\r\n"), false },
    /* value: any field of that name */
    { REQ, "when = ( { field = \"X\"; value = \"^1$\"; } );", GET("X: 1\r\n"), true },
    { REQ, "when = ( { field = \"X\"; value = \"^1$\"; } );", GET("X:1\t\r\n"), true },
    { REQ, "when = ( { field = \"X\"; value = \"^1$\"; } );", GET("X:\r\n 1\r\n"), true },
    { REQ, "when = ( { field = \"X\"; value = \"^1$\"; } );", GET("X: 0\r\nx: 1\r\n"), true },
    { REQ, "when = ( { field = \"X\"; value = \"^1$\"; } );", GET("X: 1\r\nX: 0\r\n"), true },
    { REQ, "when = ( { field = \"X\"; value = \"^1$\"; } );", GET("X: 10\r\nY: 1\r\n"), false },
    { REQ, "when = ( { field = \"X\"; value = \"^1$\"; } );", GET(""), false },
    { REQ, "when = ( { field = \"X\"; value = \"^$\"; } );", GET("X:\r\n"), true },
    { REQ, "when = ( { field = \"X\"; value = \"^$\"; } );", GET(""), false },
    /* a fold is tried as it came and as one blank */
    { REQ, "when = ( { field = \"X\"; value = \"^a b c$\"; } );", GET("X: a\r\n b \r\n\t c\r\n"), true },
    { REQ, "when = ( { field = \"X\"; value = \"^a b c$\"; } );", GET("X: a\r\n bc\r\n"), false },
    { REQ, "when = ( { field = \"X\"; value = \"^a.*c$\"; } );", GET("X: a\r\n b\r\n c\r\n"), true },
    { REQ, "when = ( { field = \"X\"; value = \"^ab$\"; } );", GET("X: a\r\n b\r\n"), false },
    /* prefix of a name */
    { REQ, "when = ( { field_prefix = \"X-CSTP-\"; present = true; } );", GET("x-cstp-Version: 1\r\n"), true },
    { REQ, "when = ( { field_prefix = \"X-CSTP-\"; present = true; } );", GET("X-CSTP: 1\r\nY-X-CSTP-V: 1\r\n"), false },
    { REQ, "when = ( { field_prefix = \"X-CSTP-\"; present = false; } );", GET("X-CSTP-A: 1\r\n"), false },
    { REQ, "when = ( { field_prefix = \"X-CSTP-\"; present = false; } );", GET("X: 1\r\n"), true },
    { REQ, "when = ( { field_prefix = \"X-CSTP-\"; value = \"^2$\"; } );", GET("X-CSTP-A: 1\r\nX-CSTP-B: 2\r\n"), true },
    { REQ, "when = ( { field_prefix = \"X-CSTP-\"; value = \"^2$\"; } );", GET("X-CSTP-A: 1\r\nX: 2\r\n"), false },
    /* bytes that a pattern needs, wherever a rule is found by them */
    { REQ, "when = ( { field = \"User-Agent\"; value = \"PAN Global\"; } );", GET("User-Agent: x PAN Globalx\r\n"), true },
    { REQ, "when = ( { field = \"User-Agent\"; value = \"PAN Global\"; } );", GET("User-Agent: x pan Global\r\n"), false },
    { REQ, "when = ( { field = \"User-Agent\"; value = \"(?i)PAN Global\"; } );", GET("user-agent: pan GLOBAL\r\n"), true },
    { REQ, "when = ( { field = \"User-Agent\"; value = \"PAN Global\"; } );", GET("User-Agent: x PAN\r\n Global\r\n"), true },
    { REQ, "when = ( { field = \"User-Agent\"; value = \"PAN Global\"; } );", GET("User-Agent: a\r\nUSER-AGENT: PAN Global\r\n"), true },
    { REQ, "when = ( { field = \"User-Agent\"; value = \"PAN Global\"; } );", GET("User-Agents: PAN Global\r\nReferer: PAN Global\r\n"), false },
    { REQ, "when = ( { field = \"Cookie\"; value = \"mark\"; } );", GET("Cookie: mark\r\n"), true },
    { REQ, "when = ( { field = \"Cookie\"; value = \"mark\"; } );", GET("Cookie: mar\r\n"), false },
    { REQ, "when = ( { field = \"Cookie\"; value = \"mark\"; } );", "GET /mark HTTP/1.1\r\nMark: mark\r\n\r\n", false },
    { REQ, "when = ( { field_prefix = \"Accept\"; value = \"mark\"; } );", GET("Accept-Marks: mark\r\n"), true },
    { REQ, "path = \"/mark\";", "GET /a/b/mark HTTP/1.1\r\n\r\n", true },
    { REQ, "path = \"/mark\";", "GET /Mark HTTP/1.1\r\n\r\n", false },
    { REQ, "path = \"(?i)/MARK$\";", "GET http://h/a/marK HTTP/1.1\r\n\r\n", true },
    { REQ, "path = \"/mark\";", GET("Cookie: /mark\r\n/mark: 1\r\n"), false },
    { REQ, "host = \"mark\\\\.example\";", "GET http://a.mark.example/ HTTP/1.1\r\n\r\n", true },
    { REQ, "host = \"mark\\\\.example\";", "GET http://a.example/mark.example HTTP/1.1\r\n\r\n", false },
    { CON, "host = \"(?i)mark$\";", "CONNECT b.MARK:443 HTTP/1.1\r\n\r\n", true },
    { RES, "when = ( { field = \"Server\"; value = \"^mark\"; } );", "HTTP/1.1 200 OK\r\nServer: marks\r\n\r\n", true },
    /* all conditions of a rule */
    { REQ,
        "method = \"GET\"; path = \"^/p$\"; when = ( { field = \"A\"; present = true; }, { field = \"B\"; present = false; }, { field = "
        "\"C\"; value = \"1\"; } );",
        GET("A: 1\r\nC: 1\r\n"), true },
    { REQ,
        "method = \"GET\"; path = \"^/p$\"; when = ( { field = \"A\"; present = true; }, { field = \"B\"; present = false; }, { field = "
        "\"C\"; value = \"1\"; } );",
        GET("A: 1\r\nB: 1\r\nC: 1\r\n"), false },
    { REQ, "method = \"GET\"; path = \"^/p$\"; when = ( { field = \"A\"; present = true; }, { field = \"C\"; value = \"1\"; } );",
        GET("C: 1\r\n"), false },
    { REQ, "method = \"POST\"; path = \"^/p$\"; when = ( { field = \"A\"; present = true; } );", GET("A: 1\r\n"), false },
    { REQ, "method = \"GET\"; path = \"^/q$\"; when = ( { field = \"A\"; present = true; } );", GET("A: 1\r\n"), false },
    { REQ, "when = ( { field = \"A\"; value = \"1\"; }, { field = \"A\"; value = \"2\"; } );", GET("A: 1\r\nA: 2\r\n"), true },
    { REQ, "when = ( { field = \"A\"; value = \"1\"; }, { field = \"A\"; value = \"2\"; } );", GET("A: 1\r\n"), false },
};

START_TEST(test_predicate)
{
    char text[2000];
    snprintf(text, sizeof(text), RULES(RULE("x", "%s", "%s", "block")), predicate_cases[_i].stage, predicate_cases[_i].conditions);
    struct sp_policy *policy = policy_of(text, NULL);
    struct sp_policy_result result = decide_bytes(policy, predicate_cases[_i].head);
    ck_assert_msg(
        (result.rule != NULL) == predicate_cases[_i].matches, "%s on %s", predicate_cases[_i].conditions, predicate_cases[_i].head);
    ck_assert_int_eq(result.action, predicate_cases[_i].matches ? SP_ACTION_BLOCK : SP_ACTION_ALLOW);
    ck_assert(!result.is_limited);
    sp_policy_free(&policy);
}
END_TEST

/* The same word may be what two rules are found by, each in its own place. */
START_TEST(test_same_word)
{
    static const char rules[] = RULES(RULE("field", "request", "when = ( { field = \"X-Marker\"; present = true; } );", "block") "," RULE(
        "path", "request", "path = \"X-Marker\";", "block") "," RULE("cookie", "request",
        "when = ( { field = \"Cookie\"; value = \"X-Marker\"; } );", "block") "," RULE("host", "request", "host = \"X-Marker\";", "block"));
    struct sp_policy *policy = policy_of(rules, NULL);
    ck_assert_str_eq(decide_bytes(policy, GET("X-Marker: 1\r\n")).rule->id, "field");
    ck_assert_str_eq(decide_bytes(policy, "GET /X-Marker HTTP/1.1\r\nCookie: X\r\n\r\n").rule->id, "path");
    ck_assert_str_eq(decide_bytes(policy, GET("Cookie: X-Marker\r\n")).rule->id, "cookie");
    ck_assert_str_eq(decide_bytes(policy, "GET http://X-Marker/ HTTP/1.1\r\n\r\n").rule->id, "host");
    ck_assert_ptr_null(decide_bytes(policy, GET("Referer: X-Marker\r\n")).rule);
    sp_policy_free(&policy);
}
END_TEST

/* In stage response, what is asked of the request is asked of the request that the response answers. */
START_TEST(test_response_and_request)
{
    struct sp_policy *policy =
        policy_of(RULES(RULE("x", RES, "method = \"GET\"; path = \"^/p$\"; host = \"^h$\"; status = 200;", "block")), NULL);
    static const char request_bytes[] = "GET http://h/p HTTP/1.1\r\n\r\n";
    static const char response_bytes[] = "HTTP/1.1 200 OK\r\n\r\n";
    struct sp_head *request = parse(request_bytes, sizeof(request_bytes) - 1, SP_MESSAGE_REQUEST);
    struct sp_head *response = parse(response_bytes, sizeof(response_bytes) - 1, SP_MESSAGE_RESPONSE);
    struct sp_policy_result result;
    struct sp_policy_input in = { .stage = SP_STAGE_RESPONSE, .request = sp_head_message(request), .response = sp_head_message(response) };
    sp_policy_decide(policy, &in, &result);
    ck_assert_int_eq(result.action, SP_ACTION_BLOCK);
    in.request = NULL;
    sp_policy_decide(policy, &in, &result);
    ck_assert_int_eq(result.action, SP_ACTION_ALLOW);
    in.response = NULL;
    sp_policy_decide(policy, &in, &result);
    ck_assert_int_eq(result.action, SP_ACTION_ALLOW);
    in = (struct sp_policy_input){ .stage = SP_STAGE_REQUEST };
    sp_policy_decide(policy, &in, &result);
    ck_assert_int_eq(result.action, SP_ACTION_ALLOW);
    sp_head_free(&request);
    sp_head_free(&response);
    sp_policy_free(&policy);
}
END_TEST

/* --- refused catalogues ---------------------------------------------------------------------------------------------- */

static void check_bad(const char *dir_path, const char *name)
{
    char dir[1024], path[1100];
    snprintf(dir, sizeof(dir), "%s/%s", dir_path, name);
    snprintf(path, sizeof(path), "%s/want", dir);
    size_t n;
    char *want = read_whole(path, &n);
    want[strcspn(want, "\n")] = '\0';
    struct sp_error err = { 0 };
    struct sp_policy *policy = NULL;
    ck_assert_msg(load(dir, NULL, &err, &policy) == SP_ERR_CONF, "%s was not refused", name);
    ck_assert_ptr_null(policy);
    ck_assert_msg(strstr(err.text, want) != NULL, "%s: \"%s\" has no \"%s\"", name, err.text, want);
    ck_assert_msg(strchr(err.text, '\n') == NULL, "%s: more than one line", name);
    free(want);
}

START_TEST(test_refused)
{
    char path[512];
    DIR *dir = opendir(data_dir("tests/data/policy/bad", path));
    ck_assert_ptr_nonnull(dir);
    int count = 0;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        check_bad(path, entry->d_name);
        count++;
    }
    closedir(dir);
    ck_assert_int_ge(count, 50);
}
END_TEST

START_TEST(test_no_directory)
{
    char dir[] = "/nonexistent/catalogue";
    struct sp_error err = { 0 };
    struct sp_policy *policy = NULL;
    ck_assert_int_eq(load(dir, NULL, &err, &policy), SP_ERR_IO);
    ck_assert_ptr_null(policy);
    ck_assert_ptr_nonnull(strstr(err.text, dir));
}
END_TEST

START_TEST(test_only_conf_files)
{
    char dir[32], path[64];
    write_dir(dir, "b.conf", RULES(RULE("x", REQ, "method = \"GET\";", "block")));
    static const char *const others[] = { "README", "a.conf~", ".a.conf", "a.conf.new" };
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, others[i]);
        FILE *file = fopen(path, "w");
        ck_assert(fputs("not a catalogue", file) >= 0);
        fclose(file);
    }
    struct sp_policy *policy = load_ok(dir, NULL);
    ck_assert_uint_eq(sp_policy_count(policy), 1);
    sp_policy_free(&policy);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, others[i]);
        unlink(path);
    }
    drop_dir(dir, "b.conf");
}
END_TEST

/* --- actions --------------------------------------------------------------------------------------------------------- */

#define THREE_RULES                                                                                                                        \
    RULES(RULE("a", REQ, "method = \"GET\";", "allow") "," RULE("r", REQ, "method = \"GET\";", "report") "," RULE(                         \
        "b", REQ, "method = \"GET\";", "block"))

static const struct {
    bool has_action;
    enum sp_action category;
    enum sp_action effective[3];
    const char *decides; /* "" for none */
} action_cases[] = {
    { false, SP_ACTION_ALLOW, { SP_ACTION_ALLOW, SP_ACTION_REPORT, SP_ACTION_BLOCK }, "b" },
    { true, SP_ACTION_ALLOW, { SP_ACTION_ALLOW, SP_ACTION_ALLOW, SP_ACTION_ALLOW }, "" },
    { true, SP_ACTION_REPORT, { SP_ACTION_ALLOW, SP_ACTION_REPORT, SP_ACTION_REPORT }, "r" },
    { true, SP_ACTION_BLOCK, { SP_ACTION_ALLOW, SP_ACTION_REPORT, SP_ACTION_BLOCK }, "b" },
};

START_TEST(test_category_action)
{
    struct sp_conf site = { 0 };
    site.has_category_action[SP_CATEGORY_VPN] = action_cases[_i].has_action;
    site.category_action[SP_CATEGORY_VPN] = action_cases[_i].category;
    /* another category's action is nobody's business here */
    site.has_category_action[SP_CATEGORY_TUNNEL] = true;
    site.category_action[SP_CATEGORY_TUNNEL] = SP_ACTION_BLOCK;
    struct sp_policy *policy = policy_of(THREE_RULES, &site);
    ck_assert_uint_eq(sp_policy_count(policy), 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(sp_policy_rule(policy, i)->action, action_cases[_i].effective[i]);
        ck_assert_int_eq(sp_policy_rule(policy, i)->own_action, action_cases[0].effective[i]);
    }
    ck_assert_ptr_null(sp_policy_rule(policy, 3));
    struct sp_policy_result result = decide_bytes(policy, GET(""));
    ck_assert_str_eq(result.rule ? result.rule->id : "", action_cases[_i].decides);
    ck_assert_int_eq(result.action, result.rule ? result.rule->action : SP_ACTION_ALLOW);
    sp_policy_free(&policy);
    sp_policy_free(&policy);
}
END_TEST

START_TEST(test_rule_data)
{
    struct sp_policy *policy = policy_of("category = \"remote-access\"; rules = ( { id = \"i-1\"; name = \"A name\"; stage = \"response\"; "
                                         "status = 200; action = \"report\";"
                                         " evidence = \"unverified\"; false_positives = \"some\"; reference = \"A book, page 1\"; } );",
        NULL);
    const struct sp_rule *rule = sp_policy_rule(policy, 0);
    ck_assert_str_eq(rule->id, "i-1");
    ck_assert_str_eq(rule->name, "A name");
    ck_assert_str_eq(rule->category, "remote-access");
    ck_assert_str_eq(rule->reference, "A book, page 1");
    ck_assert_str_eq(rule->false_positives, "some");
    ck_assert_ptr_nonnull(strstr(rule->origin, "/a.conf:1"));
    ck_assert_int_eq(rule->stage, SP_STAGE_RESPONSE);
    ck_assert_int_eq(rule->action, SP_ACTION_REPORT);
    sp_policy_free(&policy);
}
END_TEST

/* --- digest ---------------------------------------------------------------------------------------------------------- */

START_TEST(test_digest)
{
    /* The first two are the same policy; every other one differs from all. */
    static const char *const texts[] = {
        RULES(RULE("x", REQ, "method = \"GET\";", "block")),
        "# a comment\n" RULES("  " RULE("x", REQ, "  method = ( \"GET\" );", "block")),
        RULES(RULE("y", REQ, "method = \"GET\";", "block")),
        RULES(RULE("x", REQ, "method = \"PUT\";", "block")),
        RULES(RULE("x", REQ, "method = ( \"GET\", \"PUT\" );", "block")),
        RULES(RULE("x", REQ, "method = \"GET\";", "report")),
        RULES(RULE("x", RES, "method = \"GET\";", "block")),
        RULES(RULE("x", RES, "status = 200;", "block")),
        RULES(RULE("x", RES, "status = 201;", "block")),
        RULES(RULE("x", REQ, "path = \"GET\";", "block")),
        RULES(RULE("x", REQ, "host = \"GET\";", "block")),
        RULES(RULE("x", REQ, "when = ( { field = \"A\"; present = true; } );", "block")),
        RULES(RULE("x", REQ, "when = ( { field = \"A\"; present = false; } );", "block")),
        RULES(RULE("x", REQ, "when = ( { field_prefix = \"A\"; present = true; } );", "block")),
        RULES(RULE("x", REQ, "when = ( { field = \"B\"; present = true; } );", "block")),
        RULES(RULE("x", REQ, "when = ( { field = \"A\"; value = \"1\"; } );", "block")),
        "category = \"tunnel\"; rules = ( " RULE("x", REQ, "method = \"GET\";", "block") " );",
        RULES(RULE("x", REQ, "method = \"GET\";", "block") "," RULE("y", REQ, "method = \"GET\";", "block")),
        RULES(RULE("y", REQ, "method = \"GET\";", "block") "," RULE("x", REQ, "method = \"GET\";", "block")),
    };
    enum { COUNT = sizeof(texts) / sizeof(texts[0]) };
    uint64_t digests[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        struct sp_policy *policy = policy_of(texts[i], NULL);
        digests[i] = sp_policy_digest(policy);
        sp_policy_free(&policy);
        for (size_t k = 0; k < i; k++)
            ck_assert_msg((digests[k] == digests[i]) == (i == 1), "%zu and %zu", k, i);
    }
}
END_TEST

START_TEST(test_digest_of_site)
{
    struct sp_conf site = { 0 };
    struct sp_policy *before = load_shipped(NULL);
    struct sp_policy *again = load_shipped(&site);
    ck_assert(sp_policy_digest(before) == sp_policy_digest(again));
    site.has_category_action[SP_CATEGORY_VPN] = true;
    site.category_action[SP_CATEGORY_VPN] = SP_ACTION_REPORT;
    struct sp_policy *after = load_shipped(&site);
    ck_assert(sp_policy_digest(before) != sp_policy_digest(after));
    sp_policy_free(&before);
    sp_policy_free(&again);
    sp_policy_free(&after);
}
END_TEST

/* --- effort ---------------------------------------------------------------------------------------------------------- */

#define HOSTILE "when = ( { field = \"X\"; value = \"([ab]+)+[0-9]$\"; } );"

static const struct {
    const char *rules;
    const char *decides;
    bool is_limited;
} limit_cases[] = {
    { RULE("h", REQ, HOSTILE, "block"), "", true },
    { RULE("h", REQ, HOSTILE, "report"), "h", false },
    { RULE("h", REQ, "method = \"PUT\"; " HOSTILE, "block"), "", false },
    { RULE("h", REQ, HOSTILE, "block") "," RULE("b", REQ, "method = \"GET\";", "block"), "b", true },
    { RULE("b", REQ, "method = \"GET\";", "block") "," RULE("h", REQ, HOSTILE, "block"), "b", false },
    { RULE("h", REQ, HOSTILE, "block") "," RULE("r", REQ, "method = \"GET\";", "report"), "r", true },
    { RULE("r", REQ, "method = \"GET\";", "report") "," RULE("h", REQ, HOSTILE, "report"), "r", false },
};

START_TEST(test_limit)
{
    char text[2000];
    snprintf(text, sizeof(text), RULES("%s"), limit_cases[_i].rules);
    struct sp_policy *policy = policy_of(text, NULL);
    char bytes[8192];
    size_t n = (size_t) snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\nX: ");
    for (; n < 4096; n++)
        bytes[n] = "ab"[n % 2];
    snprintf(bytes + n, sizeof(bytes) - n, "!1\r\n\r\n");
    struct sp_policy_result result = decide_bytes(policy, bytes);
    ck_assert_str_eq(result.rule ? result.rule->id : "", limit_cases[_i].decides);
    ck_assert_int_eq(result.is_limited, limit_cases[_i].is_limited);
    sp_policy_free(&policy);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("policy");
    add_table(tc, test_predicate, predicate_cases);
    add_table(tc, test_category_action, action_cases);
    add_table(tc, test_limit, limit_cases);
    tcase_add_test(tc, test_same_word);
    tcase_add_test(tc, test_response_and_request);
    tcase_add_test(tc, test_refused);
    tcase_add_test(tc, test_no_directory);
    tcase_add_test(tc, test_only_conf_files);
    tcase_add_test(tc, test_rule_data);
    tcase_add_test(tc, test_digest);
    tcase_add_test(tc, test_digest_of_site);
    return unit_run("policy", tc);
}
