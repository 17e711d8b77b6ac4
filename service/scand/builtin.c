/* Marks are for silence that would look like "clean": documents whose encryption libclamav does not tell, members of a zip in
 * methods that it passes over, and archives that it does not know at all. They stand where the formats put them, so that
 * chance bytes hardly match. */
#include "config.h"

#include "builtin.h"

#include "selftest.h"

#include <string.h>

#define EICAR_LOAD_NAME "Sallyport.Builtin.Eicar" /* not one that a site's database would use */
#define EICAR_NAME "Eicar-Test-Signature"
#define MARK_PREFIX "Sallyport.Mark."
#define UNOFFICIAL ".UNOFFICIAL" /* libclamav appends it to names of unsigned databases */

#define ANY_FILE 0
#define OLE2_FILE 2

#define ZIP_MEMBER "504b0304????????" /* a local header up to its method */

struct mark {
    const char *name, *text;
    int target;
    const char *offset, *hex;
};

/* Alternatives like (a|b) have no half bytes: the flags of Word take a row for each odd digit. */
#define WORD(digit) { "Word", "Office", OLE2_FILE, "*", "eca5c100??????????????" "?" digit }

static const struct mark marks[] = {
    /* [MS-OFFCRYPTO] 2.3: the stream's name in the directory */
    { "Office", "Office", OLE2_FILE, "*", "45006e0063007200790070007400650064005000610063006b00610067006500" },
    /* [MS-DOC] 2.5.2: fEncrypted */
    WORD("1"), WORD("3"), WORD("5"), WORD("7"), WORD("9"), WORD("b"), WORD("d"), WORD("f"),
    /* [MS-XLS] 2.4.117: FilePass after BOF, perhaps WriteProtect between */
    { "Excel", "Office", OLE2_FILE, "*", "0908100000060500{12-16}2f00" },
    /* [MS-PPT] 2.3.2: headerToken */
    { "PowerPoint", "Office", OLE2_FILE, "*", "0000f60f????????14000000dfc4d1f3" },
    /* APPNOTE 4.4.5: shrunk, reduced, tokenized, imploded anew, LZMA, terse, LZ77; zstd, MP3, XZ, JPEG, WavPack, PPMd */
    { "ZipMethod", "Zip with an unknown method", ANY_FILE, "*",
        ZIP_MEMBER "(01|02|03|04|05|07|0a|0b|0d|0e|0f|10|11|12|13|14|5d|5e|5f|60|61|62)00" },
    { "Zstd", "zstd", ANY_FILE, "0", "28b52ffd" },
    { "Lz4", "LZ4", ANY_FILE, "0", "04224d18" },
    { "Lzip", "lzip", ANY_FILE, "0", "4c5a495001" },
    { "Compress", "compress", ANY_FILE, "0", "1f9d(89|8a|8b|8c|8d|8e|8f|90)" },
    /* libclamav unpacks the first stream only */
    { "Bzip2", "bzip2 of several streams", ANY_FILE, "0", "425a68??314159265359*425a68??314159265359" },
    { "Lzma", "LZMA", ANY_FILE, "0", "5d0000??0?ffffffffffffffff" },
    { "Ace", "ACE", ANY_FILE, "7", "2a2a4143452a2a" },
    { "StuffIt", "StuffIt", ANY_FILE, "0", "53747566664974202863293139" },
};

/* OpenDocument 1.3 part 2, 3.4: what is encrypted says so in the manifest, a plain member of the zip */
static const char odf[] = MARK_PREFIX "Odf;Engine:81-255,Container:CL_TYPE_ZIP,Target:0;0;"
                                      "3c6d616e69666573743a656e6372797074696f6e2d64617461\n";

static enum sp_status add_marks(struct sp_buf *out)
{
    enum sp_status status = SP_OK;
    for (size_t i = 0; status == SP_OK && i < sizeof(marks) / sizeof(marks[0]); i++)
        status = sp_buf_addf(out, MARK_PREFIX "%s:%d:%s:%s\n", marks[i].name, marks[i].target, marks[i].offset, marks[i].hex);
    return status;
}

const char *sp_builtin_file(size_t i, struct sp_buf *out, enum sp_status *status_out)
{
    switch (i) {
    case 0:
        *status_out = sp_buf_addf(out, EICAR_LOAD_NAME ":0:0:%s\n", sp_eicar_hex);
        return ".ndb";
    case 1:
        *status_out = add_marks(out);
        return ".ndb";
    case 2:
        *status_out = sp_buf_add(out, odf, sizeof(odf) - 1);
        return ".ldb";
    default:
        *status_out = SP_OK;
        return NULL;
    }
}

const char *sp_builtin_name(const char *reported)
{
    return strcmp(reported, EICAR_LOAD_NAME UNOFFICIAL) == 0 ? EICAR_NAME : reported;
}

const char *sp_builtin_mark(const char *reported)
{
    if (strncmp(reported, MARK_PREFIX, sizeof(MARK_PREFIX) - 1) != 0)
        return NULL;
    const char *name = reported + sizeof(MARK_PREFIX) - 1;
    const size_t n = strcspn(name, ".");
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (strlen(marks[i].name) == n && strncmp(name, marks[i].name, n) == 0)
            return marks[i].text;
    return "OpenDocument";
}
