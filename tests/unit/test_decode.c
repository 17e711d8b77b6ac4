/* The chain of content codings, right and wrong bodies: every coding, stacked, cut, flipped, in any chunks. */
#include "config.h"

#include "decode_kit.h"

/* --- the header ------------------------------------------------------------------------------------------------------- */

START_TEST(header_forms)
{
    static const struct {
        const char *values[4];
        bool is_needed;
        enum sp_decode_result result;
    } cases[] = {
        { { NULL }, false, SP_DECODE_OK },
        { { "" }, false, SP_DECODE_OK },
        { { "identity" }, false, SP_DECODE_OK },
        { { " , ,IDENTITY\t,, " }, false, SP_DECODE_OK },
        { { "identity", "Identity" }, false, SP_DECODE_OK },
        { { "UTF-8" }, false, SP_DECODE_OK },
        { { "none", "binary, 8bit" }, false, SP_DECODE_OK },
        { { "utf-16" }, true, SP_DECODE_BAD },
        { { "gzip" }, true, SP_DECODE_OK },
        { { "GZip" }, true, SP_DECODE_OK },
        { { "x-gzip" }, true, SP_DECODE_OK },
        { { "X-GZIP" }, true, SP_DECODE_OK },
        { { "\tdeflate " }, true, SP_DECODE_OK },
        { { "br" }, true, SP_DECODE_OK },
        { { "zstd" }, true, SP_DECODE_OK },
        { { "gzip,br" }, true, SP_DECODE_OK },
        { { "gzip ,\r\n br" }, true, SP_DECODE_OK },
        { { ",,gzip,, ,br,," }, true, SP_DECODE_OK },
        { { "gzip", "br" }, true, SP_DECODE_OK },
        { { "identity", "", "br" }, true, SP_DECODE_OK },
        { { "compress" }, true, SP_DECODE_BAD },
        { { "x-compress" }, true, SP_DECODE_BAD },
        { { "gzip, foo" }, true, SP_DECODE_BAD },
        { { "gzip", "foo" }, true, SP_DECODE_BAD },
        { { "gzi" }, true, SP_DECODE_BAD },
        { { "gzipp" }, true, SP_DECODE_BAD },
        { { "x-br" }, true, SP_DECODE_BAD },
        { { "*" }, true, SP_DECODE_BAD },
        { { "gzip;q=1" }, true, SP_DECODE_BAD },
        { { "\"gzip\"" }, true, SP_DECODE_BAD },
        { { "gzip br" }, true, SP_DECODE_BAD },
        { { "gzip\v" }, true, SP_DECODE_BAD },
        { { "noner" }, true, SP_DECODE_BAD },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct head head;
        struct sp_decode *chain = NULL;
        struct sp_error detail = { 0 };
        struct run run = { 0 };
        const struct sp_message *msg = head_with(&head, cases[i].values);
        REQUIRE(sp_decode_is_needed(msg) == cases[i].is_needed, "case %zu: needed", i);
        enum sp_decode_result result = sp_decode_new(msg, &roomy, sink, &run, &detail, &chain);
        REQUIRE(result == cases[i].result, "case %zu: %d", i, (int) result);
        REQUIRE((chain != NULL) == (result == SP_DECODE_OK), "case %zu: chain", i);
        REQUIRE((detail.text[0] != '\0') == (result != SP_DECODE_OK), "case %zu: text \"%s\"", i, detail.text);
        sp_decode_free(&chain);
        sp_decode_free(&chain);
    }
}
END_TEST

