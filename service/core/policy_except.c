/* Exceptions. They are asked only when a rule has matched, so an ordinary head pays nothing for them. Those with a host are found by
 * the keys of the host, in a hash table; then, for those alone and those without a host, client and user are compared.
 *
 * Inside TLS the host is what the client wrote into its request. A client that named another host when it opened the connection
 * (SNI) would get an exception for where it is not, so that name must be covered too. */
#include "config.h"

#include "policy_priv.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64
#define NAME_MAX_BYTES 300
#define USER_MAX_BYTES 200
#define TEXT_MAX_BYTES 4000

struct item {
    struct sp_exception shown; /* its strings are the owned ones below */
    char *text;
    char *origin;
    struct sp_network *clients; /* owned, with n */
    size_t n_clients;
    char **users; /* owned, with n */
    size_t n_users;
    uint64_t *rules; /* owned: a bit for each rule; NULL: all rules */
};

struct host_slot {
    struct sp_domain_key key; /* zero: the slot is free */
    size_t item;
};

struct sp_exceptions {
    struct item *items;
    size_t n_items;
    uint64_t hostless[SP_EXCEPTION_WORDS];
    struct host_slot *slots; /* open addressing, at most half full; a name is there once for each exception that has it */
    size_t n_slots;
    size_t n_hosts;
};

static void set_bit(uint64_t *set, size_t bit)
{
    set[bit / WORD_BITS] |= (uint64_t) 1 << (bit % WORD_BITS);
}

/* --- reading --------------------------------------------------------------------------------------------------------- */

static bool is_free(const struct host_slot *slot)
{
    return slot->key.a == 0 && slot->key.b == 0;
}

static void insert_host(struct sp_exceptions *all, struct sp_domain_key key, size_t item)
{
    size_t at = key.a % all->n_slots;
    while (!is_free(&all->slots[at]))
        at = (at + 1) % all->n_slots;
    all->slots[at] = (struct host_slot){ key, item };
}

static enum sp_status read_hosts(struct sp_exceptions *all, size_t item, const struct sp_cfgnode *node, struct sp_error *err)
{
    for (size_t i = 0; i < sp_node_list_count(node); i++) {
        const struct sp_cfgnode *child = sp_node_list_item(node, i);
        enum sp_status status = sp_node_need_string(child, "host", NAME_MAX_BYTES, err);
        if (status != SP_OK)
            return status;
        struct sp_host host;
        if (!sp_domain_parse(sp_str_from(sp_cfgnode_string(child)), true, &host))
            return sp_node_fail(
                child, err, "host: \"%s\" is not a host: a name or an address, without port and path", sp_cfgnode_string(child));
        insert_host(all, sp_domain_key_of(&host), item);
    }
    return sp_node_list_count(node) > 0 ? SP_OK : sp_node_fail(node, err, "host is empty");
}

static enum sp_status read_covered(struct item *item, const struct sp_policy *policy, const struct sp_cfgnode *node, struct sp_error *err)
{
    item->rules = calloc(policy->n_rules / WORD_BITS + 1, sizeof(*item->rules));
    if (!item->rules)
        return sp_build_no_memory(err);
    for (size_t i = 0; i < sp_node_list_count(node); i++) {
        const struct sp_cfgnode *child = sp_node_list_item(node, i);
        enum sp_status status = sp_node_need_string(child, "rules", SP_RULE_ID_MAX, err);
        if (status != SP_OK)
            return status;
        size_t n = 0;
        for (size_t r = 0; r < policy->n_rules; r++) {
            if (!sp_glob_matches(sp_cfgnode_string(child), policy->rules[r].id))
                continue;
            set_bit(item->rules, r);
            n++;
        }
        if (n == 0)
            return sp_node_fail(child, err, "no rule is called \"%s\"", sp_cfgnode_string(child));
    }
    return sp_node_list_count(node) > 0 ? SP_OK : sp_node_fail(node, err, "rules is empty: leave it out to mean all");
}

