/* Conditions that look further than at a head: who asks, server names, fake CONNECTs, tokens and bodies. */
#include "config.h"

#include "policy_kit.h"

#define LIST_TEXT "listed.example\n"
#define PUT(host) "PUT http://" host "/ HTTP/1.1\r\n\r\n"

/* --- who asks, in rules; server names; fake CONNECTs ----------------------------------------------------------------- */

static const struct {
    const char *stage;
    const char *conditions;
    const char *head;
    struct asker asker;
    bool matches;
} asker_cases[] = {
    { "request", "client = \"10.0.0.0/8\";", PUT("h"), { "10.1.1.1", "", "" }, true },
    { "request", "client = \"10.0.0.0/8\";", PUT("h"), { "192.0.2.1", "", "" }, false },
    { "request", "client = \"10.0.0.0/8\";", PUT("h"), { "", "", "" }, false },
    { "request", "client = ( \"2001:db8::/32\", \"192.0.2.1\" );", PUT("h"), { "192.0.2.1", "", "" }, true },
    { "response", "client = \"10.0.0.0/8\";", "HTTP/1.1 200 OK\r\n\r\n", { "10.1.1.1", "", "" }, true },
    { "connect", "user = ( \"eve\", \"mallory\" );", "CONNECT h:1 HTTP/1.1\r\n\r\n", { "", "Mallory", "" }, true },
    { "connect", "user = ( \"eve\", \"mallory\" );", "CONNECT h:1 HTTP/1.1\r\n\r\n", { "", "bob", "" }, false },
    { "connect", "user = ( \"eve\", \"mallory\" );", "CONNECT h:1 HTTP/1.1\r\n\r\n", { "", "", "" }, false },
    { "request", "sni_differs = true;", PUT("a.example"), { "", "", "b.example" }, true },
    { "request", "sni_differs = true;", PUT("a.example"), { "", "", "a.example" }, false },
    { "request", "sni_differs = true;", PUT("A.example.:8443"), { "", "", "a.Example" }, false },
    { "request", "sni_differs = true;", PUT("a.example"), { "", "", "" }, false },
    { "request", "sni_differs = true;", PUT("www.a.example"), { "", "", "a.example" }, true },
    { "request", "sni_differs = true;", PUT("192.0.2.1"), { "", "", "a.example" }, true },
    { "request", "sni_differs = true;", "PUT /x HTTP/1.1\r\n\r\n", { "", "", "a.example" }, false },
    { "response", "sni_differs = true;", "HTTP/1.1 200 OK\r\n\r\n", { "", "", "a.example" }, false },
    { "connect", "not_fake = true;", "CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", { "", "", "" }, false },
    { "connect", "not_fake = true;",
        "CONNECT h:443 HTTP/1.1\r\nhost: h\r\nVia: 1.1 p\r\nX-Forwarded-For: 10.1.1.1\r\nX-Sallyport-Id: 1\r\n\r\n", { "", "", "" },
        false },
    { "connect", "not_fake = true;", "CONNECT h:443 HTTP/1.1\r\nHost: h\r\nUser-Agent:\r\n\r\n", { "", "", "" }, true },
    { "connect", "not_fake = true;", "CONNECT h:443 HTTP/1.1\r\nHost: h\r\nX-Sally: 1\r\n\r\n", { "", "", "" }, true },
    { "connect", "not_fake = true;", "CONNECT h:443 HTTP/1.0\r\nHost: h\r\n\r\n", { "", "", "" }, true },
    { "connect", "not_fake = true;", "CONNECT h:443 HTTP/1.1\r\n\r\n", { "", "", "" }, true },
    { "connect", "not_fake = true; when = ( { field = \"User-Agent\"; present = false; } );", "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n",
        { "", "", "" }, false },
    { "connect", "not_fake = true; when = ( { field = \"User-Agent\"; present = false; } );",
        "CONNECT h:443 HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n", { "", "", "" }, true },
};

START_TEST(test_asker)
{
    char text[1000];
    snprintf(text, sizeof(text), RULES(RULE("x", "%s", "%s", "block")), asker_cases[_i].stage, asker_cases[_i].conditions);
    struct sp_policy *policy = policy_of(text, NULL);
    struct sp_policy_result result = ask(policy, asker_cases[_i].head, &asker_cases[_i].asker);
    ck_assert_msg((result.rule != NULL) == asker_cases[_i].matches, "%s: %s", asker_cases[_i].conditions, asker_cases[_i].head);
    sp_policy_free(&policy);
}
END_TEST

/* --- tokens ---------------------------------------------------------------------------------------------------------- */

