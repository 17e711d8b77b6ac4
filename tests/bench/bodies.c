/* Bodies as they are on the way: made of words, code, compressed streams and members. A body must cost every contestant the same, so it
 * is a function of its arguments alone: any two programs that ask for the same get the same bytes. */
#include "config.h"

#include "bodies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define TEXT_STAMPS 3u
#define STAMP_TEXT "Reference 0000000000000000. "
#define STAMP_SKIP 10  /* to the first digit in STAMP_TEXT */
#define STORED_HEAD 5u /* of a stored block of deflate */
#define DEFLATE_LEVEL 3
#define MAX_PART 98304u /* plain bytes of one stream or member */
#define MAX_PARTS 128u
#define MAX_PAGES 64u

static const char *const words[] = { "the", "of", "and", "to", "in", "is", "that", "for", "it", "was", "on", "are", "as", "with", "his",
    "they", "at", "be", "this", "from", "have", "or", "by", "one", "had", "not", "but", "what", "all", "were", "when", "we", "there", "can",
    "an", "your", "which", "their", "said", "if", "do", "will", "each", "about", "how", "up", "out", "them", "then", "she", "many", "some",
    "so", "these", "would", "other", "into", "has", "more", "her", "two", "like", "him", "see", "time", "could", "no", "make", "than",
    "first", "been", "its", "who", "now", "people", "my", "made", "over", "did", "down", "only", "way", "find", "use", "may", "water",
    "long", "little", "very", "after", "words", "called", "just", "where", "most", "know", "harbour", "garden", "letter", "morning",
    "weather", "station", "window", "language", "mountain", "question", "summer", "library", "evening", "delivery", "agreement", "reader",
    "history", "material", "distance", "government", "machine", "science", "village", "journey", "market", "silver", "bridge", "captain",
    "orchard", "paper", "winter" };
#define WORDS (sizeof words / sizeof words[0])

/* Text under construction. What does not fit any more is left out whole. */
struct writer {
    char *p;
    size_t n, used;
    uint64_t random;
};

static int put_bytes(struct writer *w, const void *p, size_t n)
{
    if (n > w->n - w->used)
        return 0;
    memcpy(w->p + w->used, p, n);
    w->used += n;
    return 1;
}

static int put(struct writer *w, const char *text)
{
    return put_bytes(w, text, strlen(text));
}

static unsigned roll(struct writer *w, unsigned sides)
{
    w->random = bench_mix(w->random);
    return (unsigned) (w->random % sides);
}

static const char *word(struct writer *w)
{
    return words[roll(w, WORDS)];
}

static struct bench_stamp *add_stamp(struct bench_body *body, size_t at)
{
    if (body->n_stamps == BENCH_MAX_STAMPS)
        bench_die("too many stamps");
    struct bench_stamp *stamp = &body->stamps[body->n_stamps++];
    stamp->at = at;
    return stamp;
}

/* One sentence of 6 to 17 words; in a page now and then a word is a link. 0 when the room is used up. */
static int put_sentence(struct writer *w, int html)
{
    unsigned n = 6 + roll(w, 12);
    for (unsigned i = 0; i < n; i++) {
        const char *next = word(w);
        char text[96];
        const char *end = i + 1 == n ? ". " : " ";
        if (html && roll(w, 24) == 0)
            snprintf(text, sizeof text, "<a href=\"/%s/%u.html\">%s</a>%s", word(w), roll(w, 10000), next, end);
        else
            snprintf(text, sizeof text, "%s%s", next, end);
        if (i == 0 && text[0] >= 'a' && text[0] <= 'z')
            text[0] = (char) (text[0] - 'a' + 'A');
        if (!put(w, text))
            return 0;
    }
    return 1;
}

static void put_paragraph(struct writer *w, int html)
{
    unsigned n = 3 + roll(w, 5);
    put(w, html ? "<p class=\"text\">" : "");
    for (unsigned i = 0; i < n; i++)
        if (!put_sentence(w, html))
            break;
    put(w, html ? "</p>\n" : "\n\n");
}

