/* What an engine must prove before it serves. */
#include "config.h"

#include "selftest.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char sp_eicar_hex[2 * SP_EICAR_BYTES + 1] = "58354f2150254041505b345c505a58353428505e2937434329377d2445494341522d"
                                                  "5354414e444152442d414e544956495255532d544553542d46494c452124482b482a";

/* What a signature that is too short, or matches a format as such, would hit: each of these is most of the web's traffic. */
static const char page[] = "<!DOCTYPE html><html><head><title>A page</title></head><body><p>Nothing to see here.</p></body></html>\n";
static const char script[] = "(function () { \"use strict\"; var n = document.querySelectorAll(\"a\").length; console.log(n); })();\n";
static const char json[] = "{\"items\": [{\"id\": 1, \"name\": \"one\"}, {\"id\": 2, \"name\": \"two\"}], \"next\": null}\n";
static const char pdf[] = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\nxref\n0 3\n"
                          "0000000000 65535 f \n0000000009 00000 n \n0000000052 00000 n \n"
                          "trailer<</Size 3/Root 1 0 R>>\nstartxref\n96\n%%EOF\n";
/* one pixel */
static const unsigned char png[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00,
    0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0x3a, 0x7e, 0x9b, 0x55, 0x00, 0x00, 0x00, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63,
    0x68, 0x00, 0x00, 0x00, 0x82, 0x00, 0x81, 0xda, 0x45, 0x08, 0x3b, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60,
    0x82
};
/* one member, stored */
static const unsigned char zip[] = {
    0x50, 0x4b, 0x03, 0x04, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21, 0x58, 0x20, 0x30, 0x3a, 0x36, 0x06, 0x00, 0x00, 0x00,
    0x06, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x61, 0x2e, 0x74, 0x78, 0x74, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x0a, 0x50, 0x4b, 0x01,
    0x02, 0x14, 0x03, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21, 0x58, 0x20, 0x30, 0x3a, 0x36, 0x06, 0x00, 0x00, 0x00, 0x06,
    0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x01, 0x00, 0x00, 0x00, 0x00, 0x61,
    0x2e, 0x74, 0x78, 0x74, 0x50, 0x4b, 0x05, 0x06, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01, 0x00, 0x33, 0x00, 0x00, 0x00, 0x29, 0x00,
    0x00, 0x00, 0x00, 0x00
};
static const unsigned char gzip[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0x73, 0x54, 0x28, 0x48, 0x4c, 0x4f, 0xd5, 0x01, 0x92, 0xc9, 0xd9, 0xa9,
    0x29, 0x7a, 0x5c, 0x00, 0xa8, 0x15, 0x5c, 0x3e, 0x10, 0x00, 0x00, 0x00
};

static const struct sample {
    const char *what;
    const void *p;
    size_t n;
} harmless[] = {
    { "a harmless page", page, sizeof(page) - 1 },
    { "a harmless script", script, sizeof(script) - 1 },
    { "harmless JSON", json, sizeof(json) - 1 },
    { "a harmless PDF", pdf, sizeof(pdf) - 1 },
    { "a harmless picture", png, sizeof(png) },
    { "a harmless zip", zip, sizeof(zip) },
    { "a harmless gzip", gzip, sizeof(gzip) },
};

/* A member of 68 bytes that is stored, not packed: everything before it, and the end of the archive. */
static const unsigned char rar_head[] = { 0x52, 0x61, 0x72, 0x21, 0x1a, 0x07, 0x00, 0xcf, 0x90, 0x73, 0x00, 0x00, 0x0d, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x57, 0x6e, 0x74, 0x00, 0x80, 0x21, 0x00, 0x44, 0x00, 0x00, 0x00, 0x44, 0x00, 0x00, 0x00, 0x03, 0x3c, 0xcf,
    0x51, 0x68, 0x00, 0x00, 0x21, 0x00, 0x14, 0x30, 0x01, 0x00, 0xa4, 0x81, 0x00, 0x00, 0x65 };
static const unsigned char rar_end[] = { 0xc4, 0x3d, 0x7b, 0x00, 0x40, 0x07, 0x00 };

static unsigned char nibble(char c)
{
    return (unsigned char) (c <= '9' ? c - '0' : c - 'a' + 10);
}

static void make_eicar(unsigned char *out)
{
    for (size_t i = 0; i < SP_EICAR_BYTES; i++)
        out[i] = (unsigned char) (nibble(sp_eicar_hex[2 * i]) << 4 | nibble(sp_eicar_hex[2 * i + 1]));
}

static enum sp_status expect(const struct sp_engine_result *got, enum sp_verdict want, const char *what, struct sp_error *err)
{
    if (got->verdict == want)
        return SP_OK;
    const char *why = got->verdict == SP_VERDICT_INFECTED ? got->signature : got->detail;
    return sp_error_set(err, SP_ERR_CONF, "self-test: %s is %s%s%s, not %s", what, sp_verdict_name(got->verdict), why[0] ? ": " : "", why,
        sp_verdict_name(want));
}

static enum sp_status test_descriptor(const struct sp_engine *engine, const unsigned char *p, size_t n, struct sp_error *err)
{
    struct sp_engine_result result;
    enum sp_status status = SP_OK;
    int fd = memfd_create("sallyport-selftest", MFD_CLOEXEC);
    if (fd < 0 || write(fd, p, n) != (ssize_t) n) {
        status = sp_error_set(err, SP_ERR_IO, "self-test: cannot make a file in memory: %s", strerror(errno));
    } else {
        sp_engine_scan_fd(engine, fd, 0, n, &result);
        status = expect(&result, SP_VERDICT_INFECTED, "the EICAR test file by descriptor", err);
    }
    if (fd >= 0)
        close(fd);
    return status;
}

enum sp_status sp_selftest(const struct sp_engine *engine, struct sp_error *err)
{
    unsigned char eicar[SP_EICAR_BYTES];
    struct sp_engine_result result;
    make_eicar(eicar);
    sp_engine_scan_memory(engine, eicar, sizeof(eicar), &result);
    enum sp_status status = expect(&result, SP_VERDICT_INFECTED, "the EICAR test file", err);
    if (status == SP_OK)
        status = test_descriptor(engine, eicar, sizeof(eicar), err);
    memset(eicar, 0, sizeof(eicar));
    for (size_t i = 0; status == SP_OK && i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        sp_engine_scan_memory(engine, harmless[i].p, harmless[i].n, &result);
        status = expect(&result, SP_VERDICT_CLEAN, harmless[i].what, err);
    }
    return status;
}

bool sp_selftest_rar(const struct sp_engine *engine)
{
    unsigned char rar[sizeof(rar_head) + SP_EICAR_BYTES + sizeof(rar_end)];
    struct sp_engine_result result;
    memcpy(rar, rar_head, sizeof(rar_head));
    make_eicar(rar + sizeof(rar_head));
    memcpy(rar + sizeof(rar_head) + SP_EICAR_BYTES, rar_end, sizeof(rar_end));
    sp_engine_scan_memory(engine, rar, sizeof(rar), &result);
    memset(rar, 0, sizeof(rar));
    return result.verdict == SP_VERDICT_INFECTED;
}