#define H "eyJhbGciOiJIUzI1NiJ9"              /* {"alg":"HS256"} */
#define P "eyJwIjoiVGNwIiwiciI6ImgifQ"        /* {"p":"Tcp","r":"h"} */
#define Q "eyJzdWIiOiIxIn0"                   /* {"sub":"1"} */
#define SPACED "IHsgInAiOiAiVGNwIiB9"         /* ` { "p": "Tcp" }` */
#define PADDED "eyJwIjoiVGNwIiwiciI6ImgifQ==" /* as P */
#define STANDARD "eyJwIjoiPz8/In0"            /* {"p":"???"}, with / where base64url has _ */
#define NOT_JSON "InAiOiJUY3Ai"               /* "p":"Tcp" without the brace */

static const struct {
    const char *value;
    const char *pattern;
    bool matches;
} jwt_cases[] = {
    { "Bearer " H "." P ".c2ln", "\\\"p\\\":", true },
    { H "." P ".c2ln", "\\\"p\\\":", true },
    { H "." P ".", "^\\\\{\\\"p\\\":\\\"Tcp\\\",\\\"r\\\":\\\"h\\\"\\\\}$", true },
    { "v1, authorization.bearer." H "." P ".c2ln", "\\\"p\\\":", true },
    { "session=" H "." P ".c2ln; other=1", "\\\"p\\\":", true },
    { H "." Q ".c2ln " H "." P ".c2ln", "\\\"p\\\":", true },
    { H "." SPACED ".c2ln", "\\\"p\\\":", true },
    { H "." PADDED ".c2ln", "\\\"p\\\":", true },
    { H "." STANDARD ".c2ln", "\\\\?\\\\?\\\\?", true },
    { H "." Q ".c2ln", "\\\"p\\\":", false },
    { H "." P, "\\\"p\\\":", false },         /* no second dot: no token */
    { P "." Q ".c2ln", "\\\"p\\\":", false }, /* a header is not looked at */
    { P, "\\\"p\\\":", false },
    { H "." NOT_JSON ".c2ln", "\\\"p\\\":", false },
    { H ". " P " .c2ln", "\\\"p\\\":", false },
    { "a..b", ".", false },
    { "...", ".", false },
    { ".", ".", false },
    { "", ".", false },
    { "p.\"p\":.r", "\\\"p\\\":", false },
};

START_TEST(test_jwt)
{
    char text[1000], head[600];
    snprintf(text, sizeof(text), RULES(RULE("x", "request", "when = ( { field = \"Cookie\"; jwt = \"%s\"; } );", "block")),
        jwt_cases[_i].pattern);
    struct sp_policy *policy = policy_of(text, NULL);
    snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nCookie: none\r\nB: " H "." P ".s\r\ncookie: %s\r\n\r\n", jwt_cases[_i].value);
    ck_assert_msg((decide_bytes(policy, head).rule != NULL) == jwt_cases[_i].matches, "%s", jwt_cases[_i].value);
    sp_policy_free(&policy);
}
END_TEST

/* Every payload length decodes to the bytes that were encoded. */
START_TEST(test_jwt_lengths)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct sp_policy *policy =
        policy_of(RULES(RULE("x", "request", "when = ( { field = \"A\"; jwt = \"^\\\\{[a-z]*!$\"; } );", "block")), NULL);
    for (size_t n = 2; n < 200; n++) {
        unsigned char payload[204] = { 0 };
        char head[500];
        for (size_t i = 0; i < n; i++)
            payload[i] = (unsigned char) ('a' + i % 26);
        payload[0] = '{';
        payload[n - 1] = '!';
        size_t used = (size_t) snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nA: h.");
        for (size_t bit = 0; bit < n * 8; bit += 6)
            head[used++] = digits[((payload[bit / 8] << 8 | payload[bit / 8 + 1]) >> (10 - bit % 8)) & 63];
        snprintf(head + used, sizeof(head) - used, ".s\r\n\r\n");
        ck_assert_msg(decide_bytes(policy, head).rule != NULL, "%zu: %s", n, head);
    }
    sp_policy_free(&policy);
}
END_TEST

/* --- bodies ---------------------------------------------------------------------------------------------------------- */

#define BODY_RULE(id, action, letter) RULE(id, "request", "method = \"POST\"; body = \"" letter "\";", action)
#define PLAIN(id, action) RULE(id, "request", "method = \"POST\";", action)
#define OWN(id, action, conditions) "rules = ( { id = \"" id "\"; stage = \"request\"; action = \"" action "\"; " conditions " } );"