START_TEST(unknown_name_is_safe_to_log)
{
    static const struct {
        const char *value, *text;
    } cases[] = {
        { "compress", "unknown content coding \"compress\"" },
        { "a\nb\x1b[31m\xff", "unknown content coding \"a?b?[31m?\"" },
        { "0123456789012345678901234567890123456789", "unknown content coding \"0123456789012345678901234567890123456789\"" },
        { "0123456789012345678901234567890123456789x", "unknown content coding \"0123456789012345678901234567890123456789\" (cut)" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct run run = { 0 };
        ck_assert_int_eq(decode(&run, cases[i].value, &roomy, NULL, 0, 1), SP_DECODE_BAD);
        ck_assert_str_eq(run.detail.text, cases[i].text);
    }
}
END_TEST

START_TEST(layers_are_counted)
{
    static const struct {
        const char *value;
        unsigned max;
        enum sp_decode_result result;
    } cases[] = {
        { "gzip", 1, SP_DECODE_OK },
        { "gzip, identity, identity", 1, SP_DECODE_OK },
        { "gzip,gzip", 1, SP_DECODE_LIMIT },
        { "gzip,br,zstd,deflate", 4, SP_DECODE_OK },
        { "gzip,br,zstd,deflate,gzip", 4, SP_DECODE_LIMIT },
        { "gzip,br,zstd,deflate,foo", 4, SP_DECODE_BAD },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct run run = { 0 };
        struct sp_decode_limits limits = roomy;
        limits.max_layers = cases[i].max;
        enum sp_decode_result result = decode(&run, cases[i].value, &limits, NULL, 0, 1);
        REQUIRE(result == cases[i].result, "%s: %d", cases[i].value, (int) result);
    }
}
END_TEST

/* --- what is right ---------------------------------------------------------------------------------------------------- */

START_TEST(every_coding_every_chunking)
{
    static const size_t sizes[] = { 0, 1, 2, 5, 300, 32767, 32768, 32769, 200000 };
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct bytes plain = make_body(sizes[s]);
        expect_always("identity", "identity", &plain, SP_DECODE_OK, &plain);
        for (size_t i = 0; i < N_CODINGS; i++) {
            struct bytes encoded = codings[i].encode(&plain);
            expect_always(codings[i].title, codings[i].name, &encoded, SP_DECODE_OK, &plain);
            drop(&encoded);
        }
        drop(&plain);
    }
}
END_TEST

START_TEST(empty_body)
{
    static const char *const values[] = { "", "identity", "gzip", "deflate", "br", "zstd", "br, gzip", "gzip, zstd, deflate" };
    struct bytes nothing = { 0 };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        expect("empty", values[i], &nothing, 1, SP_DECODE_OK, &nothing);
}
END_TEST

START_TEST(every_stack_of_two)
{
    struct bytes plain = make_body(3000);
    for (size_t a = 0; a < N_CODINGS; a++) {
        for (size_t b = 0; b < N_CODINGS; b++) {
            struct bytes inner = codings[a].encode(&plain), outer = codings[b].encode(&inner);
            char value[64];
            snprintf(value, sizeof(value), "%s, %s", codings[a].name, codings[b].name);
            expect_always(codings[b].title, value, &outer, SP_DECODE_OK, &plain);
            /* In the other order it is not the same body, unless both names are the same. */
            snprintf(value, sizeof(value), "%s, %s", codings[b].name, codings[a].name);
            if (strcmp(codings[a].name, codings[b].name) != 0)
                expect_always(codings[b].title, value, &outer, SP_DECODE_BAD, NULL);
            /* One coding too few gives the inner one, one too many fails. */
            expect("too few", codings[b].name, &outer, SIZE_MAX, SP_DECODE_OK, &inner);
            snprintf(value, sizeof(value), "gzip,%s,%s", codings[a].name, codings[b].name);
            expect("too many", value, &outer, SIZE_MAX, SP_DECODE_BAD, NULL);
            drop(&inner);
            drop(&outer);
        }
    }
    drop(&plain);
}
END_TEST

START_TEST(stack_of_all)
{
    struct bytes plain = make_body(150000), now = make_body(150000);
    char value[128] = "";
    for (size_t i = 0; i < N_CODINGS; i++) {
        struct bytes next = codings[i].encode(&now);
        drop(&now);
        now = next;
        strncat(value, i > 0 ? ", " : "", sizeof(value) - strlen(value) - 1);
        strncat(value, codings[i].name, sizeof(value) - strlen(value) - 1);
    }
    expect_always("all", value, &now, SP_DECODE_OK, &plain);
    drop(&plain);
    drop(&now);
}
END_TEST

START_TEST(real_compressors)
{
    static const char *const files[][2] = { { "plain.txt.br", "br" }, { "plain.txt.zst", "zstd" }, { "stdin.zst", "zstd" } };
    struct bytes plain = load("plain.txt");
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct bytes encoded = load(files[i][0]), wrapped = to_gzip(&encoded);
        char value[32];
        snprintf(value, sizeof(value), "%s, x-gzip", files[i][1]);
        expect_always(files[i][0], files[i][1], &encoded, SP_DECODE_OK, &plain);
        expect_always(files[i][0], value, &wrapped, SP_DECODE_OK, &plain);
        drop(&encoded);
        drop(&wrapped);
    }
    drop(&plain);
}
END_TEST