/* "host vpn.example; client 10.0.0.0/8, 10.1.2.3": what stands there, in the order of keys. */
static enum sp_status write_text(struct item *item, const struct sp_cfgnode *group, const char *const *keys, struct sp_error *err)
{
    struct sp_buf text;
    sp_buf_init(&text, TEXT_MAX_BYTES);
    enum sp_status status = SP_OK;
    for (size_t k = 0; keys[k] && status == SP_OK; k++) {
        const struct sp_cfgnode *node = sp_cfgnode_get(group, keys[k]);
        if (node)
            status = sp_buf_addf(&text, "%s%s", text.n > 0 ? "; " : "", keys[k]);
        for (size_t i = 0; node && i < sp_node_list_count(node) && status == SP_OK; i++)
            status = sp_buf_addf(&text, "%s%s", i > 0 ? ", " : " ", sp_cfgnode_string(sp_node_list_item(node, i)));
    }
    item->text = text.p; /* taken */
    if (status == SP_ERR_LIMIT)
        return sp_node_fail(group, err, "an exception of more than %d bytes: make it several", TEXT_MAX_BYTES);
    item->shown = (struct sp_exception){ item->text, item->origin };
    return status == SP_OK ? SP_OK : sp_build_no_memory(err);
}

static enum sp_status read_users(struct item *item, const struct sp_cfgnode *node, struct sp_error *err)
{
    return sp_node_read_words(node, "user", USER_MAX_BYTES, &item->users, &item->n_users, err);
}

static enum sp_status read_item(
    struct sp_exceptions *all, size_t at, const struct sp_policy *policy, const struct sp_cfgnode *group, struct sp_error *err)
{
    static const char *const known[] = { "host", "client", "user", "rules", NULL };
    struct item *item = &all->items[at];
    enum sp_status status = sp_node_need_type(group, SP_CFG_GROUP, "an exception", "a group { host = ...; }", err);
    if (status == SP_OK)
        status = sp_node_only_keys(group, known, err);
    if (status != SP_OK)
        return status;
    const struct sp_cfgnode *host = sp_cfgnode_get(group, "host");
    const struct sp_cfgnode *client = sp_cfgnode_get(group, "client");
    const struct sp_cfgnode *user = sp_cfgnode_get(group, "user");
    const struct sp_cfgnode *rules = sp_cfgnode_get(group, "rules");
    if (!host && !client && !user)
        return sp_node_fail(group, err, "an exception needs host, client or user");
    if (host)
        status = read_hosts(all, at, host, err);
    else
        set_bit(all->hostless, at);
    if (status == SP_OK && client)
        status = sp_node_read_networks(client, "client", &item->clients, &item->n_clients, err);
    if (status == SP_OK && user)
        status = read_users(item, user, err);
    if (status == SP_OK && rules)
        status = read_covered(item, policy, rules, err);
    if (status == SP_OK)
        status = sp_node_origin(group, &item->origin, err);
    return status == SP_OK ? write_text(item, group, known, err) : status;
}

/* Room for all, so that nothing moves or grows while they are read. */
static enum sp_status make_room(struct sp_exceptions *all, const struct sp_cfgnode *list, struct sp_error *err)
{
    size_t n = sp_cfgnode_count(list);
    for (size_t i = 0; i < n; i++) {
        const struct sp_cfgnode *group = sp_cfgnode_child(list, i);
        const struct sp_cfgnode *host = sp_cfgnode_type(group) == SP_CFG_GROUP ? sp_cfgnode_get(group, "host") : NULL;
        all->n_hosts += host ? sp_node_list_count(host) : 0;
    }
    all->n_slots = 2 * all->n_hosts + 1;
    all->items = calloc(n + 1, sizeof(*all->items));
    all->slots = calloc(all->n_slots, sizeof(*all->slots));
    return all->items && all->slots ? SP_OK : sp_build_no_memory(err);
}

enum sp_status sp_exceptions_read(struct sp_policy *policy, const struct sp_cfgnode *root, struct sp_error *err)
{
    const struct sp_cfgnode *list = sp_cfgnode_get(root, "exceptions");
    if (!list)
        return SP_OK;
    enum sp_status status = sp_node_need_type(list, SP_CFG_LIST, "exceptions", "a list: ( { host = ...; }, ... )", err);
    if (status != SP_OK || sp_cfgnode_count(list) == 0)
        return status;
    if (sp_cfgnode_count(list) > SP_POLICY_MAX_EXCEPTIONS)
        return sp_node_fail(list, err, "more than %d exceptions", SP_POLICY_MAX_EXCEPTIONS);
    struct sp_exceptions *all = calloc(1, sizeof(*all));
    if (!all)
        return sp_build_no_memory(err);
    policy->exceptions = all;
    status = make_room(all, list, err);
    for (size_t i = 0; i < sp_cfgnode_count(list) && status == SP_OK; i++)
        status = read_item(all, all->n_items++, policy, sp_cfgnode_child(list, i), err);
    return status;
}