static const struct {
    const char *site;
    const char *rules;
    const char *rule_without; /* what is decided before the body is there */
    bool wants;
    const char *rule_a; /* with the body "a" */
    const char *rule_b;
} body_cases[] = {
    { "", BODY_RULE("x", "block", "^a"), "", true, "x", "" },
    { "", BODY_RULE("x", "report", "^a"), "", true, "x", "" },
    { "", RULE("x", "request", "method = \"PUT\"; body = \"a\";", "block"), "", false, "", "" },
    { "", BODY_RULE("x", "block", "a") "," BODY_RULE("y", "block", "b"), "", true, "x", "y" },
    /* what is refused anyway needs no body */
    { "", PLAIN("p", "block") "," BODY_RULE("x", "block", "a"), "p", false, "p", "p" },
    { "", BODY_RULE("x", "block", "a") "," PLAIN("p", "block"), "p", false, "x", "p" },
    { "", BODY_RULE("x", "report", "a") "," PLAIN("p", "block"), "p", false, "p", "p" },
    /* what is reported could still be refused */
    { "", PLAIN("p", "report") "," BODY_RULE("x", "block", "a"), "p", true, "x", "p" },
    { "", PLAIN("p", "report") "," BODY_RULE("x", "report", "a"), "p", false, "p", "p" },
    { "", BODY_RULE("x", "report", "a") "," PLAIN("p", "report"), "p", true, "x", "p" },
    /* one that would allow */
    { OWN("o", "allow", "body = \"a\";"), PLAIN("p", "block"), "p", true, "o", "p" },
    { OWN("o", "allow", "body = \"a\";"), PLAIN("p", "report"), "p", true, "o", "p" },
    { OWN("o", "allow", "body = \"a\";"), RULE("p", "request", "method = \"PUT\";", "block"), "", false, "o", "" },
    { OWN("o", "allow", "method = \"POST\";"), BODY_RULE("x", "block", "a"), "o", false, "o", "o" },
    /* what is passed over asks for nothing */
    { "exceptions = ( { host = \"h\"; } );", BODY_RULE("x", "block", "a"), "", false, "", "" },
    { "exceptions = ( { host = \"i\"; } );", BODY_RULE("x", "block", "a"), "", true, "x", "" },
};

START_TEST(test_body)
{
    char catalogue[2000];
    snprintf(catalogue, sizeof(catalogue), RULES("%s"), body_cases[_i].rules);
    struct sp_policy *policy = policy_of_site(body_cases[_i].site, catalogue, LIST_TEXT);
    static const char bytes[] = "POST http://h/ HTTP/1.1\r\n\r\n";
    struct sp_head *head = parse(bytes, sizeof(bytes) - 1, SP_MESSAGE_REQUEST);
    struct sp_policy_input in = head_input(sp_head_message(head));
    struct sp_policy_result result;
    in.is_body_known = false;
    in.body = SP_STR("a"); /* what is there so far says nothing */
    sp_policy_decide(policy, &in, &result);
    ck_assert_str_eq(result.rule ? result.rule->id : "", body_cases[_i].rule_without);
    ck_assert_int_eq(result.wants_body, body_cases[_i].wants);
    ck_assert(!result.exception);
    in.is_body_known = true;
    sp_policy_decide(policy, &in, &result);
    ck_assert_str_eq(result.rule ? result.rule->id : "", body_cases[_i].rule_a);
    ck_assert(!result.wants_body);
    in.body = SP_STR("b");
    sp_policy_decide(policy, &in, &result);
    ck_assert_str_eq(result.rule ? result.rule->id : "", body_cases[_i].rule_b);
    ck_assert(!result.wants_body);
    sp_head_free(&head);
    sp_policy_free(&policy);
}
END_TEST

/* Only the first bytes are looked at, whatever is in them. */
START_TEST(test_body_bytes)
{
    struct sp_policy *policy = policy_of(RULES(RULE("x", "response", "body = \"\\\\x00needle$\";", "block")), NULL);
    static const char bytes[] = "HTTP/1.1 200 OK\r\n\r\n";
    static char body[2 * SP_POLICY_BODY_BYTES];
    struct sp_head *head = parse(bytes, sizeof(bytes) - 1, SP_MESSAGE_RESPONSE);
    struct sp_policy_input in = head_input(sp_head_message(head));
    struct sp_policy_result result;
    for (size_t end = SP_POLICY_BODY_BYTES - 2; end <= SP_POLICY_BODY_BYTES + 2; end++) {
        memset(body, 0, sizeof(body));
        memcpy(body + end - 6, "needle", 6);
        in.body = (struct sp_str){ body, end < SP_POLICY_BODY_BYTES ? end : sizeof(body) };
        sp_policy_decide(policy, &in, &result);
        ck_assert_int_eq(result.rule != NULL, end <= SP_POLICY_BODY_BYTES);
    }
    in.body = SP_STR("");
    sp_policy_decide(policy, &in, &result);
    ck_assert_ptr_null(result.rule);
    sp_head_free(&head);
    sp_policy_free(&policy);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("policy_conds");
    add_table(tc, test_asker, asker_cases);
    add_table(tc, test_jwt, jwt_cases);
    add_table(tc, test_body, body_cases);
    tcase_add_test(tc, test_jwt_lengths);
    tcase_add_test(tc, test_body_bytes);
    return unit_run("policy_conds", tc);
}