/* A function of some statements, as scripts of the web are once their names are long again. */
static void put_function(struct writer *w)
{
    char text[256];
    snprintf(text, sizeof text, "function %s_%s%u(%s, options) {\n  var %s = options.%s || %u, list = [];\n", word(w), word(w),
        roll(w, 1000), word(w), word(w), word(w), roll(w, 100000));
    put(w, text);
    for (unsigned i = 3 + roll(w, 6); i > 0; i--) {
        switch (roll(w, 4)) {
        case 0:
            snprintf(text, sizeof text, "  if (options.%s > %u) { return this.%s(\"%s-%s\", %u); }\n", word(w), roll(w, 4096), word(w),
                word(w), word(w), roll(w, 65536));
            break;
        case 1:
            snprintf(text, sizeof text, "  for (var i = 0; i < %u; i++) { list.push({ %s: i * %u, %s: \"#%06x\" }); }\n", roll(w, 512),
                word(w), roll(w, 64), word(w), roll(w, 1 << 24));
            break;
        case 2:
            snprintf(text, sizeof text, "  document.querySelector(\".%s-%s\").addEventListener(\"%s\", function (e) { e.%s(); });\n",
                word(w), word(w), word(w), word(w));
            break;
        default:
            snprintf(text, sizeof text, "  this.%s = Object.assign({}, this.%s, { id: \"%08x\" }); // %s %s\n", word(w), word(w),
                (unsigned) w->random, word(w), word(w));
        }
        put(w, text);
    }
    put(w, "  return list;\n}\n\n");
}

static void put_text_stamp(struct writer *w, struct bench_body *body, const char *before)
{
    put(w, before);
    size_t at = w->used + STAMP_SKIP;
    if (put(w, STAMP_TEXT))
        add_stamp(body, at);
    put(w, *before ? "\n" : "");
}

static void fill_words(struct bench_body *body, enum bench_form form, uint64_t seed)
{
    static const char top[] = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>The morning letter</title>\n"
                              "<link rel=\"stylesheet\" href=\"/style/main.css\">\n</head>\n<body>\n<h1>The morning letter</h1>\n";
    static const char bottom[] = "</body>\n</html>\n";
    int html = form == BENCH_HTML;
    size_t tail = html ? sizeof bottom - 1 : 0, n = body->n;
    struct writer w = { .p = body->p, .n = n > tail ? n - tail : 0, .used = 0, .random = seed };
    put(&w, html ? top : "");
    while (w.used + 1024 < w.n || (form != BENCH_SCRIPT && w.used + 256 < w.n)) {
        if (body->n_stamps < TEXT_STAMPS && w.used >= body->n_stamps * (w.n / TEXT_STAMPS))
            put_text_stamp(&w, body, form == BENCH_SCRIPT ? "// " : "");
        if (form == BENCH_SCRIPT)
            put_function(&w);
        else
            put_paragraph(&w, html);
    }
    while (w.used < w.n)
        put(&w, w.used % 64 == 0 ? "\n" : " ");
    w.n = n;
    put(&w, html ? bottom : "");
    memset(body->p + w.used, '\n', n - w.used);
}

/* Plain content of one stream or member: text, code, or what looks like a program or a picture (numbers that repeat somewhat). */
static size_t part_content(struct writer *w, char *out, size_t n, unsigned flavour)
{
    struct writer part = { .p = out, .n = n, .used = 0, .random = w->random };
    while (part.used + 1024 < n) {
        if (flavour == 0) {
            put_paragraph(&part, 0);
        } else if (flavour == 1) {
            put_function(&part);
        } else {
            char row[16];
            for (size_t i = 0; i < sizeof row; i++)
                row[i] = (char) (roll(&part, 8) < 3 ? 0 : roll(&part, 200));
            put_bytes(&part, row, sizeof row);
        }
    }
    w->random = part.random;
    return part.used;
}