void sp_exceptions_free(struct sp_exceptions **exceptions)
{
    struct sp_exceptions *all = *exceptions;
    if (!all)
        return;
    for (size_t i = 0; i < all->n_items; i++) {
        struct item *item = &all->items[i];
        sp_words_free(item->users, item->n_users);
        free(item->clients);
        free(item->rules);
        free(item->text);
        free(item->origin);
    }
    free(all->items);
    free(all->slots);
    free(all);
    *exceptions = NULL;
}

size_t sp_exceptions_count(const struct sp_exceptions *exceptions)
{
    return exceptions ? exceptions->n_items : 0;
}

const struct sp_exception *sp_exceptions_get(const struct sp_exceptions *exceptions, size_t i)
{
    return i < sp_exceptions_count(exceptions) ? &exceptions->items[i].shown : NULL;
}

/* --- asking ---------------------------------------------------------------------------------------------------------- */

static void find_hosts(const struct sp_exceptions *all, const struct sp_named *named, uint64_t found[SP_EXCEPTION_WORDS])
{
    for (size_t k = 0; k < named->keys.n; k++) {
        for (size_t at = named->keys.halves[k] % all->n_slots; !is_free(&all->slots[at]); at = (at + 1) % all->n_slots)
            if (sp_domain_keys_are(&named->keys, k, all->slots[at].key))
                set_bit(found, all->slots[at].item);
    }
}

static bool holds_client(const struct item *item, struct sp_subject *subject)
{
    const struct sp_netaddr *client = sp_subject_client(subject);
    for (size_t i = 0; client && i < item->n_clients; i++)
        if (sp_network_holds(&item->clients[i], client))
            return true;
    return item->n_clients == 0;
}

static bool holds_user(const struct item *item, const struct sp_subject *subject)
{
    struct sp_str user = subject->in->user;
    return item->n_users == 0 || (user.n > 0 && sp_words_have(item->users, item->n_users, user));
}

void sp_exceptions_find(const struct sp_exceptions *exceptions, struct sp_subject *subject, uint64_t found[SP_EXCEPTION_WORDS])
{
    uint64_t by_sni[SP_EXCEPTION_WORDS] = { 0 };
    memset(found, 0, SP_EXCEPTION_WORDS * sizeof(*found));
    if (!exceptions)
        return;
    bool has_sni = subject->in->sni.n > 0;
    find_hosts(exceptions, sp_subject_target(subject), found);
    if (has_sni)
        find_hosts(exceptions, sp_subject_sni(subject), by_sni);
    for (size_t w = 0; w * WORD_BITS < exceptions->n_items; w++) {
        uint64_t left = (has_sni ? found[w] & by_sni[w] : found[w]) | exceptions->hostless[w];
        found[w] = left;
        for (; left != 0; left &= left - 1) {
            size_t bit = (size_t) __builtin_ctzll(left);
            const struct item *item = &exceptions->items[w * WORD_BITS + bit];
            if (!holds_client(item, subject) || !holds_user(item, subject))
                found[w] &= ~((uint64_t) 1 << bit);
        }
    }
}

const struct sp_exception *sp_exceptions_cover(
    const struct sp_exceptions *exceptions, const uint64_t found[SP_EXCEPTION_WORDS], size_t rule)
{
    if (!exceptions)
        return NULL;
    for (size_t w = 0; w * WORD_BITS < exceptions->n_items; w++) {
        for (uint64_t left = found[w]; left != 0; left &= left - 1) {
            const struct item *item = &exceptions->items[w * WORD_BITS + (size_t) __builtin_ctzll(left)];
            if (!item->rules || (item->rules[rule / WORD_BITS] >> (rule % WORD_BITS) & 1) != 0)
                return &item->shown;
        }
    }
    return NULL;
}