/* Both forms at every level and window, over bodies of all small sizes. */
START_TEST(deflate_forms)
{
    for (size_t n = 0; n < 700; n += n < 40 ? 1 : 37) {
        struct bytes plain = make_body(n);
        for (int level = 0; level <= 9; level++) {
            for (int bits = 9; bits <= MAX_WBITS; bits += 2) {
                struct bytes zlib = deflate_with(&plain, bits, level), raw = deflate_with(&plain, -bits, level);
                expect("zlib", "deflate", &zlib, level % 2 ? 1 : SIZE_MAX, SP_DECODE_OK, &plain);
                expect("raw", "deflate", &raw, level % 2 ? 1 : SIZE_MAX, SP_DECODE_OK, &plain);
                drop(&zlib);
                drop(&raw);
            }
        }
        drop(&plain);
    }
}
END_TEST

/* Which form a body has, by its first bytes. */
START_TEST(deflate_heads)
{
    static const struct {
        const char *bytes;
        size_t n;
        enum sp_decode_result result;
    } cases[] = {
        { "\x78\x01\x00\xfe\xff\x01", 6, SP_DECODE_BAD },                                   /* both readings begin well */
        { "\x78\x01\x01\x00\x00\xff\xff\x00\x00\x00\x01", 11, SP_DECODE_OK },               /* zlib, an empty stored block */
        { "\x78\x01\x03\x00\x00\x00\x00\x01", 8, SP_DECODE_OK },                            /* zlib, an empty fixed block */
        { "\x78\x01", 2, SP_DECODE_BAD },                                                   /* only a header */
        { "\x78", 1, SP_DECODE_BAD }, { "\x03\x00", 2, SP_DECODE_OK },                      /* raw and empty */
        { "\x03", 1, SP_DECODE_BAD }, { "\x78\x20\x00\x00\x00\x00\x00", 7, SP_DECODE_BAD }, /* header says dictionary */
        { "\x79\x00\x00\x00\x00", 5, SP_DECODE_BAD },                                       /* neither */
        { "\x08\x00\x00\xff\xff\x03\x00", 7, SP_DECODE_OK },                                /* raw: stored with an odd header, then empty */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes b = { 0 }, nothing = { 0 };
        add(&b, cases[i].bytes, cases[i].n);
        expect_always("forms", "deflate", &b, cases[i].result, cases[i].result == SP_DECODE_OK ? &nothing : NULL);
        drop(&b);
    }
}
END_TEST

/* Both readings hold to the end: with a header a stored block of 0xfefe bytes and a checksum, without one of 0x0101 bytes first. */
START_TEST(deflate_in_two_ways)
{
    struct bytes text = make_body(0xfefe), b = { 0 };
    uLong sum = adler32(adler32(0, NULL, 0), text.p, (uInt) text.n);
    add(&b, "\x78\x01\x01\xfe\xfe\x01\x01", 7);
    add(&b, text.p, text.n);
    for (unsigned i = 0; i < 4; i++)
        add_byte(&b, (unsigned) (sum >> (24 - 8 * i)) & 0xff);
    expect_always("two ways", "deflate", &b, SP_DECODE_BAD, NULL);
    /* Another level in the header, and the second reading is gone. */
    b.p[1] = 0x9c;
    expect_always("one way", "deflate", &b, SP_DECODE_OK, &text);
    drop(&text);
    drop(&b);
}
END_TEST

/* --- what stands behind the end --------------------------------------------------------------------------------------- */

