/* For the tests of the policy: catalogues from text, heads from text, decisions. */
#ifndef SALLYPORT_TESTS_POLICY_KIT_H
#define SALLYPORT_TESTS_POLICY_KIT_H

#include "unit.h"

#include "sallyport/message_parse.h"
#include "sallyport/policy.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_MAX (256 * 1024)

#define add_table(tc, test, table) tcase_add_loop_test(tc, test, 0, (int) (sizeof(table) / sizeof((table)[0])))

/* --- tools ----------------------------------------------------------------------------------------------------------- */

static inline const char *data_dir(const char *below, char out[512])
{
    const char *root = getenv("SRCDIR");
    snprintf(out, 512, "%s/%s", root ? root : ".", below);
    return out;
}

static inline char *read_whole(const char *path, size_t *n_out)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    char *bytes = calloc(1, HEAD_MAX);
    *n_out = fread(bytes, 1, HEAD_MAX - 1, file);
    fclose(file);
    return bytes;
}

static inline enum sp_status load(char *dir, const struct sp_conf *site, struct sp_error *err, struct sp_policy **policy_out)
{
    struct sp_conf conf = { 0 };
    if (site)
        conf = *site;
    conf.catalogue = dir;
    return sp_policy_new(&conf, err, policy_out);
}

static inline struct sp_policy *load_ok(char *dir, const struct sp_conf *site)
{
    struct sp_error err = { 0 };
    struct sp_policy *policy = NULL;
    ck_assert_msg(load(dir, site, &err, &policy) == SP_OK, "%s", err.text);
    return policy;
}

static inline struct sp_policy *load_shipped(const struct sp_conf *site)
{
    char dir[512];
    data_dir("etc/catalogue", dir);
    return load_ok(dir, site);
}

/* A directory with one file; removed again by drop_dir. */
static inline void write_dir(char dir[32], const char *name, const char *text)
{
    char path[64];
    snprintf(dir, 32, "/tmp/sallyport-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert(fputs(text, file) >= 0);
    fclose(file);
}

static inline void drop_dir(const char *dir, const char *name)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    unlink(path);
    rmdir(dir);
}

/* A policy from the text of a file. */
static inline struct sp_policy *policy_of(const char *text, const struct sp_conf *site)
{
    char dir[32];
    write_dir(dir, "a.conf", text);
    struct sp_policy *policy = load_ok(dir, site);
    drop_dir(dir, "a.conf");
    return policy;
}

#define RULE(id, stage, conditions, action)                                                                                                \
    "{ id = \"" id "\"; name = \"n\"; stage = \"" stage "\"; " conditions " action = \"" action                                            \
    "\"; evidence = \"seen\"; false_positives = \"none\"; reference = \"r\"; }"
#define RULES(rules) "category = \"vpn\"; rules = ( " rules " );"

/* A site: sallyport.conf, a catalogue of one file, a list of domains at LIST in the texts. */
struct site {
    char dir[32];
    char conf[64];
    char catalogue[64];
    char list[64];
    char spool[64];
};

static inline void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert(fputs(text, file) >= 0);
    fclose(file);
}

/* text with the first LIST replaced by the path of the list */
static inline void write_site_conf(const struct site *site, const char *text)
{
    const char *at = strstr(text, "LIST");
    FILE *file = fopen(site->conf, "w");
    ck_assert_ptr_nonnull(file);
    if (at)
        fprintf(file, "%.*s%s%s", (int) (at - text), text, site->list, at + 4);
    else
        fputs(text, file);
    fclose(file);
}

static inline void new_site(struct site *site, const char *conf, const char *catalogue, const char *list)
{
    char path[80];
    snprintf(site->dir, sizeof(site->dir), "/tmp/sallyport-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(site->dir));
    snprintf(site->conf, sizeof(site->conf), "%s/site.conf", site->dir);
    snprintf(site->catalogue, sizeof(site->catalogue), "%s/catalogue", site->dir);
    snprintf(site->list, sizeof(site->list), "%s/list", site->dir);
    snprintf(site->spool, sizeof(site->spool), "/nonexistent");
    ck_assert_int_eq(mkdir(site->catalogue, 0700), 0);
    snprintf(path, sizeof(path), "%s/a.conf", site->catalogue);
    write_text(path, catalogue);
    write_text(site->list, list);
    write_site_conf(site, conf);
}

static inline void drop_site(const struct site *site)
{
    drop_dir(site->catalogue, "a.conf");
    unlink(site->list);
    drop_dir(site->dir, "site.conf");
}

static inline enum sp_status load_site(struct site *site, struct sp_error *err, struct sp_policy **policy_out)
{
    struct sp_conf conf = { .path = site->conf, .catalogue = site->catalogue, .spool_dir = site->spool };
    return sp_policy_new(&conf, err, policy_out);
}

/* A policy from the texts of all three. */
static inline struct sp_policy *policy_of_site(const char *conf, const char *catalogue, const char *list)
{
    struct site site;
    struct sp_error err = { 0 };
    struct sp_policy *policy = NULL;
    new_site(&site, conf, catalogue, list);
    ck_assert_msg(load_site(&site, &err, &policy) == SP_OK, "%s", err.text);
    drop_site(&site);
    return policy;
}

static inline struct sp_head *parse(const char *bytes, size_t n, enum sp_message_kind kind)
{
    struct sp_head *head = NULL;
    ck_assert_int_eq(sp_head_parse(bytes, n, kind, &head), SP_OK);
    return head;
}

static inline enum sp_stage stage_of(const struct sp_message *msg)
{
    if (msg->kind == SP_MESSAGE_RESPONSE)
        return SP_STAGE_RESPONSE;
    return msg->is_connect ? SP_STAGE_CONNECT : SP_STAGE_REQUEST;
}

static inline struct sp_policy_input head_input(const struct sp_message *msg)
{
    bool is_response = msg->kind == SP_MESSAGE_RESPONSE;
    return (struct sp_policy_input){
        .stage = stage_of(msg), .request = is_response ? NULL : msg, .response = is_response ? msg : NULL, .is_body_known = true
    };
}

static inline struct sp_policy_result decide(const struct sp_policy *policy, const struct sp_message *msg)
{
    struct sp_policy_input in = head_input(msg);
    struct sp_policy_result result;
    sp_policy_decide(policy, &in, &result);
    return result;
}

static inline struct sp_policy_result decide_bytes(const struct sp_policy *policy, const char *bytes)
{
    struct sp_head *head = parse(bytes, strlen(bytes), strncmp(bytes, "HTTP/", 5) == 0 ? SP_MESSAGE_RESPONSE : SP_MESSAGE_REQUEST);
    struct sp_policy_result result = decide(policy, sp_head_message(head));
    sp_head_free(&head);
    return result;
}

/* Who asks. */
struct asker {
    const char *client;
    const char *user;
    const char *sni;
};

static inline struct sp_policy_result ask(const struct sp_policy *policy, const char *bytes, const struct asker *asker)
{
    struct sp_head *head = parse(bytes, strlen(bytes), strncmp(bytes, "HTTP/", 5) == 0 ? SP_MESSAGE_RESPONSE : SP_MESSAGE_REQUEST);
    struct sp_policy_input in = head_input(sp_head_message(head));
    in.client = sp_str_from(asker->client);
    in.user = sp_str_from(asker->user);
    in.sni = sp_str_from(asker->sni);
    struct sp_policy_result result;
    sp_policy_decide(policy, &in, &result);
    sp_head_free(&head);
    return result;
}

#endif