/* Raw deflate: a stored block with the stamp, then content. Returns the bytes written, 0 if there is no room. */
static size_t put_deflated(struct writer *w, struct bench_stamp *stamp, char *content, size_t n)
{
    unsigned char head[STORED_HEAD] = { 0, BENCH_STAMP_DIGITS, 0, 0xff ^ BENCH_STAMP_DIGITS, 0xff };
    char digits[BENCH_STAMP_DIGITS];
    size_t begin = w->used;
    memset(digits, '0', sizeof digits);
    if (!put_bytes(w, head, sizeof head))
        return 0;
    stamp->at = w->used;
    if (!put_bytes(w, digits, sizeof digits))
        return 0;
    z_stream z = { .zalloc = Z_NULL };
    if (deflateInit2(&z, DEFLATE_LEVEL, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        bench_die("deflateInit2");
    z.next_in = (Bytef *) content;
    z.avail_in = (uInt) n;
    z.next_out = (Bytef *) w->p + w->used;
    z.avail_out = (uInt) (w->n - w->used);
    int done = deflate(&z, Z_FINISH);
    w->used += z.total_out;
    deflateEnd(&z);
    return done == Z_STREAM_END ? w->used - begin : 0;
}

static void put_le(char *p, uint32_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (char) (value >> (8 * i));
}

static void put_be32(char *p, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (char) (value >> (24 - 8 * i));
}

/* --- a PDF document ---------------------------------------------------------------------------------------------- */

struct pdf {
    struct writer w;
    size_t objects[MAX_PAGES * 5 + 8];
    unsigned n_objects;
};

static void pdf_object(struct pdf *pdf, const char *text)
{
    char line[64];
    pdf->objects[++pdf->n_objects] = pdf->w.used;
    snprintf(line, sizeof line, "%u 0 obj\n", pdf->n_objects);
    if (!put(&pdf->w, line) || !put(&pdf->w, text))
        bench_die("PDF too small");
}

/* Length is an object of its own, as it is in documents that are written in one go. */
static void pdf_stream(struct pdf *pdf, struct bench_body *body, const char *fields, char *content, size_t n)
{
    char line[256];
    snprintf(line, sizeof line, "<< %s /Filter /FlateDecode /Length %u 0 R >>\nstream\n", fields, pdf->n_objects + 2);
    pdf_object(pdf, line);
    size_t begin = pdf->w.used;
    struct bench_stamp *stamp = add_stamp(body, 0);
    put_bytes(&pdf->w, "\x78\x9c", 2);
    put_deflated(&pdf->w, stamp, content, n);
    *stamp = (struct bench_stamp){ .at = stamp->at,
        .check = BENCH_ADLER32,
        .check_at = { pdf->w.used, 0 },
        .rest_check = (uint32_t) adler32(adler32(0, Z_NULL, 0), (const Bytef *) content, (uInt) n),
        .rest_bytes = n };
    put_bytes(&pdf->w, "\0\0\0\0", 4);
    unsigned length = (unsigned) (pdf->w.used - begin);
    put(&pdf->w, "\nendstream\nendobj\n");
    snprintf(line, sizeof line, "%u\nendobj\n", length);
    pdf_object(pdf, line);
}

/* Text in a page's operators. The digits of the stamp stand before them, on a line of their own. */
static size_t page_content(struct writer *w, char *out, size_t n)
{
    struct writer page = { .p = out, .n = n, .used = 0, .random = w->random };
    put(&page, "\nBT /F1 11 Tf 60 780 Td 14 TL\n");
    while (page.used + 512 < n) {
        put(&page, "(");
        put_sentence(&page, 0);
        put(&page, ") Tj T*\n");
    }
    put(&page, "ET\n");
    w->random = page.random;
    return page.used;
}

static void pdf_end(struct pdf *pdf, size_t n, size_t reserve)
{
    char line[96];
    while (pdf->w.used + reserve + 64 < n)
        put(&pdf->w, "% - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -\n");
    size_t xref = pdf->w.used;
    snprintf(line, sizeof line, "xref\n0 %u\n0000000000 65535 f \n", pdf->n_objects + 1);
    put(&pdf->w, line);
    for (unsigned i = 1; i <= pdf->n_objects; i++) {
        snprintf(line, sizeof line, "%010zu 00000 n \n", pdf->objects[i]);
        put(&pdf->w, line);
    }
    snprintf(line, sizeof line, "trailer\n<< /Size %u /Root 1 0 R >>\nstartxref\n%zu\n%%%%EOF\n", pdf->n_objects + 1, xref);
    put(&pdf->w, line);
    memset(pdf->w.p + pdf->w.used, '\n', n - pdf->w.used);
}

static void fill_pdf(struct bench_body *body, uint64_t seed)
{
    enum { fixed = 3, reserve = 16384, side = 120 };
    struct pdf pdf = { .w = { .p = body->p, .n = body->n - reserve, .used = 0, .random = seed } };
    char *content = bench_alloc(MAX_PART), line[256], *kids = bench_alloc(16 * MAX_PAGES);
    size_t used = 0;
    unsigned pages = 0;
    put(&pdf.w, "%PDF-1.5\n%\xe2\xe3\xcf\xd3\n");
    pdf_object(&pdf, "<< /Type /Catalog /Pages 2 0 R >>\nendobj\n");
    pdf.n_objects = 2; /* the pages' list is written when they are known */
    pdf_object(&pdf, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>\nendobj\n");
    while (pdf.w.used + 2 * MAX_PART < pdf.w.n && pages < MAX_PAGES) {
        unsigned picture = pdf.n_objects + 1;
        size_t n = part_content(&pdf.w, content, side * side * 3 + 1024, 2);
        snprintf(line, sizeof line, "/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB /BitsPerComponent 8", side,
            side);
        pdf_stream(&pdf, body, line, content, n);
        unsigned text = pdf.n_objects + 1;
        pdf_stream(&pdf, body, "", content, page_content(&pdf.w, content, 12000));
        snprintf(line, sizeof line,
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %u 0 R\n"
            "/Resources << /Font << /F1 %u 0 R >> /XObject << /P %u 0 R >> >> >>\nendobj\n",
            text, fixed, picture);
        pdf_object(&pdf, line);
        used += (size_t) snprintf(kids + used, 16, "%u 0 R ", pdf.n_objects);
        pages++;
    }
    pdf.w.n = body->n;
    pdf.objects[2] = pdf.w.used;
    snprintf(line, sizeof line, "2 0 obj\n<< /Type /Pages /Count %u /Kids [", pages);
    put(&pdf.w, line);
    put(&pdf.w, kids);
    put(&pdf.w, "] >>\nendobj\n");
    free(content);
    free(kids);
    pdf_end(&pdf, body->n, 20u * (pdf.n_objects + 1) + 128);
}

/* --- a package: a zip archive of files ---------------------------------------------------------------------------- */

struct zip_member {
    char name[48];
    size_t at;
    uint32_t crc, packed, plain;
    unsigned method;
};

enum { LOCAL_HEAD = 30, CENTRAL_HEAD = 46, END_HEAD = 22, CRC_IN_LOCAL = 14, CRC_IN_CENTRAL = 16, DOS_DATE = 0x5a21 };

static void zip_fields(char *p, const struct zip_member *m)
{
    put_le(p, 20, 2); /* version */
    put_le(p + 4, m->method, 2);
    put_le(p + 8, DOS_DATE, 2);
    put_le(p + 10, m->crc, 4);
    put_le(p + 14, m->packed, 4);
    put_le(p + 18, m->plain, 4);
    put_le(p + 22, (uint32_t) strlen(m->name), 2);
}

static void zip_local(struct writer *w, struct zip_member *m)
{
    char head[LOCAL_HEAD] = "PK\3\4";
    m->at = w->used;
    zip_fields(head + 4, m);
    put_bytes(w, head, sizeof head);
    put(w, m->name);
}

static void zip_end(struct writer *w, const struct zip_member *members, unsigned n, struct bench_body *body)
{
    size_t begin = w->used;
    for (unsigned i = 0; i < n; i++) {
        char head[CENTRAL_HEAD] = "PK\1\2";
        put_le(head + 4, 20, 2);
        zip_fields(head + 6, &members[i]);
        put_le(head + 42, (uint32_t) members[i].at, 4);
        if (i < body->n_stamps)
            body->stamps[i].check_at[1] = w->used + CRC_IN_CENTRAL;
        put_bytes(w, head, sizeof head);
        put(w, members[i].name);
    }
    char end[END_HEAD] = "PK\5\6";
    put_le(end + 8, n, 2);
    put_le(end + 10, n, 2);
    put_le(end + 12, (uint32_t) (w->used - begin), 4);
    put_le(end + 16, (uint32_t) begin, 4);
    put_bytes(w, end, sizeof end);
}

static void zip_deflated(struct writer *w, struct zip_member *m, struct bench_body *body, char *content, size_t n)
{
    zip_local(w, m);
    struct bench_stamp *stamp = add_stamp(body, 0);
    m->packed = (uint32_t) put_deflated(w, stamp, content, n);
    m->plain = (uint32_t) n + BENCH_STAMP_DIGITS;
    *stamp = (struct bench_stamp){ .at = stamp->at,
        .check = BENCH_CRC32,
        .check_at = { m->at + CRC_IN_LOCAL, 0 },
        .rest_check = (uint32_t) crc32(crc32(0, Z_NULL, 0), (const Bytef *) content, (uInt) n),
        .rest_bytes = n };
    zip_fields(w->p + m->at + 4, m);
}

static void fill_package(struct bench_body *body, uint64_t seed)
{
    static const char *const folders[] = { "usr/share/doc", "usr/share/scripts", "usr/lib" }, *const ends[] = { "txt", "js", "bin" };
    const size_t central = MAX_PARTS * (CENTRAL_HEAD + sizeof((struct zip_member *) 0)->name) + END_HEAD;
    struct writer w = { .p = body->p, .n = body->n, .used = 0, .random = seed };
    struct zip_member *members = bench_alloc(MAX_PARTS * sizeof *members);
    char *content = bench_alloc(MAX_PART);
    unsigned n = 0;
    while (n + 1 < MAX_PARTS && w.used + MAX_PART + central + 1024 < w.n) {
        struct zip_member *m = &members[n];
        unsigned flavour = roll(&w, 8) < 6 ? 2 : roll(&w, 2);
        snprintf(m->name, sizeof m->name, "%s/%s-%u.%s", folders[flavour], word(&w), n, ends[flavour]);
        m->method = Z_DEFLATED;
        zip_deflated(&w, m, body, content, part_content(&w, content, MAX_PART / 4 + roll(&w, MAX_PART / 4 * 3), flavour));
        n++;
    }
    size_t tail = END_HEAD + CENTRAL_HEAD + strlen("usr/lib/rest.dat");
    for (unsigned i = 0; i < n; i++)
        tail += CENTRAL_HEAD + strlen(members[i].name);
    struct zip_member *rest = &members[n++];
    snprintf(rest->name, sizeof rest->name, "usr/lib/rest.dat");
    rest->packed = rest->plain = (uint32_t) (body->n - w.used - LOCAL_HEAD - strlen(rest->name) - tail);
    size_t at = w.used + LOCAL_HEAD + strlen(rest->name);
    for (size_t i = 0; i < rest->plain; i++)
        body->p[at + i] = (char) roll(&w, 251);
    rest->crc = (uint32_t) crc32(crc32(0, Z_NULL, 0), (const Bytef *) body->p + at, rest->plain);
    zip_local(&w, rest);
    w.used += rest->plain;
    zip_end(&w, members, n, body);
    free(content);
    free(members);
}

/* --- bodies -------------------------------------------------------------------------------------------------------- */

void bench_body_init(struct bench_body *body, enum bench_form form, size_t n, uint64_t seed)
{
    memset(body, 0, sizeof *body);
    body->p = bench_alloc(n + 1);
    body->n = n;
    if (form == BENCH_PDF)
        fill_pdf(body, seed);
    else if (form == BENCH_PACKAGE)
        fill_package(body, seed);
    else
        fill_words(body, form, seed);
    bench_body_stamp(body, seed);
}

void bench_body_init_eicar(struct bench_body *body, size_t n, uint64_t seed)
{
    char eicar[BENCH_EICAR_BYTES];
    bench_eicar(eicar);
    bench_body_init(body, BENCH_TEXT, n < BENCH_EICAR_BYTES ? BENCH_EICAR_BYTES : n, seed);
    memcpy(body->p + (body->n - BENCH_EICAR_BYTES) / 2, eicar, BENCH_EICAR_BYTES);
    body->n_stamps = 0;
}

void bench_body_copy(struct bench_body *body, const struct bench_body *from)
{
    *body = *from;
    body->p = bench_alloc(from->n + 1);
    memcpy(body->p, from->p, from->n);
}

void bench_body_stamp(struct bench_body *body, uint64_t serial)
{
    for (size_t i = 0; i < body->n_stamps; i++) {
        const struct bench_stamp *stamp = &body->stamps[i];
        char *digits = body->p + stamp->at;
        bench_hex(digits, bench_mix(serial + (uint64_t) i * UINT64_C(0x100000001b3)));
        if (stamp->check == BENCH_ADLER32) {
            uLong own = adler32(adler32(0, Z_NULL, 0), (const Bytef *) digits, BENCH_STAMP_DIGITS);
            put_be32(body->p + stamp->check_at[0], (uint32_t) adler32_combine(own, stamp->rest_check, (z_off_t) stamp->rest_bytes));
        } else if (stamp->check == BENCH_CRC32) {
            uLong own = crc32(crc32(0, Z_NULL, 0), (const Bytef *) digits, BENCH_STAMP_DIGITS);
            uint32_t crc = (uint32_t) crc32_combine(own, stamp->rest_check, (z_off_t) stamp->rest_bytes);
            put_le(body->p + stamp->check_at[0], crc, 4);
            put_le(body->p + stamp->check_at[1], crc, 4);
        }
    }
}

void bench_body_fini(struct bench_body *body)
{
    free(body->p);
    memset(body, 0, sizeof *body);
}

const char *bench_content_type(enum bench_form form)
{
    switch (form) {
    case BENCH_HTML:
        return "text/html; charset=utf-8";
    case BENCH_SCRIPT:
        return "application/javascript";
    case BENCH_PDF:
        return "application/pdf";
    case BENCH_PACKAGE:
        return "application/zip";
    case BENCH_TEXT:
        break;
    }
    return "text/plain; charset=utf-8";
}
