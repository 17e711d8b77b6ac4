/* The block page on hostile bytes. Byte 0 picks the task, the rest is the template, the values, or the Accept field.
 * A value must never add markup: the page keeps its number of '<'. JSON must stay one object of strings. */
#include "config.h"

#include "fuzz_kit.h"

#include "../../service/core/page_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OUT_MAX (4u * 1024u * 1024u)

static struct sp_page_values values_of(struct sp_str text, const char *cstr)
{
    return (struct sp_page_values){ .outcome = cstr,
        .reason = cstr,
        .rule = cstr,
        .rule_name = cstr,
        .category = cstr,
        .signature = cstr,
        .id = cstr,
        .time = cstr,
        .url = text,
        .host = text };
}

/* Any bytes as a template: refused with a text, or rendered. */
static void try_template(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("template", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, data, size) == (ssize_t) size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct sp_error err = { 0 };
    struct sp_page *page = NULL;
    struct sp_page_values values = values_of(SP_STR("a<b"), "c>d");
    struct sp_buf out;
    sp_buf_init(&out, OUT_MAX);
    enum sp_status status = sp_page_new(&(struct sp_page_options){ .path = path, .contact = "desk" }, &err, &page);
    require((status == SP_OK) == (page != NULL) && (status == SP_OK) == (err.text[0] == '\0'));
    if (status == SP_OK) {
        status = sp_page_render(page, SP_PAGE_HTML, &values, &out);
        require(status == SP_OK || status == SP_ERR_LIMIT);
    }
    sp_buf_fini(&out);
    sp_page_free(&page);
    close(fd);
}

static size_t count(const struct sp_buf *buf, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < buf->n; i++)
        n += buf->p[i] == c;
    return n;
}

/* One object: true first, then strings without anything that JSON or markup would act on. */
static void require_json(const struct sp_buf *buf)
{
    static const char head[] = "{\"blocked\":true";
    require(buf->n > sizeof(head) && memcmp(buf->p, head, sizeof(head) - 1) == 0);
    size_t n_quotes = 0;
    for (size_t i = sizeof(head) - 1; i < buf->n; i++) {
        unsigned char c = (unsigned char) buf->p[i];
        if (c == '\\') {
            require(n_quotes % 2 == 1 && strchr("\"\\u", buf->p[i + 1]) != NULL);
            i++;
            continue;
        }
        n_quotes += c == '"';
        require(c != '<' && c != '>' && c != '&' && (c >= 0x20 || i + 1 == buf->n));
    }
    require(n_quotes == 8 * 4 && memcmp(buf->p + buf->n - 3, "\"}\n", 3) == 0);
}

/* One comment from the first byte to the last line, and nothing that ends a script element. */
static void require_comment(const struct sp_buf *buf)
{
    require(buf->n > 5 && memcmp(buf->p, "/*\n", 3) == 0 && memcmp(buf->p + buf->n - 4, "\n*/\n", 4) == 0);
    require(memmem(buf->p, buf->n, "*/", 2) == buf->p + buf->n - 3);
    require(count(buf, '<') == 0 && count(buf, '>') == 0);
}

/* bad has hostile values where good has harmless ones. */
static void try_small_forms(const struct sp_page *page, const struct sp_page_values *bad, const struct sp_page_values *good)
{
    struct sp_buf plain, hostile;
    sp_buf_init(&plain, OUT_MAX);
    sp_buf_init(&hostile, OUT_MAX);
    for (unsigned format = 0; format < SP_PAGE_FORMATS; format++) {
        sp_buf_clear(&plain);
        sp_buf_clear(&hostile);
        require(sp_page_render(page, (enum sp_page_format) format, good, &plain) == SP_OK);
        require(sp_page_render(page, (enum sp_page_format) format, bad, &hostile) == SP_OK);
        require(count(&plain, '\n') == count(&hostile, '\n'));
        if (format == SP_PAGE_SCRIPT || format == SP_PAGE_STYLE)
            require_comment(&hostile);
        if (format == SP_PAGE_SVG)
            require(count(&plain, '<') == count(&hostile, '<') && count(&plain, '>') == count(&hostile, '>'));
        if (format == SP_PAGE_GIF)
            require(plain.n == hostile.n && memcmp(plain.p, hostile.p, plain.n) == 0);
    }
    sp_buf_fini(&plain);
    sp_buf_fini(&hostile);
}

/* Any bytes as every value of the built-in page. */
static void try_values(const uint8_t *data, size_t size)
{
    char *cstr = malloc(size + 1);
    struct sp_page *page = NULL;
    struct sp_buf plain, hostile;
    require(cstr != NULL);
    if (size > 0)
        memcpy(cstr, data, size);
    cstr[size] = '\0';
    sp_buf_init(&plain, OUT_MAX);
    sp_buf_init(&hostile, OUT_MAX);
    require(sp_page_new(&(struct sp_page_options){ .path = "", .contact = cstr }, NULL, &page) == SP_OK);

    const char *harmless = cstr[0] != '\0' ? "x" : "";
    struct sp_page_values bad = values_of((struct sp_str){ cstr, size }, cstr);
    struct sp_page_values good = values_of(size > 0 ? SP_STR("x") : SP_STR(""), harmless);
    require(sp_page_render(page, SP_PAGE_HTML, &bad, &hostile) == SP_OK);
    require(sp_page_render(page, SP_PAGE_HTML, &good, &plain) == SP_OK);
    require(count(&plain, '<') == count(&hostile, '<') && count(&plain, '>') == count(&hostile, '>'));
    require(count(&plain, '"') == count(&hostile, '"'));
    sp_buf_clear(&hostile);
    require(sp_page_render(page, SP_PAGE_JSON, &bad, &hostile) == SP_OK);
    require_json(&hostile);
    try_small_forms(page, &bad, &good);

    sp_buf_fini(&plain);
    sp_buf_fini(&hostile);
    sp_page_free(&page);
    free(cstr);
}

/* Any bytes as the languages that a person reads. */
static void try_language(struct sp_str text)
{
    static struct sp_page_texts texts = { .languages = { { "en", NULL }, { "de", NULL }, { "zh-TW", NULL } }, .n = 3 };
    struct sp_field fields[] = { { SP_STR("Accept-Language"), text }, { SP_STR("accept-language"), text } };
    struct sp_message request = { .kind = SP_MESSAGE_REQUEST, .fields = fields, .n_fields = 2 };
    require(sp_page_language_choose(&texts, &request) < texts.n);
}

static void try_accept(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1); /* its own allocation, so that reading past it is seen */
    require(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    const struct sp_str text = { copy, size };
    struct sp_field fields[] = { { SP_STR("Accept"), text }, { SP_STR("X-Requested-With"), text }, { SP_STR("Sec-Fetch-Dest"), text } };
    struct sp_field type = { SP_STR("Content-Type"), text };
    struct sp_message request = { .kind = SP_MESSAGE_REQUEST, .fields = fields, .path = text };
    const struct sp_message response = { .kind = SP_MESSAGE_RESPONSE, .fields = &type, .n_fields = 1 };
    for (; request.n_fields <= 3; request.n_fields++)
        require(sp_page_content_type(sp_page_choose(&request, &response)) != NULL);
    try_language(text);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        try_template(data + 1, size - 1);
        break;
    case 1:
        try_values(data + 1, size - 1);
        break;
    default:
        try_accept(data + 1, size - 1);
        break;
    }
    return 0;
}