START_TEST(behind_the_end)
{
    struct bytes plain = make_body(1000), twice = { 0 };
    add(&twice, plain.p, plain.n);
    add(&twice, plain.p, plain.n);
    static const struct {
        const char *title;
        const char *tail;
        size_t n;
        enum sp_decode_result gzip, others;
    } tails[] = {
        { "a letter", "x", 1, SP_DECODE_BAD, SP_DECODE_BAD },
        { "a line end", "\r\n", 2, SP_DECODE_BAD, SP_DECODE_BAD },
        { "zero", "\0", 1, SP_DECODE_OK, SP_DECODE_BAD },
        { "zeros", "\0\0\0\0\0\0\0\0\0\0\0\0", 12, SP_DECODE_OK, SP_DECODE_BAD },
        { "zeros and a letter", "\0\0\0x", 4, SP_DECODE_BAD, SP_DECODE_BAD },
        { "half a member", "\x1f\x8b\x08", 3, SP_DECODE_BAD, SP_DECODE_BAD },
        { "zeros and half a member", "\0\x1f\x8b\x08", 4, SP_DECODE_BAD, SP_DECODE_BAD },
        { "zeros and a member", "\0\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0", 21, SP_DECODE_BAD, SP_DECODE_BAD },
    };
    for (size_t i = 0; i < N_CODINGS; i++) {
        struct bytes encoded = codings[i].encode(&plain);
        bool is_gzip = strcmp(codings[i].name, "gzip") == 0, is_zstd = strcmp(codings[i].name, "zstd") == 0;
        for (size_t t = 0; t < sizeof(tails) / sizeof(tails[0]); t++) {
            struct bytes b = { 0 };
            add(&b, encoded.p, encoded.n);
            add(&b, tails[t].tail, tails[t].n);
            expect_always(tails[t].title, codings[i].name, &b, is_gzip ? tails[t].gzip : tails[t].others, &plain);
            drop(&b);
        }
        struct bytes b = { 0 };
        add(&b, encoded.p, encoded.n);
        add(&b, encoded.p, encoded.n);
        expect_always(
            "twice", codings[i].name, &b, is_gzip || is_zstd ? SP_DECODE_OK : SP_DECODE_BAD, is_gzip || is_zstd ? &twice : &plain);
        drop(&b);
        drop(&encoded);
    }
    drop(&plain);
    drop(&twice);
}
END_TEST

START_TEST(gzip_members)
{
    struct bytes plain = { 0 }, encoded = { 0 };
    for (size_t i = 0; i < 50; i++) { /* empty ones among them */
        struct bytes part = make_body(i % 7 * 40), member = to_gzip(&part);
        add(&plain, part.p, part.n);
        add(&encoded, member.p, member.n);
        drop(&part);
        drop(&member);
    }
    expect_always("members", "gzip", &encoded, SP_DECODE_OK, &plain);
    encoded.p[encoded.n - 1] ^= 1; /* the last length */
    expect_always("members", "gzip", &encoded, SP_DECODE_BAD, &plain);
    encoded.p[encoded.n - 1] ^= 1;
    encoded.p[encoded.n - 5] ^= 1; /* the last checksum */
    expect_always("members", "gzip", &encoded, SP_DECODE_BAD, &plain);
    drop(&plain);
    drop(&encoded);
}
END_TEST

START_TEST(zstd_frames)
{
    static const char skippable[] = "\x53\x2a\x4d\x18\x05\0\0\0hello", skip_empty[] = "\x50\x2a\x4d\x18\0\0\0\0";
    struct bytes part = make_body(500), frame = to_zstd(&part), plain = { 0 }, encoded = { 0 }, nothing = { 0 };

    add(&encoded, skippable, sizeof(skippable) - 1);
    expect_always("only skipped", "zstd", &encoded, SP_DECODE_OK, &nothing);
    for (size_t i = 0; i < 3; i++) {
        add(&encoded, frame.p, frame.n);
        add(&plain, part.p, part.n);
        add(&encoded, skip_empty, sizeof(skip_empty) - 1);
        add(&encoded, skippable, sizeof(skippable) - 1);
        expect_always("frames", "zstd", &encoded, SP_DECODE_OK, &plain);
    }
    encoded.n--;
    expect_always("cut in what is skipped", "zstd", &encoded, SP_DECODE_BAD, &plain);
    drop(&part);
    drop(&frame);
    drop(&plain);
    drop(&encoded);
}
END_TEST

START_TEST(zstd_heads)
{
    static const struct {
        const char *title, *bytes;
        size_t n;
        enum sp_decode_result result;
    } cases[] = {
        { "window 2^23", "\x28\xb5\x2f\xfd\x00\x68\x09\x00\x00x", 10, SP_DECODE_OK },
        { "window 2^23 and an eighth", "\x28\xb5\x2f\xfd\x00\x69\x09\x00\x00x", 10, SP_DECODE_LIMIT },
        { "window 2^41", "\x28\xb5\x2f\xfd\x00\xff\x09\x00\x00x", 10, SP_DECODE_LIMIT },
        { "window 2^28, size known", "\x28\xb5\x2f\xfd\x80\x90\x01\x00\x00\x00\x09\x00\x00x", 14, SP_DECODE_LIMIT },
        { "single segment of 1", "\x28\xb5\x2f\xfd\x20\x01\x09\x00\x00x", 10, SP_DECODE_OK },
        { "single segment of 255, size is not a window", "\x28\xb5\x2f\xfd\x20\xff\x09\x00\x00x", 10, SP_DECODE_BAD },
        { "single segment of 2^62", "\x28\xb5\x2f\xfd\xe0\x00\x00\x00\x00\x00\x00\x00\x40\x09\x00\x00x", 17, SP_DECODE_LIMIT },
        { "a dictionary", "\x28\xb5\x2f\xfd\x21\x07\x01\x09\x00\x00x", 11, SP_DECODE_BAD },
        { "a reserved bit", "\x28\xb5\x2f\xfd\x28\x01\x09\x00\x00x", 10, SP_DECODE_BAD },
        { "a reserved block", "\x28\xb5\x2f\xfd\x20\x01\x0f\x00\x00x", 10, SP_DECODE_BAD },
        { "version 0.7", "\x27\xb5\x2f\xfd\x20\x01\x09\x00\x00x", 10, SP_DECODE_BAD },
        { "version 0.7, well formed", "\x27\xb5\x2f\xfd\x20\x01\x40\x00\x01x\xc0\x00\x00", 13, SP_DECODE_BAD },
        { "version 0.1", "\xfd\x2f\xb5\x1e\x20\x01\x09\x00\x00x", 10, SP_DECODE_BAD },
        { "no magic", "hello world", 11, SP_DECODE_BAD },
        { "a second frame, window 2^28", "\x28\xb5\x2f\xfd\x20\x01\x09\x00\x00x\x28\xb5\x2f\xfd\x80\x90\x01\x00\x00\x00\x09\x00\x00x", 24,
            SP_DECODE_LIMIT },
    };
    struct bytes plain = { 0 };
    add(&plain, "x", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes b = { 0 };
        add(&b, cases[i].bytes, cases[i].n);
        expect_always(cases[i].title, "zstd", &b, cases[i].result, cases[i].result == SP_DECODE_OK ? &plain : NULL);
        drop(&b);
    }
    struct bytes file = load("long28.zst");
    expect_always("long28.zst", "zstd", &file, SP_DECODE_LIMIT, NULL);
    drop(&file);
    drop(&plain);
}
END_TEST

/* --- what is wrong ---------------------------------------------------------------------------------------------------- */

START_TEST(wrong_label)
{
    struct bytes plain = load("plain.txt");
    for (size_t i = 0; i < N_CODINGS; i++) {
        expect_always("plain", codings[i].name, &plain, SP_DECODE_BAD, NULL);
        for (size_t j = 0; j < N_CODINGS; j++) {
            struct bytes encoded = codings[j].encode(&plain);
            if (strcmp(codings[i].name, codings[j].name) != 0)
                expect_always(codings[j].title, codings[i].name, &encoded, SP_DECODE_BAD, NULL);
            drop(&encoded);
        }
    }
    drop(&plain);
}
END_TEST

static void cut_everywhere(const char *title, const char *value, const struct bytes *encoded, const struct bytes *plain)
{
    for (size_t n = 1; n < encoded->n; n++) {
        for (size_t chunk = 1; chunk != 0; chunk = chunk == 1 ? SIZE_MAX : 0) {
            struct run run = { 0 };
            enum sp_decode_result result = decode(&run, value, &roomy, encoded->p, n, chunk);
            REQUIRE(result == SP_DECODE_BAD, "%s cut at %zu of %zu: %d", title, n, encoded->n, (int) result);
            REQUIRE(run.out.n <= plain->n && memcmp(run.out.n > 0 ? run.out.p : plain->p, plain->p, run.out.n) == 0,
                "%s cut at %zu: other bytes", title, n);
            run_free(&run);
        }
    }
}

START_TEST(cut_at_each_offset)
{
    struct bytes plain = load("plain.txt"), br = load("plain.txt.br"), zst = load("plain.txt.zst"), piped = load("stdin.zst");
    for (size_t i = 0; i < N_CODINGS; i++) {
        struct bytes one = codings[i].encode(&plain), two = codings[(i + 1) % N_CODINGS].encode(&one);
        char value[64];
        snprintf(value, sizeof(value), "%s,%s", codings[i].name, codings[(i + 1) % N_CODINGS].name);
        cut_everywhere(codings[i].title, codings[i].name, &one, &plain);
        cut_everywhere(value, value, &two, &plain);
        drop(&one);
        drop(&two);
    }
    cut_everywhere("plain.txt.br", "br", &br, &plain);
    cut_everywhere("plain.txt.zst", "zstd", &zst, &plain);
    cut_everywhere("stdin.zst", "zstd", &piped, &plain);
    drop(&plain);
    drop(&br);
    drop(&zst);
    drop(&piped);
}
END_TEST

/* No flip may crash; with a checksum none may give other bytes and OK. */
static void flip_everywhere(const char *title, const char *value, struct bytes *encoded, const struct bytes *plain, bool has_checksum)
{
    for (size_t bit = 0; bit < encoded->n * 8; bit++) {
        struct run whole = { 0 }, slow = { 0 };
        encoded->p[bit / 8] ^= (unsigned char) (1u << bit % 8);
        enum sp_decode_result a = decode(&whole, value, &roomy, encoded->p, encoded->n, SIZE_MAX);
        enum sp_decode_result b = decode(&slow, value, &roomy, encoded->p, encoded->n, 1);
        encoded->p[bit / 8] ^= (unsigned char) (1u << bit % 8);
        REQUIRE(a == b, "%s, bit %zu: %d whole, %d byte by byte: %s", title, bit, (int) a, (int) b, slow.detail.text);
        if (a == SP_DECODE_OK) {
            REQUIRE(whole.out.n == slow.out.n, "%s, bit %zu: lengths differ", title, bit);
            REQUIRE(whole.out.n == 0 || memcmp(whole.out.p, slow.out.p, slow.out.n) == 0, "%s, bit %zu: bytes differ", title, bit);
        }
        if (a == SP_DECODE_OK && has_checksum && whole.out.n > 0)
            REQUIRE(whole.out.n == plain->n && memcmp(whole.out.p, plain->p, plain->n) == 0, "%s, bit %zu: OK but wrong", title, bit);
        run_free(&whole);
        run_free(&slow);
    }
}

START_TEST(flip_each_bit)
{
    struct bytes plain = load("plain.txt"), br = load("plain.txt.br"), zst = load("plain.txt.zst");
    struct bytes gz = to_gzip(&plain), zlib = to_zlib(&plain), raw = to_raw(&plain);
    flip_everywhere("gzip", "gzip", &gz, &plain, true);
    flip_everywhere("zlib", "deflate", &zlib, &plain, true);
    flip_everywhere("raw", "deflate", &raw, &plain, false);
    flip_everywhere("br", "br", &br, &plain, false);
    flip_everywhere("zstd", "zstd", &zst, &plain, false);
    drop(&plain);
    drop(&br);
    drop(&zst);
    drop(&gz);
    drop(&zlib);
    drop(&raw);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("decode");
    tcase_add_test(c, header_forms);
    tcase_add_test(c, unknown_name_is_safe_to_log);
    tcase_add_test(c, layers_are_counted);
    tcase_add_test(c, every_coding_every_chunking);
    tcase_add_test(c, empty_body);
    tcase_add_test(c, every_stack_of_two);
    tcase_add_test(c, stack_of_all);
    tcase_add_test(c, real_compressors);
    tcase_add_test(c, deflate_forms);
    tcase_add_test(c, deflate_heads);
    tcase_add_test(c, deflate_in_two_ways);
    tcase_add_test(c, behind_the_end);
    tcase_add_test(c, gzip_members);
    tcase_add_test(c, zstd_frames);
    tcase_add_test(c, zstd_heads);
    tcase_add_test(c, wrong_label);
    tcase_add_test(c, cut_at_each_offset);
    tcase_add_test(c, flip_each_bit);
    return unit_run("decode", c);
}
